"""What the recipe means for transformers' Trainer, and whether this machine can do it."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from evalkit.errors import UsageError
from evalkit.training.peak import choose_precision
from evalkit.training.recipe import Pretraining, Recipe
from evalkit.training.scale import scaling


def training_arguments(recipe: Recipe, out: Path, begun_in: str | None = None) -> TrainingArguments:
    """Arguments of Trainer; making them joins this process to the others, where there are any.

    Args:
        recipe: What to train.
        out: Folder of the series.
        begun_in: Precision that a training which is gone on with has had.

    Raises:
        UsageError: A device, a library or a number of processes is not as the recipe needs it.
    """
    chosen, watch = recipe.pretraining, recipe.watch
    device = choose_device(chosen)
    precision = choose_precision(begun_in or chosen.precision, device)
    _check_reporters(watch.report_to)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    part = _part(chosen, processes)
    arguments = TrainingArguments(
        output_dir=str(out),
        run_name=recipe.name,
        max_steps=chosen.steps,
        per_device_train_batch_size=part,
        per_device_eval_batch_size=part,
        gradient_accumulation_steps=chosen.accumulation,
        **_schedule(chosen),
        weight_decay=chosen.weight_decay,
        adam_beta1=chosen.beta1,
        adam_beta2=chosen.beta2,
        max_grad_norm=chosen.clip,
        optim="adamw_torch_fused",
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        torch_compile=chosen.compile,
        use_cpu=device == "cpu",
        seed=chosen.seed,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=device == "cuda",
        eval_strategy="steps" if watch.held_out else "no",
        eval_steps=watch.evaluate_every,
        prediction_loss_only=True,
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to=list(watch.report_to) or "none",
        disable_tqdm=True,
        ddp_find_unused_parameters=False if processes > 1 else None,
        **scaling(recipe, processes),
    )
    # One process drives one device: torch.nn.DataParallel, the alternative, is slower than DDP.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def precision_of(arguments: TrainingArguments) -> str:
    """What is computed in: `bf16`, `fp16` or `fp32`."""
    return "bf16" if arguments.bf16 else "fp16" if arguments.fp16 else "fp32"


def choose_device(chosen: Pretraining) -> str:
    """The device to train on.

    Raises:
        UsageError: It is not there, or cannot compute in the recipe's precision.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    found = [name for name, is_there in there.items() if is_there]
    device = found[0] if chosen.device == "auto" else chosen.device
    if not there[device]:
        raise UsageError(
            f"pretraining.device = {device}, but torch {torch.__version__} finds only "
            f"{' and '.join(found)} here; take auto, or install torch for it."
        )
    if chosen.precision == "fp16" and device == "cpu":
        raise UsageError("pretraining.precision = fp16 needs a GPU; on a CPU take bf16 or fp32.")
    if chosen.precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        raise UsageError("This GPU has no bf16; set pretraining.precision to fp16 or fp32.")
    return device


def _part(chosen: Pretraining, processes: int) -> int:
    """Sequences that one process computes at a time."""
    parts = processes * chosen.accumulation
    if chosen.batch_size % parts:
        raise UsageError(
            f"pretraining.batch_size = {chosen.batch_size} cannot be divided among {processes} "
            f"processes in {chosen.accumulation} parts each; take a multiple of {parts}."
        )
    return chosen.batch_size // parts


def _schedule(chosen: Pretraining) -> dict[str, Any]:
    peak, last = chosen.learning_rate, chosen.final_rate
    known: dict[str, Any] = {"learning_rate": peak, "warmup_steps": chosen.warmup_steps}
    kind: tuple[str, dict[str, Any] | None]
    if chosen.schedule == "cosine":
        kind = ("cosine_with_min_lr", {"min_lr_rate": last}) if last else ("cosine", None)
    elif chosen.schedule == "linear":
        kind = ("polynomial", {"lr_end": last * peak, "power": 1.0}) if last else ("linear", None)
    else:
        decay = round(chosen.decay_share * chosen.steps)
        kind = (
            "warmup_stable_decay",
            {"num_decay_steps": decay, "decay_type": "linear", "min_lr_ratio": last},
        )
    name, details = kind
    return {**known, "lr_scheduler_type": name, "lr_scheduler_kwargs": details}


def _check_reporters(names: tuple[str, ...]) -> None:
    for name in names:
        if find_spec(name) is None:
            raise UsageError(
                f"watch.report_to names {name}, which is not installed; pip install {name}."
            )
