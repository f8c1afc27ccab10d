"""Searches a recipe's values over a budget, with optuna; takes up where it was left."""

import shutil
import time
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState
from pydantic import BaseModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from evalkit.errors import DataError, EvalkitError, EvaluationError, UsageError
from evalkit.progress import progress_bar
from evalkit.training.adapt import FinetuneRecipe
from evalkit.training.recipe import Recipe, load_recipe
from evalkit.training.recipe_file import models_in, nearest
from evalkit.training.sweep_recipe import KINDS, Range, SweepRecipe
from evalkit.training.trials import REASON, finished, write_trials
from evalkit.types import digest

JOURNAL = "journal.log"
BEST_RECIPE = "best.yaml"
BEST = "best"
_BUDGET = {"trials", "minutes", "name"}
"""Keys that may change when a search is gone on with."""


def sweep(recipe: SweepRecipe, out: Path, *, progress: bool = True) -> optuna.Study:
    """Try values until the budget is spent; with the same folder again, go on where it was left.

    Args:
        recipe: What to search, where, and for how long.
        out: Folder of the search: its journal, the tables of trials, the best recipe and the best
            trial's checkpoint.
        progress: Show a progress bar on stderr.

    Returns:
        The finished study.

    Raises:
        UsageError: A key of the space is unknown, or the folder holds something else.
        EvaluationError: No trial came to its end.
    """
    for key in recipe.space:
        _check_key(recipe, key)
    _chosen(recipe, {})
    study = _open_study(recipe, out)
    started = time.monotonic()
    known = len(finished(study))
    label = f"searching {recipe.name}"
    with progress_bar(recipe.trials, label, "trial", done=known, show=progress) as bar:
        while len(finished(study)) < recipe.trials and _has_time(recipe, started):
            _try_once(study, recipe, out)
            _keep_best(study, out)
            write_trials(study, out)
            bar.update(len(finished(study)) - bar.n)
    _write_best(study, recipe, out)
    return study


def _has_time(recipe: SweepRecipe, started: float) -> bool:
    return recipe.minutes is None or time.monotonic() - started < recipe.minutes * 60


def _check_key(recipe: SweepRecipe, key: str) -> None:
    kinds: list[type[BaseModel]] = [KINDS[recipe.command]]
    for part in key.split("."):
        fields = {name: field for kind in kinds for name, field in kind.model_fields.items()}
        if not fields:  # a mapping that the recipe hands on
            return
        if part not in fields:
            raise UsageError(
                f"The space names {key!r}, which is no key of a {recipe.command} recipe; "
                + nearest(part, list(fields))
            )
        kinds = [model for _, model in models_in(fields[part].annotation)]


def _chosen(recipe: SweepRecipe, values: dict[str, Any]) -> Recipe | FinetuneRecipe:
    """The searched recipe with these values in it.

    Raises:
        UsageError: The recipe cannot be read, or the values do not go together.
    """
    texts = {key: yaml.safe_dump(value) for key, value in (recipe.set | values).items()}
    found = load_recipe(recipe.recipe, texts, model=KINDS[recipe.command])
    assert isinstance(found, Recipe | FinetuneRecipe)  # noqa: S101
    return found


