"""What logits say of the tokens that follow."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from evalkit.engine.device import on_device

# Logits that stay in a processor's cache while they are summed; on an accelerator, those whose
# copies are small beside all of them.
_CHUNK, _CHUNK_OF_ACCELERATORS = 2**18, 2**26


class Readings(NamedTuple):
    """Of n targets and the logits they are read from, all in float32.

    Attributes:
        logits: Those of the targets, shape (n,).
        are_first: Whether each is the first of its row's largest, shape (n,).
        sums: Logarithm of each row's sum of exponentials, shape (rows,).
        largest: Shape (rows,).
    """

    logits: Tensor
    are_first: Tensor
    sums: Tensor
    largest: Tensor


@torch.inference_mode()
def read(logits: Tensor, rows: np.ndarray, targets: np.ndarray) -> tuple[Tensor, Tensor]:
    """Log-probabilities (float32) of target tokens, and whether each is the most likely.

    A CUDA device is not waited for: what is returned lies there still.

    Args:
        logits: Shape (rows, vocabulary).
        rows: Which row predicts each target, shape (n,).
        targets: Token ids, shape (n,).
    """
    found = readings(logits, rows, targets)
    return found.logits - found.sums[on_device(rows, logits.device)], found.are_first


def readings(logits: Tensor, rows: np.ndarray, targets: np.ndarray) -> Readings:
    """What of the logits is kept; see `read`."""
    row, target = (on_device(part, logits.device) for part in (rows, targets))
    picked = logits[row, target].float()
    is_cpu = logits.device.type == "cpu"
    chunk = _CHUNK if is_cpu else _CHUNK_OF_ACCELERATORS
    parts = torch.split(logits, max(1, chunk // logits.shape[-1]))
    sums = torch.cat([part.float().logsumexp(-1) for part in parts])
    if not is_cpu:
        largest, places = logits.max(-1)
        return Readings(picked, places[row] == target, sums, largest.float())
    # A comparison with the largest is many times quicker than asking for its place.
    largest = torch.cat([part.amax(-1) for part in parts]).float()
    first = picked == largest[row]
    hits = first.nonzero()[:, 0]
    # Of equal logits the first counts, as everywhere else.
    first[hits] = logits[row[hits]].argmax(-1) == target[hits]
    return Readings(picked, first, sums, largest)
