"""Trains the series of checkpoints a recipe describes; the loop is transformers' Trainer."""

import math
import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
import transformers
from tqdm import tqdm
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from evalkit.errors import EvaluationError, UsageError
from evalkit.training.architecture import build_model
from evalkit.training.checkpoint import (
    TrainingManifest,
    hardware,
    libraries,
    now,
    save_checkpoint,
    tokenizer_hash,
)
from evalkit.training.data import TrainingData, prepare_data
from evalkit.training.recipe import Recipe

_LOOK_EVERY = 10
"""Steps between two looks at the loss."""
DEFAULT_OUT = Path("checkpoints/micro")


def train(
    recipe: Recipe | None = None, out: Path = DEFAULT_OUT, *, progress: bool = True
) -> list[Path]:
    """Train a series of checkpoints.

    Args:
        recipe: What to train; None for the micro-world's series.
        out: Folder for the series; must not exist yet, or be empty.
        progress: Show a progress bar on stderr.

    Returns:
        The checkpoint folders, early to late.

    Raises:
        UsageError: The folder is in use or cannot be written, or the recipe asks the impossible.
        EvaluationError: The loss became infinite or undefined.
    """
    recipe = recipe or Recipe()
    _claim(out)
    torch.set_num_threads(recipe.pretraining.threads)
    data = prepare_data(recipe)
    transformers.set_seed(recipe.pretraining.seed)
    model = build_model(recipe.architecture, data.tokenizer)
    saver = _Saver(recipe, data, out, progress)
    trainer = Trainer(
        model=model,
        args=_arguments(recipe, out),
        train_dataset=data,
        callbacks=[saver],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    with saver.bar:
        trainer.train()
    return saver.saved


def _claim(out: Path) -> None:
    """Make the folder, unless that would mix or overwrite what is there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError(
                f"{out} already holds files; choose another folder with --out, or delete it first."
            )
        (out / ".writable").touch()
        (out / ".writable").unlink()
    except OSError as error:
        raise UsageError(f"Cannot write to {out}: {error.strerror}.") from None


def _arguments(recipe: Recipe, out: Path) -> TrainingArguments:
    settings = recipe.pretraining
    return TrainingArguments(
        output_dir=str(out),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta2=0.98,
        max_grad_norm=settings.clip,
        optim="adamw_torch_fused",
        bf16=settings.precision == "bf16",
        use_cpu=True,
        seed=settings.seed,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )


class _Saver(TrainerCallback):  # type: ignore[misc]
    """Watches the loss, moves the progress bar, and saves at the recipe's steps."""

    def __init__(self, recipe: Recipe, data: TrainingData, out: Path, progress: bool) -> None:
        self.recipe, self.data, self.out = recipe, data, out
        self.saved: list[Path] = []
        looks = recipe.pretraining.steps // (10 * _LOOK_EVERY)
        self.losses: deque[float] = deque(maxlen=max(1, looks))
        self.started = time.perf_counter(), time.process_time()
        self.bar = tqdm(
            total=recipe.pretraining.steps, desc=f"training {recipe.name}", disable=not progress
        )

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **context: Any,
    ) -> None:
        """Count the step, and have the loss shown where it is looked at."""
        self.bar.update()
        step = state.global_step
        control.should_log = step % _LOOK_EVERY == 0 or step in self.recipe.save_steps

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **context: Any,
    ) -> None:
        """Look at the mean loss since the last look, and save where the recipe says so."""
        if "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise EvaluationError(
                f"The training loss is {loss} by step {state.global_step}; lower "
                "pretraining.learning_rate or use precision: fp32."
            )
        self.losses.append(loss)
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        if state.global_step in self.recipe.save_steps:
            self._save(state.global_step, context["model"])

    def _save(self, step: int, model: PreTrainedModel) -> None:
        folder = self.out / f"step-{step:06d}"
        save_checkpoint(folder, model, self.data.tokenizer, self._manifest(step, model))
        self.saved.append(folder)

    def _manifest(self, step: int, model: PreTrainedModel) -> TrainingManifest:
        wall, cpu = self.started
        return TrainingManifest(
            name=self.recipe.name,
            recipe=self.recipe,
            step=step,
            tokens_seen=self.data.tokens_in(step * self.recipe.pretraining.batch_size),
            loss=sum(self.losses) / len(self.losses),
            parameters=model.num_parameters(),
            corpus=self.data.record,
            tokenizer_sha256=tokenizer_hash(self.data.tokenizer),
            knobs=self.recipe.corpus.model_dump(exclude={"seed"}),
            wall_s=round(time.perf_counter() - wall, 3),
            cpu_s=round(time.process_time() - cpu, 3),
            created=now(),
            libraries=libraries(),
            hardware=hardware(),
        )
