"""Distillation: a small student learns the teacher's predictions along with the text."""

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn import functional
from transformers import Trainer, TrainerCallback, TrainingArguments

from evalkit.training.adapt.parent import Parent, load_causal
from evalkit.training.adapt.watch import Watch
from evalkit.training.architecture import build_model
from evalkit.training.compress.recipe import Distil
from evalkit.training.compress.text import read_text
from evalkit.training.manifest import CorpusRecord
from evalkit.training.memory import keep_freed_memory
from evalkit.training.objectives import IGNORED
from evalkit.training.optimisation import total_steps, trainer_arguments


def distil(
    teacher: Parent,
    choice: Distil,
    name: str,
    *,
    progress: bool = True,
    callbacks: Sequence[TrainerCallback] = (),
) -> tuple[Any, dict[str, Any]]:
    """Train a student.

    Args:
        teacher: The large checkpoint.
        choice: The student, and how it learns.
        name: For the progress bar.
        progress: Show one.
        callbacks: Look on while it trains.

    Returns:
        The student, and what a training manifest wants to know: `loss` is the text's alone.

    Raises:
        UsageError: The device is missing, or the student cannot be built.
        DataError: The teacher or the text cannot be read.
        EvaluationError: The loss became infinite or undefined.
    """
    settings = choice.optimisation
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    arguments = trainer_arguments(settings, "distilled", 0)
    context = min(choice.architecture.context, teacher.context or choice.architecture.context)
    rows = total_steps(settings, 0) * settings.batch_size * settings.accumulation
    text, record = read_text(choice.source, teacher, context, rows)
    transformers.set_seed(settings.seed)
    student = build_model(choice.architecture, teacher.tokenizer)
    watch = Watch(name, int(arguments["max_steps"]), progress)
    trainer = _Distiller(
        teacher=load_causal(teacher).eval().requires_grad_(False),
        choice=choice,
        model=student,
        args=TrainingArguments(**arguments, train_sampling_strategy="sequential"),
        train_dataset=text,
        callbacks=[watch, *callbacks],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    try:
        trainer.train()
    finally:
        watch.close()
    tail = trainer.hard[-max(1, len(trainer.hard) // 10) :]
    fields = watch.fields | {
        "loss": sum(tail) / len(tail),
        "tokens_seen": text.tokens_in(rows),
        "corpus": CorpusRecord(**record),
    }
    return student.to("cpu"), fields


class _Distiller(Trainer):  # type: ignore[misc]
    """Trainer with the loss of Hinton et al., arXiv 1503.02531.

    Attributes:
        hard: The text's own loss, batch by batch, in nats a token.
    """

    loss_is_scaled_for_ga = False

    def __init__(self, *, teacher: Any, choice: Distil, **settings: Any) -> None:
        super().__init__(**settings)
        self.hard: list[float] = []
        self._teacher = teacher.to(self.args.device)
        self._choice = choice

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean over the batch's tokens of the softened divergence and the text's own loss."""
        labels = inputs["labels"][:, 1:]
        learnt = labels != IGNORED
        outputs = model(input_ids=inputs["input_ids"], use_cache=False)
        told = outputs.logits[:, :-1][learnt].float()
        hard = functional.cross_entropy(told, labels[learnt])
        self.hard.append(float(hard.detach()))
        soft = self._divergence(told, inputs["input_ids"], learnt)
        loss = self._choice.soft_share * soft + (1 - self._choice.soft_share) * hard
        return (loss, outputs) if return_outputs else loss

    def _divergence(self, told: Tensor, ids: Tensor, learnt: Tensor) -> Tensor:
        """How far the student is from the teacher, both softened, in nats a token."""
        if self._choice.soft_share == 0:
            return told.new_zeros(())
        with torch.no_grad():
            taught = self._teacher(input_ids=ids, use_cache=False).logits[:, :-1][learnt].float()
        warmth = self._choice.temperature
        divergence: Tensor = functional.kl_div(
            (told / warmth).log_softmax(-1),
            (taught / warmth).log_softmax(-1),
            log_target=True,
            reduction="batchmean",
        )
        # Its gradients shrink with the square of the temperature.
        return divergence * warmth**2
