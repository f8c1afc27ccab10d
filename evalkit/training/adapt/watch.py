"""Looks on while a trainer works: progress, loss, and an end where the loss is undefined."""

import math
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from evalkit.errors import EvaluationError
from evalkit.progress import progress_bar


class Watch(TrainerCallback):  # type: ignore[misc]
    """Moves a progress bar and keeps the losses.

    Attributes:
        losses: Mean loss since the look before, look by look.
        step: Optimiser steps so far.
        tokens: Tokens seen, as far as the trainer tells.
    """

    def __init__(self, name: str, steps: int, progress: bool) -> None:
        self.losses: list[float] = []
        self.step = 0
        self.tokens = 0
        self._started = time.perf_counter(), time.process_time()
        self._bar = progress_bar(steps, f"training {name}", "step", show=progress)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **context: Any,
    ) -> None:
        """Count the step."""
        self.step = state.global_step
        self.tokens = max(self.tokens, int(state.num_input_tokens_seen))
        self._bar.update()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **context: Any,
    ) -> None:
        """Look at the loss."""
        self.tokens = int(logs.get("num_tokens", self.tokens))
        if "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise EvaluationError(
                f"The training loss is {loss} by step {state.global_step}; lower "
                "optimisation.learning_rate or use precision: fp32."
            )
        self.losses.append(loss)
        shown = {"reward": logs["reward"]} if "reward" in logs else {"loss": loss}
        self._bar.set_postfix({k: f"{v:.3f}" for k, v in shown.items()}, refresh=False)

    def close(self) -> None:
        """End the progress bar."""
        self._bar.close()

    @property
    def fields(self) -> dict[str, Any]:
        """What a training manifest wants to know."""
        tail = self.losses[-max(1, len(self.losses) // 10) :]
        wall, cpu = self._started
        return {
            "step": self.step,
            "tokens_seen": self.tokens,
            "loss": sum(tail) / len(tail) if tail else None,
            "wall_s": round(time.perf_counter() - wall, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
        }
