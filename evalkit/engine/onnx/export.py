"""From a loaded checkpoint to an ONNX model that reads and gives its keys and values."""

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from evalkit.engine.checkpoint import ONNX_WEIGHTS
from evalkit.engine.loading import LoadedModel
from evalkit.engine.onnx.step import INPUTS, OnnxStep
from evalkit.engine.step import StepModule, cache_shapes, furthest_logit
from evalkit.errors import EvaluationError, UsageError

_TEXTS, _NEW, _PAST = 2, 3, 5
_TOLERANCE = 1e-3


class OnnxExport:
    """A checkpoint exported by `torch.onnx.export(dynamo=True)`; saved as a transformers model is.

    Args:
        loaded: The checkpoint in float32 on the processor, its attention not planned.

    Raises:
        UsageError: The model cannot be exported, or a package for it is missing.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.config = loaded.model.config
        self.device = loaded.device
        self._model, self._longest = loaded.model, loaded.max_length
        self._program = _export(loaded)

    def num_parameters(self) -> int:
        """Weights of the model; tied ones count once."""
        return int(self._model.num_parameters())

    def save_pretrained(self, folder: Path) -> None:
        """Write the model, its weights beside it, and its configurations.

        Raises:
            EvaluationError: onnxruntime computes something else with it.
        """
        self._program.save(folder / ONNX_WEIGHTS, external_data=True)
        vocabulary = self.config.get_text_config().vocab_size
        step = OnnxStep(folder / ONNX_WEIGHTS)
        missed = furthest_logit(step, StepModule(self._model), vocabulary, self._longest)
        if not missed <= _TOLERANCE:
            raise EvaluationError(
                f"onnxruntime computes something else than {type(self._model).__name__}, by "
                f"{missed:.2g} of a logit."
            )
        self.config.save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["architectures"] = [type(self._model).__name__]
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        self._model.generation_config.save_pretrained(folder)


def _export(loaded: LoadedModel) -> Any:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise UsageError(
            f"ONNX models are made with the package {error.name}; pip install 'evalkit[variants]'."
        ) from error
    _ = onnx, onnxruntime, onnxscript
    module = StepModule(loaded.model).eval()
    shapes = cache_shapes(module, loaded.prefix_token)
    ids = torch.full((_TEXTS, _NEW), loaded.prefix_token)
    seen = torch.ones(_TEXTS, _PAST + _NEW, dtype=torch.long)
    positions = torch.arange(_PAST, _PAST + _NEW).expand(_TEXTS, _NEW)
    past = [torch.zeros(_TEXTS, heads, _PAST, size) for heads, size in shapes]
    texts, free = Dim.DYNAMIC, Dim.DYNAMIC
    both = {0: texts, 1: free}
    names = [f"past_{place}" for place in range(len(past))]
    try:
        with _quiet(), torch.no_grad():
            return torch.onnx.export(
                module,
                (ids, seen, positions, torch.arange(1, _NEW), past),
                dynamic_shapes=(both, both, both, {0: free}, [{0: texts, 2: free} for _ in past]),
                input_names=[*INPUTS, *names],
                output_names=["logits", *(name.replace("past", "present") for name in names)],
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter's own errors, of many kinds
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        name = type(loaded.model).__name__
        raise UsageError(f"torch.onnx.export cannot export {name}: {reason}") from error


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the exporter's talk of its own progress."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
