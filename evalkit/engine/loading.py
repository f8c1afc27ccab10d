"""From a checked checkpoint folder to a model in memory."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from evalkit.engine.checkpoint import CONTEXT_LENGTH_NAMES, Checkpoint
from evalkit.engine.device import pick_device
from evalkit.engine.int4 import run_int4_on_cpu
from evalkit.errors import DataError, UsageError, say

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "auto": "auto",
}


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to answer.

    Attributes:
        model: The transformers model, in evaluation mode on `device`.
        max_length: Longest sequence the model takes, in tokens.
        prefix_token: Token that stands before a text without context.
        stop_tokens: Tokens that end a generation.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    max_length: int
    prefix_token: int
    stop_tokens: frozenset[int]


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """Load the tokenizer and check that the embedding has a row for each of its tokens.

    Raises:
        DataError: The tokenizer cannot be read or has more tokens than the embedding has rows.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoint.tokenizer_folder,
            local_files_only=True,
            trust_remote_code=checkpoint.trusts_code,
        )
        size = _tokens_of_texts(tokenizer)
    except Exception as error:
        _refuse_code(checkpoint, error)
        raise DataError(
            f"The tokenizer in {checkpoint.path} cannot be loaded: {say(error)}"
        ) from error
    rows = checkpoint.embedding_rows
    if rows is not None and size > rows:
        raise DataError(
            f"The tokenizer in {checkpoint.path} has {size:,} tokens but the model embeds only "
            f"{rows:,}; use the tokenizer the model was trained with."
        )
    return tokenizer


def load_model(
    checkpoint: Checkpoint,
    tokenizer: PreTrainedTokenizerBase,
    device: str = "auto",
    dtype: str = "float32",
) -> LoadedModel:
    """Load a checkpoint's weights, with the adapter where it is one.

    Raises:
        DataError: transformers or peft cannot build the model from the folder.
        UsageError: The device or dtype is not available.
    """
    if checkpoint.is_onnx:
        raise UsageError(
            f"{checkpoint.path} is an ONNX model, which is measured (evalkit run, profile) and "
            "nothing else; take the checkpoint that it was exported from."
        )
    place = pick_device(device)
    if dtype not in DTYPES:
        raise UsageError(f"--dtype {dtype} is unknown; take one of {', '.join(DTYPES)}.")
    transformers_logging.disable_progress_bar()
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            (checkpoint.base or checkpoint).path,
            dtype=DTYPES[dtype],
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            trust_remote_code=checkpoint.trusts_code,
        )
    except Exception as error:
        _refuse_code(checkpoint, error)
        raise DataError(f"The model in {checkpoint.path} cannot be loaded: {say(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise DataError(
            f"The weights in {checkpoint.path} lack {len(missing)} of the model's tensors, among "
            f"them {missing[0]}; save the whole model."
        )
    if checkpoint.base is not None:
        model = _with_adapter(model, checkpoint)
    model.requires_grad_(False)
    if place.type == "cpu":
        run_int4_on_cpu(model)
    return loaded_model(model.eval().to(place), tokenizer, place, checkpoint)


def loaded_model(
    model: Any, tokenizer: PreTrainedTokenizerBase, device: torch.device, checkpoint: Checkpoint
) -> LoadedModel:
    """A transformers model with what its configuration and tokenizer say of it."""
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        device=device,
        max_length=_max_length(model.config, tokenizer) - checkpoint.virtual_tokens,
        prefix_token=prefix_token(tokenizer, checkpoint),
        stop_tokens=_stop_tokens(model, tokenizer),
    )


def _with_adapter(model: Any, checkpoint: Checkpoint) -> Any:
    """The base with the adapter's layers in it; with a prefix, peft's model around it."""
    try:
        from peft import PeftModel, get_peft_model_state_dict

        adapted = PeftModel.from_pretrained(model, checkpoint.path)
        held = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    except Exception as error:
        raise DataError(
            f"The adapter in {checkpoint.path} cannot be loaded: {say(error)}"
        ) from error
    missing = sorted(held.keys() - checkpoint.tensors.keys())
    if missing:
        raise DataError(
            f"The adapter in {checkpoint.path} lacks {len(missing)} tensors for its base, among "
            f"them {missing[0]}; was it made for another one?"
        )
    return adapted if adapted.active_peft_config.is_prompt_learning else adapted.get_base_model()


def _tokens_of_texts(tokenizer: PreTrainedTokenizerBase) -> int:
    """One more than the largest id a text can get; special tokens may lie beyond the embedding."""
    special = set(tokenizer.all_special_tokens)
    return 1 + max(
        (i for token, i in tokenizer.get_vocab().items() if token not in special), default=-1
    )


def _max_length(config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """The config's context length, by its usual names; lm-eval looks in the same order."""
    text_config = config.get_text_config()
    for name in CONTEXT_LENGTH_NAMES:
        value = getattr(text_config, name, None)
        if value:
            return int(value)
    unlimited = int(1e30)
    limit = int(tokenizer.model_max_length)
    return limit if limit < unlimited else 2048


def prefix_token(tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint) -> int:
    """The token that stands before a text without context.

    Raises:
        DataError: The tokenizer names none.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise DataError(
        f"The tokenizer in {checkpoint.path} names neither a bos_token nor an eos_token; "
        "set one in tokenizer_config.json."
    )


def _stop_tokens(model: Any, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    configured = model.generation_config.eos_token_id
    tokens = configured if isinstance(configured, list) else [configured]
    return frozenset(t for t in [*tokens, tokenizer.eos_token_id] if t is not None)


def _refuse_code(checkpoint: Checkpoint, error: Exception) -> None:
    """Say so where the reason is Python code in the folder that may not run."""
    if "trust_remote_code" in str(error) and not checkpoint.trusts_code:
        raise UsageError(
            f"{checkpoint.path} brings Python code of its own; read it, and allow it with "
            f"--trust-remote-code {checkpoint.path}"
        ) from error
