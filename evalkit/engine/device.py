"""Where a model is computed."""

import numpy as np
import torch
from torch import Tensor

from evalkit.engine.checkpoint import Checkpoint
from evalkit.errors import UsageError, say


def pick_device(name: str) -> torch.device:
    """The named device; `auto` takes the accelerator where there is one.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"--device {name} is not available: {say(error)}") from error
    return device


def device_of(checkpoint: Checkpoint, name: str) -> torch.device:
    """Where a checkpoint is computed; an ONNX model is on the processor.

    Raises:
        UsageError: There is no such device here.
    """
    return pick_device("cpu" if checkpoint.is_onnx and name == "auto" else name)


def device_name(device: torch.device) -> str:
    """The accelerator's model, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def on_device(values: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor there; a CUDA device is not waited for."""
    tensor = torch.from_numpy(values)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
