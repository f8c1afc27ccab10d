"""transformers' Trainer, with our view of the loss and our way to save."""

from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainingArguments
from transformers.utils import logging

from evalkit.training.data import TrainingData
from evalkit.training.objectives import masked_loss
from evalkit.training.recipe import Recipe
from evalkit.training.resume import STATE
from evalkit.training.saving import Saver
from evalkit.training.watch import Watch


class Loop(Trainer):  # type: ignore[misc]
    """The loop; everything that the recipe says of it stands in its arguments."""

    def __init__(
        self,
        model: PreTrainedModel,
        arguments: TrainingArguments,
        recipe: Recipe,
        data: TrainingData,
        watch: Watch,
        saver: Saver,
    ) -> None:
        self._watch, self._saver = watch, saver
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=data.train,
            eval_dataset=data.held_out,
            compute_loss_func=masked_loss if recipe.pretraining.objective == "masked" else None,
            callbacks=[saver],
        )
        self.remove_callback(PrinterCallback)

    def training_step(self, *arguments: Any, **more: Any) -> torch.Tensor:
        """Learn from a part of a step."""
        loss: torch.Tensor = super().training_step(*arguments, **more)
        self._watch.saw(loss)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Look at the training before its figures go wherever they are reported to."""
        step = self.state.global_step
        if "loss" in logs:
            logs.update(self._watch.look(step, logs, self._mean))
        elif "eval_loss" in logs:
            self._watch.measured(step, logs["eval_loss"])
            self._watch.restart_clock(step)
        super().log(logs, start_time)

    def evaluate(self, *arguments: Any, **more: Any) -> dict[str, float]:
        """Measure on held-out sequences, drawing nothing from the random streams of training."""
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            measured: dict[str, float] = super().evaluate(*arguments, **more)
        return measured

    def create_accelerator_and_postprocess(self) -> None:
        """Have FSDP2 used on CPUs too: accelerate itself asks for it on accelerators only."""
        super().create_accelerator_and_postprocess()
        state = self.accelerator.state
        if self.args.fsdp and state.distributed_type == DistributedType.MULTI_CPU:
            state.fsdp_plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            state.distributed_type = PartialState().distributed_type = DistributedType.FSDP
            self.is_fsdp_enabled = True

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self._saver.save(self)
        self._watch.restart_clock(self.state.global_step)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load the weights; those that are not sharded lie beside the state, not in it."""
        state = Path(resume_from_checkpoint)
        folder = state if self.is_fsdp_enabled else state.parent
        before = logging.get_verbosity()
        logging.set_verbosity_error()  # tied weights are stored once, which Trainer remarks on
        try:
            super()._load_from_checkpoint(str(folder), model)
        finally:
            logging.set_verbosity(before)

    def _mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean over all processes."""
        if self.args.world_size == 1:
            return values
        reduced: torch.Tensor = self.accelerator.reduce(values, reduction="mean")
        return reduced


def state_of(checkpoint: Path | None) -> str | None:
    """What Trainer resumes from."""
    return str(checkpoint / STATE) if checkpoint else None
