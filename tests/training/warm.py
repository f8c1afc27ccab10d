"""Runs `evalkit train` in processes forked from one that has imported everything, and kills them.

Started as `python -m tests.training.warm`; reads one JSON object a line and answers with one:
`argv`, `output` (file for stdout and stderr), `kill_after` (seconds, or null; counted
from the moment when the file or folder `wait_for` is there, if given), `signal_number`,
`file_limit` (bytes that a file may grow to, or null), `processes` (as many as torchrun would start,
with its environment variables).
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.ports import free_port


class Outcome(NamedTuple):
    """How processes ended: largest exit code (negative for a signal), seconds, output."""

    code: int
    seconds: float
    said: str


class Warm:
    """The tests' side of it."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout.readline() == "ready\n"

    def run(self, folder, *argv, **options):
        """Run a command whose output goes into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        output = folder / f"{len(list(folder.glob('*.out')))}.out"
        order = {"argv": list(map(str, argv)), "output": str(output), **options}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        said = output.read_text() if output.is_file() else ""
        return Outcome(answer["code"], answer["seconds"], said)

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=30)


def main():
    import evalkit.cli.app
    import evalkit.training.pretrain  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(**json.loads(line))), flush=True)


def serve(
    argv,
    output,
    kill_after=None,
    wait_for=None,
    signal_number=signal.SIGKILL,
    file_limit=None,
    processes=1,
):
    started = time.perf_counter()
    port = free_port()
    children = []
    for rank in range(processes):
        child = os.fork()
        if not child:
            if processes > 1:
                join(rank, processes, port)
            run(argv, output, file_limit)
        children.append(child)
    while wait_for and not Path(wait_for).exists():
        time.sleep(0.001)
    if kill_after is not None:
        time.sleep(kill_after)
        for child in children:
            os.kill(child, signal_number)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return {"code": max(codes, key=abs), "seconds": time.perf_counter() - started}


def join(rank, processes, port):
    """What torchrun tells a process."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def run(argv, output, file_limit):
    """In the child: the command as a shell would start it; never returns."""
    out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    sys.argv = ["evalkit", *argv]
    code = 1
    try:
        from evalkit.cli import main as command

        command()
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
