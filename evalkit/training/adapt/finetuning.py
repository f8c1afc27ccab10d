"""Adapts a checkpoint as a recipe says: checked, trained, saved, and measured on held-out rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from evalkit.errors import DataError, UsageError
from evalkit.training.adapt.held_out import measure_after, measure_before
from evalkit.training.adapt.measure import figures
from evalkit.training.adapt.parent import open_parent
from evalkit.training.adapt.recipe import FinetuneRecipe
from evalkit.training.adapt.rewards import (
    check_reward,
    model_score,
    open_reward_model,
    rule_score,
)
from evalkit.training.adapt.rows import Rows, load_rows
from evalkit.training.adapt.text import (
    as_text,
    check_lengths,
    count_tokens,
    prepare_template,
)
from evalkit.training.adapt.trainers import Job, make_trainer
from evalkit.training.adapt.watch import Watch
from evalkit.training.checkpoint import hardware
from evalkit.training.derived import DerivedManifest, claim, derive, record
from evalkit.training.manifest import CorpusRecord
from evalkit.training.memory import keep_freed_memory
from evalkit.training.optimisation import trainer_arguments

_CLASSIFIERS = ("reward", "classifier")
_LIBRARIES = ("trl", "peft")


def finetune(
    recipe: FinetuneRecipe,
    out: Path,
    *,
    progress: bool = True,
    callbacks: Sequence[TrainerCallback] = (),
) -> DerivedManifest:
    """Make a checkpoint from another by further training.

    Args:
        recipe: What to do.
        out: Folder of the new checkpoint; must not exist yet, or be empty.
        progress: Show a progress bar on stderr.
        callbacks: Look on while it trains.

    Returns:
        The new checkpoint's manifest, with what was measured on held-out rows.

    Raises:
        UsageError: The folder is in use, the device missing, or the recipe asks the impossible.
        DataError: The parent, the data or the chat template cannot be used.
        EvaluationError: The loss became infinite or undefined.
    """
    claim(out)
    torch.set_num_threads(recipe.optimisation.threads)
    keep_freed_memory()
    job = prepare_job(recipe, out)
    before = measure_before(job)
    watch = Watch(recipe.name, int(job.arguments["max_steps"]), progress)
    trainer = make_trainer(job, [watch, *callbacks])
    try:
        trainer.train()
    finally:
        watch.close()
    manifest = _save(job, trainer, watch, out)
    del trainer
    manifest.held_out = figures(measure_after(job, out), before)
    losses = [figure.value for figure in manifest.held_out if figure.metric == "loss"]
    manifest.held_out_loss = losses[0] if losses else None
    record(out, manifest)
    return manifest


def prepare_job(recipe: FinetuneRecipe, out: Path) -> Job:
    """Check all that the recipe names, before any weights are loaded.

    Raises:
        UsageError: The device is missing, or the parent cannot be changed.
        DataError: The parent, the data or the chat template cannot be used.
    """
    parent = open_parent(recipe.parent, causal=recipe.method not in _CLASSIFIERS)
    rows = load_rows(recipe.data, recipe.method)
    arguments = trainer_arguments(recipe.optimisation, str(out), len(rows.train))
    prepare_template(rows, parent.tokenizer, recipe.chat_template)
    rows = as_text(rows, parent.tokenizer)
    rows = check_lengths(
        rows,
        parent.tokenizer,
        parent.context,
        reserved=_reserved(recipe),
        drop=recipe.data.drop_long,
    )
    job = Job(recipe, parent, arguments, rows)
    if recipe.method == "classifier":
        labels = sorted({str(row["label"]) for row in (*rows.train, *rows.held_out)})
        if len(labels) < 2:
            raise DataError(f"All rows of {rows.source} have the label {labels[0]!r}.")
        return replace(job, labels=labels)
    check_reward(recipe.reward, rows)
    _check_batch(recipe, rows)
    if recipe.reward.rule is not None:
        return replace(job, score=rule_score(recipe.reward.rule))
    if recipe.reward.model is not None:
        judge, model = open_reward_model(Path(recipe.reward.model))
        return replace(job, score=model_score(model, judge.tokenizer))
    return job


def _check_batch(recipe: FinetuneRecipe, rows: Rows) -> None:
    """A step of grpo takes whole batches of prompts, none of them twice."""
    wanted = recipe.optimisation.batch_size * recipe.optimisation.accumulation
    if recipe.method == "grpo" and len(rows.train) < wanted:
        raise UsageError(
            f"A step takes {wanted} prompts, and {rows.source} has {len(rows.train)} to learn "
            "from; lower optimisation.batch_size, or add prompts."
        )


def _reserved(recipe: FinetuneRecipe) -> int:
    """Tokens of the context that are not the rows'."""
    prefix = recipe.adapter.virtual_tokens if recipe.adapter.kind == "prefix" else 0
    return prefix + (recipe.sampling.max_new_tokens if recipe.method == "grpo" else 0)


def _save(job: Job, trainer: Any, watch: Watch, out: Path) -> DerivedManifest:
    """Save what the trainer made: an adapter, or a whole checkpoint."""
    recipe, tokenizer = job.recipe, job.parent.tokenizer
    model = trainer.model.to("cpu")
    if recipe.adapter.kind == "lora" and recipe.adapter.save == "merged":
        model = model.merge_and_unload(safe_merge=True)
    if recipe.method not in _CLASSIFIERS:
        # A trainer's padding is no business of the checkpoint's; classifiers find their end by it.
        model.config.pad_token_id = job.parent.checkpoint.config.get("pad_token_id")
        model.generation_config.pad_token_id = None
    tokens = count_tokens(job.rows, tokenizer)
    return derive(
        recipe,
        model,
        tokenizer,
        job.parent.path,
        out,
        uses=_LIBRARIES,
        name=recipe.name,
        stage="finetuning",
        hardware=hardware(trainer.args.device.type),
        corpus=CorpusRecord(
            sha256=job.rows.sha256,
            passages=job.rows.kinds,
            characters=job.rows.characters,
            tokens=tokens,
        ),
        **watch.fields,
    )
