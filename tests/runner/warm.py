"""Runs `evalkit` in processes forked from one that has imported everything, and kills them.

Started as `python -m tests.runner.warm`; reads one JSON object a line and answers with one:
`argv`, `kill_after` (seconds, or null) or `after_batches` (how many the engine has computed by
then, or null), `signal_number`, `output` (file for stdout and stderr), `witness`
(file that gets the indices of each batch the engine has computed, before anything else sees it),
`file_limit` (bytes that a file may grow to, or null).
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path


def main():
    import datasets  # noqa: F401
    import lm_eval.tasks  # noqa: F401

    import evalkit.cli.app
    import evalkit.engine.local
    import evalkit.registry.yaml_task
    import evalkit.runner  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(**json.loads(line))), flush=True)


def serve(
    argv,
    output,
    witness,
    kill_after=None,
    after_batches=None,
    signal_number=signal.SIGKILL,
    file_limit=None,
):
    started = time.perf_counter()
    child = os.fork()
    if not child:
        run(argv, output, witness, file_limit)
    if kill_after is not None or after_batches is not None:
        time.sleep(kill_after or 0)
        while after_batches and written(witness) < after_batches:
            time.sleep(0.001)
        os.kill(child, signal_number)
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "seconds": time.perf_counter() - started}


def written(witness):
    """Batches so far."""
    try:
        return sum(line != "[]" for line in Path(witness).read_text().split("\n")[:-1])
    except FileNotFoundError:
        return 0


def run(argv, output, witness, file_limit):
    """In the child: the command as a shell would start it; never returns."""
    out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    watch(os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    if file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    sys.argv = ["evalkit", *argv]
    code = 0
    try:
        from evalkit.cli import main as command

        command()
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def watch(file):
    from evalkit.engine.local import LocalEngine

    plain = LocalEngine.respond

    def respond(self, requests, answered=()):
        for batch in plain(self, requests, answered):
            os.write(file, json.dumps([index for index, _ in batch]).encode() + b"\n")
            yield batch

    LocalEngine.respond = respond


if __name__ == "__main__":
    main()
