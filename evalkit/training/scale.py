"""Several processes: what FSDP2 and DeepSpeed's ZeRO are told."""

from importlib.util import find_spec
from typing import Any

from transformers import TrainingArguments

from evalkit.errors import UsageError
from evalkit.training.recipe import Recipe, Scale


def scaling(recipe: Recipe, processes: int) -> dict[str, Any]:
    """Arguments of `TrainingArguments` for the recipe's strategy.

    Args:
        recipe: Names the strategy.
        processes: How many torchrun or accelerate started.

    Raises:
        UsageError: There is one process only, or DeepSpeed is missing.
    """
    chosen, checkpointing = recipe.scale, recipe.pretraining.activation_checkpointing
    if chosen.strategy == "ddp":
        return activation_checkpointing(True) if checkpointing else {}
    if processes < 2:
        raise UsageError(
            f"scale.strategy = {chosen.strategy} needs several processes; start them by "
            "'torchrun --nproc-per-node N -m evalkit train RECIPE'."
        )
    if chosen.strategy == "fsdp2":
        return {"fsdp": True, "fsdp_config": fsdp2_config(chosen, checkpointing)}
    if find_spec("deepspeed") is None:
        raise UsageError(
            f"scale.strategy = {chosen.strategy} needs DeepSpeed; pip install deepspeed."
        )
    more = activation_checkpointing(True) if checkpointing else {}
    return {"deepspeed": zero_config(chosen), **more}


def activation_checkpointing(is_on: bool) -> dict[str, bool]:
    """The argument of `TrainingArguments`, by the name that this version of transformers has."""
    names = ("activation_checkpointing", "gradient_checkpointing")
    known = TrainingArguments.__dataclass_fields__
    return {next(name for name in names if name in known): is_on}


def fsdp2_config(chosen: Scale, checkpointing: bool) -> dict[str, Any]:
    """`fsdp_config` of transformers: every transformer block is sharded on its own."""
    return {
        "version": 2,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "reshard_after_forward": True,
        "cpu_offload": chosen.cpu_offload,
        "activation_checkpointing": checkpointing,
        "state_dict_type": "FULL_STATE_DICT",
    }


def zero_config(chosen: Scale) -> dict[str, Any]:
    """DeepSpeed's configuration; what is `auto` follows the recipe's other settings.

    Stage 1 shards the optimiser's state, 2 the gradients too, 3 the weights too (arXiv 1910.02054).
    """
    stage = int(chosen.strategy.removeprefix("zero"))
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    if stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True
    if chosen.cpu_offload and stage > 1:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    return {
        "zero_optimization": zero,
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
