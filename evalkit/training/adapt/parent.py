"""The checkpoint that is adapted: checked before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from evalkit.engine.checkpoint import Checkpoint, open_checkpoint
from evalkit.engine.loading import load_model, load_tokenizer
from evalkit.errors import DataError, UsageError


@dataclass(frozen=True)
class Parent:
    """A checked checkpoint with its tokenizer, not loaded yet.

    Attributes:
        context: Longest sequence, in tokens; None where the model sets no limit.
    """

    checkpoint: Checkpoint
    tokenizer: PreTrainedTokenizerBase
    context: int | None

    @property
    def path(self) -> Path:
        """The folder."""
        return self.checkpoint.path


def open_parent(path: Path, *, causal: bool = True) -> Parent:
    """Check a checkpoint that is to be changed, and load its tokenizer.

    Args:
        path: The folder.
        causal: Whether it has to be a causal language model; a classifier can be made of others.

    Raises:
        DataError: It is no checkpoint, or a damaged or pickled one.
        UsageError: It is one whose weights cannot be changed.
    """
    checkpoint = open_checkpoint(path, causal=causal)
    if checkpoint.base is not None:
        raise UsageError(
            f"{path} is an adapter; make it a whole checkpoint with adapter.save: merged first."
        )
    if checkpoint.is_onnx:
        raise UsageError(
            f"{path} is an ONNX model and cannot be changed; take the checkpoint it was made from."
        )
    if "quantization_config" in checkpoint.config:
        raise UsageError(
            f"The weights in {path} are quantised and cannot be changed; take the checkpoint that "
            "they were made from, and quantise what comes of it."
        )
    tokenizer = load_tokenizer(checkpoint)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    if tokenizer.pad_token is None or (causal and tokenizer.eos_token is None):
        raise DataError(f"The tokenizer in {path} names no eos_token, which ends a text.")
    return Parent(checkpoint, tokenizer, checkpoint.max_length)


def load_causal(parent: Parent) -> Any:
    """The parent as a causal language model, in float32, all weights free to change."""
    model = load_model(parent.checkpoint, parent.tokenizer, device="cpu").model
    return model.requires_grad_(True).train()


def load_classifier(parent: Parent, labels: list[str], seed: int) -> Any:
    """The parent with a new head that scores a text.

    Args:
        parent: The checkpoint.
        labels: Names of the classes; one for a model that gives a text a single score.
        seed: Seed of the head's weights.

    Raises:
        DataError: transformers has no classifier of this architecture.
    """
    torch.manual_seed(seed)
    disable_progress_bar()
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            parent.path,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
        )
    except (ValueError, OSError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise DataError(f"{parent.path} cannot be made a classifier: {first}") from error
    model.config.get_text_config().pad_token_id = parent.tokenizer.pad_token_id
    return model
