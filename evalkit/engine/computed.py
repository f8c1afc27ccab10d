"""A checkpoint in memory, with what computes it: transformers, onnxruntime or inductor."""

from transformers import PreTrainedTokenizerBase

from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.loading import LoadedModel, load_model
from evalkit.engine.step import Step
from evalkit.errors import UsageError


def load(
    checkpoint: Checkpoint,
    tokenizer: PreTrainedTokenizerBase,
    device: str,
    dtype: str,
    compiled: bool,
) -> tuple[LoadedModel, Step | None]:
    """The model, and the step that computes it where transformers does not.

    Args:
        checkpoint: The checked folder; a model exported to ONNX, or not.
        tokenizer: Its tokenizer.
        device: See `LocalEngine`.
        dtype: See `LocalEngine`.
        compiled: Whether torch.compile makes the forward pass.

    Raises:
        DataError: The model cannot be loaded.
        UsageError: The device or type is not available, or this model cannot be computed so.
        EvaluationError: What was compiled computes something else.
    """
    if checkpoint.is_onnx:
        if compiled:
            raise UsageError(f"--compile is for PyTorch; {checkpoint.path} is an ONNX model.")
        from evalkit.engine.onnx.step import load_onnx

        return load_onnx(checkpoint, tokenizer, device, dtype)
    loaded = load_model(checkpoint, tokenizer, device, dtype)
    if not compiled:
        return loaded, None
    from evalkit.engine.compiled import CompiledStep

    return loaded, CompiledStep(loaded)