def _open_study(recipe: SweepRecipe, out: Path) -> optuna.Study:
    """The search in this folder, new or as it was left."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal = out / JOURNAL
    if out.exists() and not journal.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} already holds files that are no search; choose another folder with --out."
        )
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name="sweep",
        direction=recipe.direction,
        pruner=_pruner(recipe),
        load_if_exists=True,
    )
    mark = digest(recipe.model_dump(mode="json", exclude=_BUDGET))
    if study.user_attrs.setdefault("recipe", mark) != mark:
        raise UsageError(
            f"{out} holds a search of another recipe; choose another folder with --out, or take "
            "the recipe that it was begun with."
        )
    study.set_user_attr("recipe", mark)
    study.set_user_attr("metric", recipe.metric)
    for cut in study.get_trials(states=[TrialState.RUNNING]):  # a process was killed
        study.tell(cut.number, state=TrialState.FAIL)
        study.enqueue_trial(cut.params)
    _keep_best(study, out)
    return study


def _pruner(recipe: SweepRecipe) -> optuna.pruners.BasePruner:
    if recipe.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=max(2, recipe.trials // 5))
    if recipe.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()


def _try_once(study: optuna.Study, recipe: SweepRecipe, out: Path) -> None:
    """One trial, whatever becomes of it."""
    # Seeded by its number, so that a search that was cut draws what the unbroken one would.
    study.sampler = TPESampler(
        seed=recipe.seed + len(finished(study)), n_startup_trials=max(2, recipe.trials // 3)
    )
    trial = study.ask()
    try:
        values = {key: _suggest(trial, key, span) for key, span in recipe.space.items()}
        value = _run(trial, recipe, values, _folder(out, trial.number))
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except EvalkitError as error:
        trial.set_user_attr(REASON, str(error))
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)


def _suggest(trial: Trial, key: str, span: Range) -> Any:
    if span.choices:
        return trial.suggest_categorical(key, list(span.choices))
    low, high = span.low, span.high
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, step=int(span.step or 1), log=span.log)
    assert low is not None and high is not None  # noqa: S101 - a range has both or choices
    return trial.suggest_float(key, low, high, step=span.step, log=span.log)


def _run(trial: Trial, recipe: SweepRecipe, values: dict[str, Any], folder: Path) -> float:
    """Train with these values; the metric that came of it."""
    chosen = _chosen(recipe, values)
    looking = [_Pruning(trial, 1 if recipe.direction == "minimize" else -1)]
    if isinstance(chosen, FinetuneRecipe):
        from evalkit.training.adapt.finetuning import finetune

        made = finetune(chosen, folder, progress=False, callbacks=looking)
        found = {figure.metric: figure.value for figure in made.held_out}
        loss = made.loss
    else:
        from evalkit.training.manifest import read_manifest
        from evalkit.training.pretrain import train

        last = read_manifest(train(chosen, folder, progress=False, callbacks=looking)[-1])
        assert last is not None  # noqa: S101 - every training writes one
        found, loss = {"loss": last.held_out_loss}, last.loss
    value = found.get(recipe.metric)
    if value is None and recipe.metric == "loss":
        value = loss
    if value is None:
        raise DataError(
            f"metric is {recipe.metric!r}, and what was measured is {', '.join(found) or 'loss'}."
        )
    return value


class _Pruning(TrainerCallback):  # type: ignore[misc]
    """Tells the search how a trial gets on, and ends it where it is hopeless.

    Args:
        trial: The trial.
        sign: 1 where the search minimises, -1 where it maximises.
    """

    def __init__(self, trial: Trial, sign: int) -> None:
        self._trial, self._sign = trial, sign

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **context: Any,
    ) -> None:
        """Look at the loss: of held-out text, where the training looks at it too."""
        name = "loss" if str(args.eval_strategy.value) == "no" else "eval_loss"
        if name not in logs:
            return
        self._trial.report(self._sign * logs[name], state.global_step)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def _folder(out: Path, number: int) -> Path:
    return out / f"trial-{number:04d}"


def _keep_best(study: optuna.Study, out: Path) -> None:
    """Of the trials' checkpoints keep the best one's alone."""
    if study.get_trials(states=[TrialState.COMPLETE]):
        made = _folder(out, study.best_trial.number)
        if made.exists():
            shutil.rmtree(out / BEST, ignore_errors=True)
            made.rename(out / BEST)
    for beaten in out.glob("trial-[0-9]*"):
        shutil.rmtree(beaten, ignore_errors=True)


def _write_best(study: optuna.Study, recipe: SweepRecipe, out: Path) -> None:
    if not study.get_trials(states=[TrialState.COMPLETE]):
        reasons = [
            trial.user_attrs[REASON] for trial in finished(study) if REASON in trial.user_attrs
        ]
        why = f"; the last one that failed says: {reasons[-1]}" if reasons else "."
        raise EvaluationError(f"No trial of {out} came to its end{why}")
    best = _chosen(recipe, study.best_trial.params).model_dump(mode="json")
    head = f"# Best of {len(finished(study))} trials: {recipe.metric} {study.best_value:.6g}\n"
    text = head + yaml.safe_dump(best, sort_keys=False, allow_unicode=True)
    (out / BEST_RECIPE).write_text(text, encoding="utf-8")
