"""Energy spent, by the counters that processors and graphics cards keep of themselves."""

import importlib
from pathlib import Path
from typing import Any, Protocol

import torch

RAPL = Path("/sys/class/powercap")


class Meter(Protocol):
    """Counts energy from its making on."""

    def joules(self) -> float:
        """Energy since the start."""


class RaplMeter:
    """Energy of the processors' packages, by Intel's and AMD's running average power limit.

    Attributes:
        packages: Folder of each package's counter -> its first reading, in microjoules.
    """

    def __init__(self, packages: list[Path]) -> None:
        self.packages = {folder: _number(folder / "energy_uj") for folder in packages}
        self._spent = dict.fromkeys(packages, 0)

    def joules(self) -> float:
        """Energy since the start; each counter starts again at its own range."""
        for folder, before in self.packages.items():
            now = _number(folder / "energy_uj")
            wrapped = _number(folder / "max_energy_range_uj") if now < before else 0
            self._spent[folder] += now - before + wrapped
            self.packages[folder] = now
        return sum(self._spent.values()) * 1e-6


class NvmlMeter:
    """Energy of one NVIDIA card, by its management library.

    Args:
        nvml: The library.
        index: The card's as torch counts them, which may see fewer than the library.
    """

    def __init__(self, nvml: Any, index: int) -> None:
        self._nvml = nvml
        uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}"
        self._card = nvml.nvmlDeviceGetHandleByUUID(uuid)
        self._before = nvml.nvmlDeviceGetTotalEnergyConsumption(self._card)

    def joules(self) -> float:
        """Energy since the start, counted by the card in millijoules."""
        now = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._card)
        return float(now - self._before) * 1e-3


def open_meter(device: str, rapl: Path = RAPL) -> tuple[Meter | None, str]:
    """A running meter, or None and why there is none.

    Args:
        device: `cpu`, or `cuda` with or without an index.
        rapl: Folder of the kernel's power-capping zones.
    """
    if device.startswith("cuda"):
        return _nvml(int(device.partition(":")[2] or 0))
    zones = sorted(p for p in rapl.glob("intel-rapl:*") if p.name.count(":") == 1)
    packages = [zone for zone in zones if _is_package(zone)]
    if not packages:
        return None, "this machine shows no energy counter (RAPL)"
    try:
        return RaplMeter(packages), ""
    except (OSError, ValueError) as error:
        return None, f"the energy counter cannot be read ({getattr(error, 'strerror', error)})"


def _is_package(zone: Path) -> bool:
    """Not so the zone of the whole platform (psys), which counts the packages again."""
    name = zone / "name"
    return not name.exists() or name.read_text().startswith("package")


def _nvml(index: int) -> tuple[Meter | None, str]:
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        return NvmlMeter(nvml, index), ""
    except ImportError:
        return None, "the energy counter of NVIDIA's cards needs the package nvidia-ml-py"
    except Exception as error:  # the library's own errors
        return None, f"the card's energy counter cannot be read ({error})"


def _number(file: Path) -> int:
    return int(file.read_text())
