"""How weights are changed in adapting and distilling: a section of those recipes."""

from typing import Any, Literal

from pydantic import Field

from evalkit.errors import UsageError
from evalkit.training.corpus.settings import Section


class Optimisation(Section):
    """The optimisation: AdamW, a warm-up, then the schedule down to zero."""

    epochs: float = Field(1.0, gt=0, description="rounds through the rows")
    steps: int | None = Field(None, ge=1, description="optimiser steps, instead of epochs")
    batch_size: int = Field(16, ge=1, description="rows a step; for grpo prompts, for distil texts")
    accumulation: int = Field(1, ge=1, description="batches whose gradients make one step")
    learning_rate: float = Field(5e-4, gt=0, description="peak rate")
    warmup: float = Field(
        0.05, ge=0, lt=1, description="share of the steps from rate 0 to the peak"
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "cosine", description="how the rate falls after the warm-up"
    )
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "fp32",
        description="autocast type; weights are fp32; auto is bf16 where that is faster, else fp32",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to train")
    threads: int = Field(1, ge=1, description="CPU threads")
    seed: int = Field(0, ge=0, description="seed of new weights and of the order of rows")


_SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant_with_warmup",
}
_LOOKS = 50
"""Times the loss is looked at in a training."""


def trainer_arguments(choice: Optimisation, out: str, rows: int) -> dict[str, Any]:
    """Arguments of `transformers.TrainingArguments` that all kinds of adapting share.

    Args:
        choice: The section of the recipe.
        out: Where the trainer may write; it writes nothing.
        rows: Rows to learn from, for the number of steps.

    Raises:
        UsageError: The device is not there.
    """
    from evalkit.training.peak import choose_precision
    from evalkit.training.scale import activation_checkpointing

    device = choose_device(choice.device)
    steps = total_steps(choice, rows)
    return {
        "output_dir": out,
        "max_steps": steps,
        "per_device_train_batch_size": choice.batch_size,
        "gradient_accumulation_steps": choice.accumulation,
        "learning_rate": choice.learning_rate,
        "warmup_steps": round(choice.warmup * steps),
        "lr_scheduler_type": _SCHEDULES[choice.schedule],
        "weight_decay": choice.weight_decay,
        "max_grad_norm": choice.clip,
        "bf16": choose_precision(choice.precision, device) == "bf16",
        "use_cpu": device == "cpu",
        "seed": choice.seed,
        **activation_checkpointing(False),
        "logging_strategy": "steps",
        "logging_steps": max(1, steps // _LOOKS),
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def total_steps(choice: Optimisation, rows: int) -> int:
    """Optimiser steps of the whole training."""
    if choice.steps is not None:
        return choice.steps
    return max(1, round(choice.epochs * rows / (choice.batch_size * choice.accumulation)))


def choose_device(name: str) -> str:
    """The recipe's device, or the first that is there.

    Raises:
        UsageError: It is not there.
    """
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, is_there in there.items() if is_there)
    if not there[name]:
        raise UsageError(
            f"optimisation.device is {name}, and there is none here; take auto or cpu."
        )
    return name
