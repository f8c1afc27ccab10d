"""An ONNX model's forward pass, through onnxruntime on the processor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerBase

from evalkit.engine.checkpoint import ONNX_WEIGHTS, Checkpoint
from evalkit.engine.loading import LoadedModel, loaded_model
from evalkit.errors import DataError, UsageError

INPUTS = ("input_ids", "attention_mask", "position_ids", "wanted")
_TYPES = {"tensor(float)": torch.float32}


def runtime() -> Any:
    """The library onnxruntime, whichever of its packages brings it.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            "ONNX models are run by onnxruntime; pip install 'evalkit[variants]'."
        ) from error
    return onnxruntime


class OnnxStep:
    """A step of an exported model; see `Step`.

    Args:
        file: The model, its weights beside it.

    Raises:
        UsageError: onnxruntime is not installed.
        DataError: onnxruntime cannot read the model, or it was not made by `evalkit compress`.
    """

    def __init__(self, file: Path) -> None:
        onnxruntime = runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session: Any = onnxruntime.InferenceSession(
                file, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own errors
            reason = next(iter(str(error).splitlines()), "")
            raise DataError(f"{file} cannot be loaded by onnxruntime: {reason}") from error
        inputs = self._session.get_inputs()
        self._past = [part.name for part in inputs[len(INPUTS) :]]
        if tuple(part.name for part in inputs[: len(INPUTS)]) != INPUTS or not self._past:
            raise DataError(
                f"{file} takes other inputs than the models that 'evalkit compress' exports; "
                "export the checkpoint it was made from with: evalkit compress onnx"
            )
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.shapes: Sequence[tuple[int, int]] = [
            (part.shape[1], part.shape[3]) for part in inputs[len(INPUTS) :]
        ]
        self.dtype = _TYPES.get(inputs[-1].type, torch.float32)

    def __call__(
        self, ids: Tensor, seen: Tensor, positions: Tensor, wanted: Tensor, past: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Step.__call__`."""
        feeds = dict(zip(INPUTS, (ids, seen, positions, wanted), strict=True))
        feeds |= dict(zip(self._past, past, strict=True))
        found = self._session.run(None, {k: v.contiguous().numpy() for k, v in feeds.items()})
        logits, *kept = map(torch.from_numpy, found)
        return logits, kept


def load_onnx(
    checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase, device: str, dtype: str
) -> tuple[LoadedModel, OnnxStep]:
    """A model's outline, without weights, and the step that computes it.

    Raises:
        UsageError: The device or type is another than the model was exported for.
        DataError: The configuration or the model cannot be read.
    """
    if device not in ("auto", "cpu"):
        raise UsageError(f"--device {device}: ONNX models are run on the processor; take cpu.")
    if dtype not in ("auto", "float32"):
        raise UsageError(f"--dtype {dtype}: {checkpoint.path} was exported in float32; take that.")
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                AutoConfig.from_pretrained(checkpoint.path, local_files_only=True),
                dtype=torch.float32,
            )
        if (checkpoint.path / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(checkpoint.path)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{checkpoint.path} cannot be read: {reason}") from error
    step = OnnxStep(checkpoint.path / ONNX_WEIGHTS)
    return loaded_model(model.eval(), tokenizer, torch.device("cpu"), checkpoint), step
