"""Watches a training: its losses, its speed, and whatever goes wrong, named as it happens."""

import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import torch

from evalkit.errors import EvaluationError
from evalkit.training.data import TrainingData
from evalkit.training.history import History
from evalkit.training.recipe import Recipe

_USUAL = 64
"""Steps whose losses say what is usual."""
_SPIKE_DEVIATIONS, _SPIKE_SHARE = 8.0, 0.15
_FLAT_SHARE, _FALLING_SHARE = 0.002, 0.01
_WRITE_EVERY_S = 20.0


class Watch:
    """Keeps account of a training.

    Attributes:
        history: All that was seen, for metrics.parquet.
        usual: Losses of the last steps.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingData,
        history: History,
        speed_of_light: float,
        say: Callable[[str], None],
    ) -> None:
        """Begin to watch.

        Args:
            recipe: What is trained.
            data: Names the batches.
            history: Where all of it is written.
            speed_of_light: Tokens a second at the machine's matrix-product peak.
            say: Tells the user.
        """
        self._recipe, self._data, self.history, self._say = recipe, data, history, say
        self._speed_of_light = speed_of_light
        self._parts: list[torch.Tensor] = []
        self.usual: deque[float] = deque(maxlen=_USUAL)
        window = max(50, recipe.pretraining.steps // 10)
        self._recent: deque[float] = deque(maxlen=2 * window)
        self._spiked = -_USUAL
        self._is_flat = False
        self._before = time.perf_counter(), 0
        self._started = time.perf_counter()
        self._written = time.perf_counter()
        self.wall_before = max((row["wall_s"] or 0.0 for row in history.rows), default=0.0)

    def saw(self, loss: torch.Tensor) -> None:
        """Note the loss of a part of a step; it is looked at later, so as not to wait for it."""
        self._parts.append(loss)

    def restart_clock(self, step: int) -> None:
        """Leave out of the speed what has passed since the last look."""
        self._before = time.perf_counter(), step

    @property
    def wall_s(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self.wall_before + time.perf_counter() - self._started

    def look(
        self, step: int, logs: dict[str, float], mean: Callable[[torch.Tensor], torch.Tensor]
    ) -> dict[str, float]:
        """Look at all steps since the last look.

        Args:
            step: The step that has just been taken.
            logs: What Trainer knows: loss, grad_norm and learning_rate.
            mean: Takes the mean over all processes.

        Returns:
            tokens_seen, tokens_per_s and peak_share, to be logged too.

        Raises:
            EvaluationError: A loss or a gradient is infinite or undefined.
        """
        losses = self._drain(mean)
        self._check(step, losses, logs)
        now = time.perf_counter()
        then, last = self._before
        speed = (step - last) * self._recipe.tokens_per_step / max(now - then, 1e-9)
        batch = self._recipe.pretraining.batch_size
        seen = {
            "tokens_seen": self._data.train.tokens_in(step * batch),
            "tokens_per_s": speed,
            "peak_share": speed / self._speed_of_light,
        }
        event, detail = self._event(step, losses, logs["learning_rate"])
        self.history.add(
            step=step,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            grad_norm=logs.get("grad_norm"),
            wall_s=self.wall_s,
            event=event,
            detail=detail,
            **seen,
        )
        if now - self._written > _WRITE_EVERY_S:
            self._written = now
            with suppress(OSError):  # a full disk is told when a checkpoint cannot be saved
                self.history.write()
        self.restart_clock(step)
        return seen

    def measured(self, step: int, loss: float) -> None:
        """Note the loss on held-out sequences."""
        self.history.add(step=step, held_out_loss=loss, wall_s=self.wall_s)

    def _drain(self, mean: Callable[[torch.Tensor], torch.Tensor]) -> list[float]:
        """Losses of the steps since the last look, the parts of each summed."""
        if not self._parts:
            return []
        parts = mean(torch.stack(self._parts).float())
        self._parts.clear()
        steps: list[float] = parts.view(-1, self._recipe.pretraining.accumulation).sum(1).tolist()
        return steps

    def _check(self, step: int, losses: list[float], logs: dict[str, float]) -> None:
        first = step - len(losses) + 1
        advice = "lower pretraining.learning_rate or use precision: fp32."
        for number, loss in enumerate(losses, first):
            if not math.isfinite(loss):
                raise EvaluationError(
                    f"The training loss is {loss} at step {number}, on {self._batch(number)}; "
                    f"{advice}"
                )
        if not math.isfinite(logs["loss"]):
            raise EvaluationError(f"The training loss is {logs['loss']} by step {step}; {advice}")
        norm = logs.get("grad_norm", 0.0)
        # In fp16 the scaler meets infinite gradients on purpose, and leaves such a step out.
        if not math.isfinite(norm) and self._recipe.pretraining.precision != "fp16":
            raise EvaluationError(
                f"The gradient's norm is {norm} at step {step}, on {self._batch(step)}; {advice}"
            )

    def _batch(self, step: int) -> str:
        """A step's batch in words."""
        size = self._recipe.pretraining.batch_size
        first = (step - 1) * size
        text = self._data.beginning(first)
        return f"sequences {first} to {first + size - 1} of the corpus, which begin {text!r}"

    def _event(
        self, step: int, losses: list[float], rate: float
    ) -> tuple[str, str] | tuple[None, None]:
        """What is out of the ordinary since the last look, if anything; the user is told."""
        worst: tuple[float, int, float] | None = None
        for number, loss in enumerate(losses, step - len(losses) + 1):
            excess = self._excess(loss)
            if excess > 0 and (worst is None or excess > worst[0]):
                worst = excess, number, loss
            self.usual.append(loss)
            self._recent.append(loss)
        if worst and step - self._spiked > _USUAL:
            self._spiked = step
            _, number, loss = worst
            text = (
                f"Loss spike at step {number}: {loss:.3f} nats a token, where "
                f"{statistics.median(self.usual):.3f} is usual, on {self._batch(number)}."
            )
            self._say(text)
            return "spike", text
        return self._plateau(step, rate)

    def _excess(self, loss: float) -> float:
        """How far a loss is above what passes for noise."""
        if len(self.usual) < _USUAL // 2:
            return 0.0
        usual = statistics.median(self.usual)
        deviation = 1.4826 * statistics.median(abs(value - usual) for value in self.usual)
        allowed = max(_SPIKE_DEVIATIONS * deviation, _SPIKE_SHARE * usual)
        return loss - usual - allowed

    def _plateau(self, step: int, rate: float) -> tuple[str, str] | tuple[None, None]:
        """Whether the loss has stopped falling while the rate is still high."""
        window = len(self._recent) // 2
        if len(self._recent) < (self._recent.maxlen or 0):
            return None, None
        if rate < 0.1 * self._recipe.pretraining.learning_rate:
            return None, None
        values = list(self._recent)
        before, after = values[:window], values[window:]
        gain = statistics.fmean(before) - statistics.fmean(after)
        mean = statistics.fmean(before)
        error = math.sqrt((statistics.variance(before) + statistics.variance(after)) / window)
        if self._is_flat:  # until it clearly falls again, so that noise does not end a plateau
            self._is_flat = gain < _FALLING_SHARE * mean or gain < 3 * error
            return None, None
        self._is_flat = gain < _FLAT_SHARE * mean and gain < 2 * error
        if not self._is_flat:
            return None, None
        text = (
            f"Plateau at step {step}: the loss has not fallen over the last {2 * window} steps "
            f"({statistics.fmean(after):.3f} nats a token)."
        )
        self._say(text)
        return "plateau", text
