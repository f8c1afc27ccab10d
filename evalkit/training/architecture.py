"""Builds the untrained model, and says how large it is."""

from typing import Any, NamedTuple

from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from evalkit.errors import UsageError
from evalkit.training.recipe import Architecture
from evalkit.training.recipe_file import nearest

_DROPOUTS = (
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "dropout",
    "embd_pdrop",
    "hidden_dropout",
    "hidden_dropout_prob",
    "resid_pdrop",
)
_MODELS = {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM}


class ModelSize(NamedTuple):
    """How large a model is.

    Attributes:
        parameters: Weights; tied ones count once.
        flops_per_token: Floating-point operations to learn from one token: two for each weight
            of a matrix product and for each pair of attended places, forward, and twice as many
            backward (PaLM, arXiv 2204.02311, appendix B).
    """

    parameters: int
    flops_per_token: float


def build_model(
    choice: Architecture, tokenizer: PreTrainedTokenizerFast, objective: str = "causal"
) -> PreTrainedModel:
    """A model with weights drawn from torch's global random stream.

    Args:
        choice: The recipe's section.
        tokenizer: Tells the size of the vocabulary and the special tokens.
        objective: `causal` or `masked`.

    Raises:
        UsageError: transformers knows no such model, or none for this objective.
    """
    config = make_config(choice, tokenizer, objective)
    try:
        model: PreTrainedModel = _MODELS[objective].from_config(
            config, attn_implementation=choice.attention
        )
    except (ValueError, ImportError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"architecture.model_type = {choice.model_type} cannot be built for the {objective} "
            f"objective: {reason}"
        ) from None
    return model


def make_config(
    choice: Architecture, tokenizer: PreTrainedTokenizerFast, objective: str
) -> PreTrainedConfig:
    """The configuration of transformers that the recipe's section stands for.

    Raises:
        UsageError: There is no such model_type, or its configuration has no such key.
    """
    default = check_keys(choice)
    wanted = {**_wanted(choice, tokenizer, default, objective), **choice.config}
    try:
        return AutoConfig.for_model(choice.model_type, **wanted)
    except Exception as error:  # each configuration checks itself in its own way
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"transformers refuses this {choice.model_type}: {reason}") from None


def check_keys(choice: Architecture) -> PreTrainedConfig:
    """What can be checked before there is a tokenizer; the model_type's default configuration.

    Raises:
        UsageError: There is no such model_type, or its configuration has no such key.
    """
    known = _configurations()
    if choice.model_type not in known:
        raise UsageError(
            f"transformers has no model_type {choice.model_type!r} with a configuration; "
            + nearest(choice.model_type, sorted(known))
        )
    default: PreTrainedConfig = AutoConfig.for_model(choice.model_type)
    for key in choice.config:
        if not hasattr(default, key):
            keys = sorted(default.to_dict())
            raise UsageError(
                f"architecture.config.{key} is no key of {choice.model_type}; {nearest(key, keys)}"
            )
    return default


def size_of(model: PreTrainedModel, context: int) -> ModelSize:
    """Count the weights, and the work of learning from a token of a full sequence."""
    last = model.get_output_embeddings()
    looked_up = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, nn.Embedding) and (last is None or module.weight is not last.weight)
    )
    config = model.config
    heads = getattr(config, "num_attention_heads", None)
    attended = 12 * config.num_hidden_layers * config.hidden_size * context if heads else 0
    parameters = model.num_parameters()
    return ModelSize(parameters, float(6 * (parameters - looked_up) + attended))


def _configurations() -> set[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return set(CONFIG_MAPPING_NAMES)


def _wanted(
    choice: Architecture,
    tokenizer: PreTrainedTokenizerFast,
    default: PreTrainedConfig,
    objective: str,
) -> dict[str, Any]:
    """The section's choices by the names that this configuration has for them."""
    head = choice.width // choice.heads
    values = {
        "vocab_size": len(tokenizer),
        "hidden_size": choice.width,
        "num_hidden_layers": choice.layers,
        "num_attention_heads": choice.heads,
        "num_key_value_heads": choice.key_value_heads or choice.heads,
        "head_dim": head,
        "intermediate_size": choice.feed_forward,
        "n_inner": choice.feed_forward,
        "max_position_embeddings": choice.context,
        "initializer_range": choice.initializer_range,
        "tie_word_embeddings": choice.tie_embeddings,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **dict.fromkeys(_DROPOUTS, choice.dropout),
    }
    if objective == "causal" and getattr(default, "is_decoder", None) is False:
        values["is_decoder"] = True
    names = type(default).attribute_map
    found = {names.get(key, key): value for key, value in values.items() if hasattr(default, key)}
    return {**found, "pad_token_id": None if objective == "causal" else tokenizer.pad_token_id}
