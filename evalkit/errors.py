"""The few errors evalkit raises on purpose; the CLI prints each as one sentence."""


class EvalkitError(Exception):
    """Base of all expected failures; `exit_code` is what the CLI exits with."""

    exit_code = 3


class UsageError(EvalkitError):
    """The command or call was wrong: an unknown name, an impossible setting."""

    exit_code = 2


class DataError(EvalkitError):
    """An input file is missing, damaged or not what it claims to be."""

    exit_code = 2


class MissingDataError(DataError):
    """A task's data set is not on this machine.

    Args:
        message: What is missing and what brings it.
        task: Name of the task.
        data: The data set, with its configuration where only that is missing.
    """

    def __init__(self, message: str, task: str, data: str) -> None:
        super().__init__(message)
        self.task = task
        self.data = data


class EvaluationError(EvalkitError):
    """The evaluation itself failed or stayed incomplete."""

    exit_code = 3


class StoppedError(EvalkitError):
    """The user stopped a run; what was answered is kept. The code is a shell's for Ctrl-C."""

    exit_code = 130


def say(error: BaseException) -> str:
    """An error's kind and first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
