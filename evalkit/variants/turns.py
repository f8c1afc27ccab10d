"""Profiles of several models, each in a process of its own, batch by batch in turns.

Whatever disturbs the machine falls on all of them alike, and each one's memory is its own. Only one
process works at a time, while it loads and while it measures the machine too.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.errors import EvalkitError, EvaluationError

_GO, _READY, _DONE, _FAILED = "go", "ready", "done", "failed"
# OpenMP's threads go on spinning for some 8 ms after their last work, on the cores of the next one.
_PAUSE_S = 0.025


@dataclass(slots=True)
class _Worker:
    """A process that profiles a model, and our end of the line to it."""

    model: str
    process: Any
    line: Any
    run_id: str | None = None

    def go_on(self) -> bool:
        """Let it work up to its next wait; says whether there is more to do."""
        time.sleep(_PAUSE_S)
        try:
            self.line.send(_GO)
            word, text = self.line.recv()
        except (EOFError, OSError):
            self.process.join()
            raise EvaluationError(
                f"The process that profiled {self.model} was ended from outside (code "
                f"{self.process.exitcode}); the machine may have run out of memory."
            ) from None
        if word == _FAILED:
            raise EvaluationError(text)
        if word == _DONE:
            self.run_id = text
        return bool(word == _READY)


def profile_in_turns(asked: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Profile several models side by side.

    Args:
        asked: Each model with its further settings, as `evalkit.profiling.profile` takes them.

    Returns:
        The id of each one's run.

    Raises:
        EvaluationError: One of them failed, for the reason that is told.
    """
    # A forked process would hold this one's memory, and locks of libraries' threads.
    context = multiprocessing.get_context("spawn")
    workers = []
    try:
        for model, settings in asked:
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there, model, settings), daemon=True)
            process.start()
            there.close()
            workers.append(_Worker(model, process, here))
        working = list(workers)
        while working:
            working = [worker for worker in working if worker.go_on()]
        for worker in workers:
            worker.process.join()
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.line.close()
    return [str(worker.run_id) for worker in workers]


def _work(line: Any, model: str, settings: Mapping[str, Any]) -> None:
    """Profile a model in this process, whenever the other end says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told too, and ends this
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - two bars would draw over each other

    def wait() -> None:
        line.send((_READY, ""))
        line.recv()

    try:
        line.recv()
        from evalkit.profiling import profile

        result = profile(model, wait=wait, **settings)
        line.send((_DONE, result.manifest.run_id))
    except EvalkitError as error:
        line.send((_FAILED, str(error)))
    except EOFError:
        return
    except Exception as error:  # whatever a library raises is the variant's own failure
        line.send((_FAILED, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"))
