"""The trainers, each a library's own: trl's for language models, transformers' for classifiers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import huggingface_hub.constants
import transformers
from peft import LoraConfig, PrefixTuningConfig
from transformers import (
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging as transformers_logging

from evalkit.errors import DataError
from evalkit.training.adapt.parent import Parent, load_causal, load_classifier
from evalkit.training.adapt.recipe import Adapter, FinetuneRecipe
from evalkit.training.adapt.rewards import Score
from evalkit.training.adapt.rows import Row, Rows

_COLUMNS = {
    "messages": ("messages",),
    "prompt and completion": ("prompt", "completion"),
    "prompt, chosen and rejected": ("prompt", "chosen", "rejected"),
}


@dataclass(frozen=True)
class Job:
    """What a trainer is made from.

    Attributes:
        arguments: What `trainer_arguments` gave.
        rows: As text, all of them within the context.
        labels: Names of a classifier's classes.
        score: What a reply is worth, for grpo.
    """

    recipe: FinetuneRecipe
    parent: Parent
    arguments: dict[str, Any]
    rows: Rows
    labels: Sequence[str] = ()
    score: Score | None = None


def make_trainer(job: Job, callbacks: Sequence[TrainerCallback]) -> Trainer:
    """The trainer of the recipe's method, with the parent loaded; it writes and reports nothing.

    Raises:
        DataError: The parent cannot be loaded, or its chat template does not tell answers apart.
    """
    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()
    # trl would report each training to its makers.
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    transformers.set_seed(job.recipe.optimisation.seed)
    trainer = _MAKERS[job.recipe.method](job)
    trainer.remove_callback(transformers.PrinterCallback)
    for callback in callbacks:
        trainer.add_callback(callback)
    return trainer


def _sft(job: Job) -> Trainer:
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    conversations = job.rows.layout == "messages"
    model = load_causal(job.parent)
    try:
        return SFTTrainer(
            model=model,
            args=SFTConfig(
                **job.arguments,
                max_length=None,
                assistant_only_loss=conversations,
                completion_only_loss=None if conversations else True,
            ),
            train_dataset=_dataset(job.rows),
            processing_class=job.parent.tokenizer,
            peft_config=_adapter(job.recipe.adapter),
        )
    except (ValueError, RuntimeError) as error:
        if not conversations:
            raise
        raise DataError(
            "The chat template does not tell the assistant's answers apart, so they alone cannot "
            "be learnt; name one that has {% generation %} around them, with chat_template."
        ) from error


def _dpo(job: Job) -> Trainer:
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    choice = job.recipe.preference
    return DPOTrainer(
        model=load_causal(job.parent),
        args=DPOConfig(**job.arguments, max_length=None, beta=choice.beta, loss_type=[choice.loss]),
        train_dataset=_dataset(job.rows),
        processing_class=job.parent.tokenizer,
        peft_config=_adapter(job.recipe.adapter),
    )


def _reward(job: Job) -> Trainer:
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    return RewardTrainer(
        model=load_classifier(job.parent, ["score"], job.recipe.optimisation.seed),
        args=RewardConfig(**job.arguments, max_length=None),
        train_dataset=_dataset(job.rows),
        processing_class=job.parent.tokenizer,
    )


def _grpo(job: Job) -> Trainer:
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    choice = job.recipe.sampling
    batch = job.arguments["per_device_train_batch_size"] * choice.generations
    return GRPOTrainer(
        model=load_causal(job.parent),
        reward_funcs=[_reward_function(job)],
        args=GRPOConfig(
            **{**job.arguments, "per_device_train_batch_size": batch},
            num_generations=choice.generations,
            max_completion_length=choice.max_new_tokens,
            temperature=choice.temperature,
            beta=choice.beta,
        ),
        train_dataset=datasets.Dataset.from_list(
            [{"prompt": row["prompt"], "place": i} for i, row in enumerate(job.rows.train)]
        ),
        processing_class=job.parent.tokenizer,
        peft_config=_adapter(job.recipe.adapter),
    )


def _reward_function(job: Job) -> Callable[..., list[float]]:
    """The recipe's reward as trl asks for it: by columns."""

    def reward(completions: list[str], place: list[int], **columns: Any) -> list[float]:
        assert job.score is not None  # noqa: S101 - the method has one
        return job.score([job.rows.train[i] for i in place], completions)

    return reward


def _classifier(job: Job) -> Trainer:
    tokenizer = job.parent.tokenizer
    places = {label: index for index, label in enumerate(job.labels)}
    encoded = [
        {
            "input_ids": tokenizer(row["text"])["input_ids"],
            "labels": places[str(row["label"])],
        }
        for row in job.rows.train
    ]
    return Trainer(
        model=load_classifier(job.parent, list(job.labels), job.recipe.optimisation.seed),
        args=TrainingArguments(**job.arguments, include_num_input_tokens_seen="non_padding"),
        train_dataset=datasets.Dataset.from_list(encoded),
        data_collator=DataCollatorWithPadding(tokenizer),
    )


_MAKERS: dict[str, Callable[[Job], Trainer]] = {
    "sft": _sft,
    "dpo": _dpo,
    "reward": _reward,
    "grpo": _grpo,
    "classifier": _classifier,
}


def _adapter(choice: Adapter) -> Any:
    """What peft calls the recipe's adapter; None to train all weights."""
    if choice.kind == "lora":
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=choice.rank,
            lora_alpha=choice.alpha,
            lora_dropout=choice.dropout,
            target_modules=list(choice.targets) or "all-linear",
        )
    if choice.kind == "prefix":
        return PrefixTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=choice.virtual_tokens,
            init_weights="zero",  # begins near the parent; drawn at random it would disturb it
        )
    return None


def _dataset(rows: Rows) -> datasets.Dataset:
    names = _COLUMNS[rows.layout]

    def columns(row: Row) -> Row:
        return {name: row[name] for name in names}

    return datasets.Dataset.from_list([columns(row) for row in rows.train])
