"""What logits say of the tokens that follow."""

import numpy as np
import torch
from torch import Tensor

from evalkit.engine.forward import on_device

# Rows of logits that stay in a processor's cache while they are summed; on an accelerator, those
# whose copies are small beside the logits themselves.
CHUNK, CHUNK_OF_ACCELERATORS = 8, 1024


@torch.inference_mode()
def read(logits: Tensor, rows: np.ndarray, targets: np.ndarray) -> tuple[Tensor, Tensor]:
    """Log-probabilities (float32) of target tokens, and whether each is the most likely.

    A CUDA device is not waited for: what is returned lies there still.

    Args:
        logits: Shape (rows, vocabulary).
        rows: Which row predicts each target, shape (n,).
        targets: Token ids, shape (n,).
    """
    row, target = (on_device(part, logits.device) for part in (rows, targets))
    picked = logits[row, target].float()
    is_cpu = logits.device.type == "cpu"
    parts = torch.split(logits, CHUNK if is_cpu else CHUNK_OF_ACCELERATORS)
    totals = torch.cat([part.float().logsumexp(-1) for part in parts])
    if not is_cpu:
        return picked - totals[row], logits.argmax(-1)[row] == target
    # A comparison with the largest is many times quicker than asking for its place.
    right = picked == torch.cat([part.amax(-1) for part in parts]).float()[row]
    hits = right.nonzero()[:, 0]
    # Of equal logits the first counts, as everywhere else.
    right[hits] = logits[row[hits]].argmax(-1) == target[hits]
    return picked - totals[row], right
