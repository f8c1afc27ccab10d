"""A checkpoint's forward pass through `torch.compile`.

Inductor writes a kernel for each kind of pass (one text or several, the first tokens or the next
one), which takes from seconds to minutes and needs a C++ compiler; all are made on loading, so that
none is made in the middle of a measurement.
"""

import shutil
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from evalkit.engine.loading import LoadedModel
from evalkit.engine.step import StepModule, cache_shapes, furthest_logit
from evalkit.errors import EvaluationError, UsageError

# As a share of the largest logit; the kernels sum in another order.
_TOLERANCE = {torch.float16: 5e-2, torch.bfloat16: 3e-1}
_FINE = 1e-3  # of float32 and finer types
# Those of all checkpoints in a process count together; past its limit, which is 8, dynamo goes on
# without compiling and the figures would be of something else.
_KERNELS = 256


class CompiledStep:
    """A step that torch.compile has made quicker; see `Step`.

    Raises:
        UsageError: The machine has no compiler, or the model cannot be run step by step.
        EvaluationError: Nothing could be compiled, or what was computes something else.
    """

    name = "torch.compile"

    def __init__(self, loaded: LoadedModel) -> None:
        if loaded.device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
            raise UsageError("torch.compile needs a C++ compiler on this device; install g++.")
        self._module = StepModule(loaded.model)
        self.shapes: Sequence[tuple[int, int]] = cache_shapes(self._module, loaded.prefix_token)
        self.dtype: torch.dtype = loaded.model.dtype
        torch._dynamo.config.recompile_limit = _KERNELS
        # A batch or a cache of one token is a kernel of its own, so there are five at most.
        self._compiled: Any = torch.compile(self._module, dynamic=True)
        vocabulary = loaded.model.config.get_text_config().vocab_size
        try:
            missed = furthest_logit(self, self._module, vocabulary, loaded.max_length)
        except TorchDynamoException as error:
            reason = " ".join(str(error).split())[:200]
            name = type(loaded.model).__name__
            raise EvaluationError(f"torch.compile cannot compile {name}: {reason}") from error
        if not missed <= _TOLERANCE.get(self.dtype, _FINE):
            raise EvaluationError(
                f"torch.compile computes something else than the model, by {missed:.2g} of a "
                "logit; measure without --compile."
            )

    def __call__(
        self, ids: Tensor, seen: Tensor, positions: Tensor, wanted: Tensor, past: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Step.__call__`."""
        asked = len(wanted)
        if ids.shape[1] > 1 and asked == 1:  # or one prediction would be another kernel than two
            wanted = wanted.expand(2)
        # Kernels are bound to strides and offsets too: views would each have one of their own.
        alike = torch.contiguous_format
        given = [part.clone(memory_format=alike) for part in (ids, seen, positions, wanted)]
        logits, *kept = self._compiled(*given, [part.contiguous() for part in past])
        return logits[:, -asked:], kept
