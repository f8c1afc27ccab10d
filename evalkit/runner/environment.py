"""What the figures were made with: library versions, hardware, git commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from evalkit.engine.device import device_name

_LIBRARIES = (
    "evalkit",
    "lm_eval",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "numpy",
    "sacrebleu",
    "rouge-score",
    "scikit-learn",
)


def environment(device: torch.device | str | None) -> dict[str, Any]:
    """Versions, hardware and the git commit of the working directory, for the manifest.

    Args:
        device: What computed, or the name of it; None where a server did.
    """
    if not isinstance(device, str):
        device = "endpoint" if device is None else device_name(device)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
        "hardware": {
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "memory_bytes": _memory_bytes(),
            "device": device,
        },
        "git_commit": _git_commit(),
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
