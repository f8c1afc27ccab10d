"""The most memory this process has held, over its life and from one moment to the next."""

import resource
import sys
from pathlib import Path

_STATUS, _RESTART = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class ResidentPeak:
    """Watches the process's resident memory.

    Attributes:
        most: Most bytes seen at any lap.
    """

    def __init__(self) -> None:
        self.most = peak_resident()
        self._restarts = True

    def lap(self) -> int | None:
        """Most bytes held since the last lap; None where the system cannot count anew (not Linux).

        The pages of files that are mapped in count as long as they are in memory.
        """
        peak = peak_resident()
        self.most = max(self.most, peak)
        known, self._restarts = self._restarts, _restart()
        return peak if known and self._restarts else None


def peak_resident() -> int:
    """Most bytes this process has held, in its present program.

    Linux's `getrusage` counts what the process was before it became this program too, its parent
    that is, so the kernel's own mark is read there; macOS counts bytes, others kilobytes.
    """
    try:
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _restart() -> bool:
    """Set the kernel's mark to what the process holds now; see proc_pid_clear_refs(5)."""
    try:
        _RESTART.write_text("5")
    except OSError:
        return False
    return True
