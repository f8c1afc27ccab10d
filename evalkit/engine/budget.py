"""How much goes into one forward pass, and what happens when it is too much."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from evalkit.errors import EvaluationError

TOKENS = 1024
ROWS = 64
# Whole logits are the largest thing in memory; a pass computes no more of them than fit in this.
LOGIT_BYTES = 2**26
CACHE_BYTES = 2**30
# An accelerator answers a few tokens no sooner than many: everything is so many times larger there.
ACCELERATOR = 8
# On CUDA a pass may predict nearly every token: rolling perplexity asks for that.
CUDA_LOGIT_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class Budget:
    """The most a forward pass holds.

    Attributes:
        tokens: Positions in a scoring pass.
        predictions: Positions with logits in a scoring pass; None for as many as tokens, where
            logits are read in parts.
        rows: Texts generated side by side.
        spans: Continuations scored in a pass; None for as many as the rest allows.
        cache_bytes: Keys and values of the texts in the making.
    """

    tokens: int
    predictions: int | None
    rows: int = ROWS
    spans: int | None = None
    cache_bytes: int = CACHE_BYTES

    @classmethod
    def for_model(cls, model: Any, device: torch.device, batch_size: int | None = None) -> "Budget":
        """The usual budget for a transformers model.

        Args:
            model: Its vocabulary decides how many predictions fit.
            device: Where it is computed, which decides how much is usual.
            batch_size: Most requests in a pass.
        """
        vocabulary = model.config.get_text_config().vocab_size
        scale = 1 if device.type == "cpu" else ACCELERATOR
        logits = CUDA_LOGIT_BYTES if device.type == "cuda" else scale * LOGIT_BYTES
        return cls(
            tokens=scale * TOKENS,
            predictions=max(64, logits // (4 * vocabulary)),
            rows=batch_size or scale * ROWS,
            spans=batch_size,
            cache_bytes=scale * CACHE_BYTES,
        )

    def halved(self) -> "Budget":
        """Half of everything.

        Raises:
            EvaluationError: One token at a time is already too much.
        """
        if self.tokens <= 1:
            raise EvaluationError(
                "The model ran out of memory on a single token; free memory, take a smaller "
                "--dtype, or another --device."
            )
        return replace(
            self,
            tokens=self.tokens // 2,
            predictions=self.predictions and max(1, self.predictions // 2),
            rows=max(1, self.rows // 2),
            spans=self.spans and max(1, self.spans // 2),
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, the device's or the machine's, is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU's allocator has no exception of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
