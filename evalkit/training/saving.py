"""When checkpoints are saved, what is in them, and which are kept."""

import shutil
import time
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from tqdm import tqdm
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from evalkit.training.arguments import precision_of
from evalkit.training.checkpoint import hardware, make_manifest, save_parts, writing
from evalkit.training.data import TrainingData
from evalkit.training.manifest import TrainingManifest, read_manifest
from evalkit.training.recipe import MicroWorld, Recipe
from evalkit.training.resume import STATE, Start, checkpoints, step_of
from evalkit.training.stopping import StopSignal
from evalkit.training.watch import Watch
from evalkit.training.world.knobs import Knobs


class Saver(TrainerCallback):  # type: ignore[misc]
    """Decides after each step whether to look, to measure and to save; and saves.

    Attributes:
        is_stopped: Whether a signal ended the training early.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingData,
        out: Path,
        start: Start,
        watch: Watch,
        bar: "tqdm[Any]",
    ) -> None:
        self._recipe, self._data, self._out = recipe, data, out
        self._watch, self._bar = watch, bar
        self._saved_at = time.monotonic()
        before = read_manifest(start.checkpoint) if start.checkpoint else None
        self._cpu_before = before.cpu_s if before else 0.0
        self._cpu_started = time.process_time()
        self.stop = StopSignal()
        self.is_stopped = False

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **context: Any,
    ) -> None:
        """Count the step, and say what is to be done after it."""
        self._bar.update()
        step = state.global_step
        is_look = step % self._recipe.watch.log_every == 0
        is_due = self._is_due(step)
        if is_look or args.world_size == 1:
            by_clock, is_stopped = self._agreed(args, is_look and self._is_late())
            is_due, self.is_stopped = is_due or by_clock or is_stopped, is_stopped
        control.should_log = is_look or is_due
        control.should_save = is_due
        control.should_training_stop |= self.is_stopped
        control.should_evaluate |= is_due and self._data.held_out is not None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **context: Any,
    ) -> None:
        """Show the loss."""
        if "loss" in logs:
            self._bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)

    def save(self, trainer: Trainer) -> None:
        """Save a checkpoint; all processes take part.

        Raises:
            UsageError: It cannot be written; those that are there stay.
        """
        step = trainer.state.global_step
        folder = self._out / f"step-{step:06d}"
        state_dict: dict[str, Any] | None = None
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        if trainer.args.should_save:
            model = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
            if state_dict:  # what was gathered twice would be stored twice
                for tied in model.all_tied_weights_keys:
                    state_dict.pop(tied, None)
            with writing(folder) as unfinished:
                manifest = self._manifest(step, model, trainer.args)
                tokenizer = self._data.tokenizer
                save_parts(unfinished, model, tokenizer, manifest, state_dict=state_dict)
                self._save_state(trainer, unfinished / STATE)
                self._watch.history.write()
            self._tidy()
        else:
            self._save_state(trainer, folder.with_name(f".{folder.name}.unfinished") / STATE)
        trainer.accelerator.wait_for_everyone()
        self._saved_at = time.monotonic()

    def _save_state(self, trainer: Trainer, folder: Path) -> None:
        """Write what only a resume needs; of a finished training nothing."""
        if trainer.state.global_step >= self._recipe.pretraining.steps:
            return
        if trainer.args.should_save:
            folder.mkdir()
        trainer.accelerator.wait_for_everyone()
        trainer._save_optimizer_and_scheduler(str(folder))
        trainer._save_scaler(str(folder))
        trainer._save_rng_state(str(folder))
        if trainer.args.should_save:
            trainer.state.save_to_json(str(folder / "trainer_state.json"))
        trainer.accelerator.wait_for_everyone()

    def _manifest(
        self, step: int, model: PreTrainedModel, args: TrainingArguments
    ) -> TrainingManifest:
        recipe, history = self._recipe, self._watch.history
        world = recipe.corpus if isinstance(recipe.corpus, MicroWorld) else None
        looks = recipe.pretraining.steps // (10 * recipe.watch.log_every)
        losses = history.losses(max(1, looks))
        machine = {**hardware(model.device.type), "precision": precision_of(args)}
        return make_manifest(
            recipe,
            model,
            self._data.tokenizer,
            name=recipe.name,
            step=step,
            tokens_seen=self._data.train.tokens_in(step * recipe.pretraining.batch_size),
            loss=sum(losses) / len(losses),
            held_out_loss=history.held_out_loss,
            corpus=self._data.record,
            knobs=Knobs(**world.model_dump(include=set(Knobs.model_fields))) if world else None,
            wall_s=round(self._watch.wall_s, 3),
            cpu_s=round(self._cpu_before + time.process_time() - self._cpu_started, 3),
            hardware={**machine, "processes": args.world_size} if args.world_size > 1 else machine,
        )

    def _is_due(self, step: int) -> bool:
        every = self._recipe.saving.every_steps
        return step in self._recipe.save_steps or bool(every and step % every == 0)

    def _is_late(self) -> bool:
        minutes = self._recipe.saving.every_minutes
        return minutes is not None and time.monotonic() - self._saved_at > 60 * minutes

    def _agreed(self, args: TrainingArguments, is_late: bool) -> tuple[bool, bool]:
        """Whether to save by the clock, and whether to stop: the first process's word."""
        word = [is_late, self.stop.is_raised]
        if args.world_size > 1:
            broadcast_object_list(word)
        return word[0], word[1]

    def _tidy(self) -> None:
        """Remove checkpoints, and states to go on from, that are kept no longer."""
        found = checkpoints(self._out)
        saving = self._recipe.saving
        passing = [each for each in found if step_of(each) not in self._recipe.save_steps]
        known = {each: read_manifest(each) for each in found}
        losses = {
            each: manifest.held_out_loss
            for each, manifest in known.items()
            if manifest and manifest.held_out_loss is not None
        }
        best = sorted(losses, key=lambda each: losses[each])[: saving.keep_best]
        for folder in passing[: -saving.keep_last]:
            if folder not in best:
                _remove(folder)
        is_finished = step_of(found[-1]) >= self._recipe.pretraining.steps
        for folder in found if is_finished else found[: -saving.keep_last]:
            if (folder / STATE).is_dir():
                _remove(folder / STATE)


def _remove(folder: Path) -> None:
    """Take it out of sight first, so that nobody finds half of it."""
    hidden = folder.with_name(f".{folder.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden)
