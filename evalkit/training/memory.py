"""Has the C library keep the memory that a training step frees: the next step asks for the same."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of mallopt(3)'s parameters."""
_LARGEST, _KEPT = 64 << 20, 512 << 20


def keep_freed_memory() -> None:
    """Keep up to 512 MB of freed blocks of up to 64 MB each, where the C library is glibc.

    Left alone, it returns activations to the system after each step and has thousands of pages
    zeroed again for the next. What the environment says of it (`MALLOC_*_`) holds.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _KEPT)
