"""Searching: what is tried, what is pruned, what is kept, and going on after a kill."""

import json
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
from optuna.trial import TrialState

from evalkit.errors import EvaluationError, UsageError
from evalkit.training import search
from evalkit.training.adapt import FinetuneRecipe
from evalkit.training.manifest import read_manifest
from evalkit.training.recipe import load_recipe
from evalkit.training.sweep_recipe import SweepRecipe
from tests.checkpoints import make_checkpoint

RATE = "optimisation.learning_rate"


@pytest.fixture(scope="module")
def tuning(tmp_path_factory) -> Path:
    """A fine-tuning recipe of a second."""
    folder = tmp_path_factory.mktemp("tuning")
    parent = make_checkpoint(folder / "tiny", scale=1.0)
    rows = [{"prompt": f"{n} and", "completion": f" {n}"} for n in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "recipe.yaml"
    path.write_text(
        f"parent: {parent}\ndata: {{source: {folder / 'rows.jsonl'}}}\n"
        "optimisation: {steps: 6, batch_size: 8, device: cpu}\n"
    )
    return path


def recipe(tuning: Path, **keys: object) -> SweepRecipe:
    return SweepRecipe.model_validate(
        {
            "command": "finetune",
            "recipe": str(tuning),
            "space": {RATE: {"low": 1e-6, "high": 1e-2, "log": True}},
            "trials": 4,
            "pruner": "none",
            **keys,
        }
    )


@pytest.fixture(scope="module")
def searched(tuning, tmp_path_factory):
    out = tmp_path_factory.mktemp("search") / "found"
    return out, search.sweep(recipe(tuning), out, progress=False)


def test_the_best_values_are_written_as_a_recipe(searched):
    out, study = searched
    best = load_recipe(out / "best.yaml", model=FinetuneRecipe)
    assert best.optimisation.learning_rate == study.best_params[RATE]
    assert best.optimisation.steps == 6
    assert study.best_value == min(trial.value for trial in study.trials)
    manifest = read_manifest(out / "best")
    assert manifest.held_out_loss == study.best_value
    assert manifest.recipe["optimisation"]["learning_rate"] == study.best_params[RATE]
    assert {path.name for path in out.iterdir()} == {
        "journal.log", "best", "best.yaml", "trials.parquet", "trials.md",
    }  # fmt: skip


def test_the_trials_are_a_table(searched):
    out, study = searched
    rows = pq.read_table(out / "trials.parquet").to_pylist()
    assert [row["trial"] for row in rows] == [0, 1, 2, 3]
    assert {row["state"] for row in rows} == {"complete"}
    assert [row["loss"] for row in rows] == [trial.value for trial in study.trials]
    assert all(
        row[RATE] == trial.params[RATE] for row, trial in zip(rows, study.trials, strict=True)
    )
    assert (out / "trials.md").read_text().count("\n|") == 5


def test_a_search_that_was_cut_ends_as_the_unbroken_one(tuning, searched, tmp_path, monkeypatch):
    out = tmp_path / "cut"
    tried = search._run
    calls = []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return tried(*arguments)

    monkeypatch.setattr(search, "_run", killed)
    with pytest.raises(KeyboardInterrupt):
        search.sweep(recipe(tuning), out, progress=False)
    monkeypatch.setattr(search, "_run", tried)
    study = search.sweep(recipe(tuning), out, progress=False)
    whole = searched[1]
    assert [t.params for t in search.finished(study)] == [t.params for t in whole.trials]
    assert study.best_value == whole.best_value
    again = search.sweep(recipe(tuning), out, progress=False)
    assert len(again.trials) == len(study.trials)


def test_hopeless_trials_are_ended_early(tuning, tmp_path):
    chosen = recipe(
        tuning, pruner="median", trials=6, space={RATE: {"choices": [1e-2, 1e-9]}}, seed=1
    )
    study = search.sweep(chosen, tmp_path / "found", progress=False)
    pruned = study.get_trials(states=[TrialState.PRUNED])
    assert pruned
    assert all(trial.params[RATE] == 1e-9 for trial in pruned)
    assert all(trial.last_step < 6 for trial in pruned)
    assert study.best_params[RATE] == 1e-2


def test_values_that_do_not_go_together_fail_their_trial_alone(tuning, tmp_path):
    space = {"optimisation.batch_size": {"choices": [8, -1]}}
    study = search.sweep(recipe(tuning, space=space, trials=5), tmp_path / "found", progress=False)
    rows = pq.read_table(tmp_path / "found" / "trials.parquet").to_pylist()
    failed = [row for row in rows if row["state"] == "fail"]
    assert failed and "optimisation.batch_size" in failed[0]["reason"]
    assert study.best_params == {"optimisation.batch_size": 8}
    hopeless = recipe(tuning, space={"optimisation.batch_size": {"choices": [-1]}}, trials=2)
    with pytest.raises(EvaluationError, match=r"No trial of .* came to its end; .*batch_size"):
        search.sweep(hopeless, tmp_path / "hopeless", progress=False)


def test_training_is_searched_too(tmp_path):
    chosen = SweepRecipe.model_validate(
        {
            "set": {
                "tokenizer.vocabulary": 400,
                "tokenizer.passages": 100,
                "architecture.heads": 1,
                "pretraining.steps": 2,
                "pretraining.warmup_steps": 0,
                "pretraining.save_at": [1.0],
            },
            "space": {"architecture.width": {"low": 16, "high": 32, "step": 16}},
            "trials": 2,
        }
    )
    study = search.sweep(chosen, tmp_path / "found", progress=False)
    assert study.best_params["architecture.width"] in (16, 32)
    best = load_recipe(tmp_path / "found" / "best.yaml")
    assert best.architecture.width == study.best_params["architecture.width"]
    assert read_manifest(tmp_path / "found" / "best" / "step-000002").step == 2


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"space": {"optimisation.learning_rat": {"low": 1, "high": 2}}}, "mean 'learning_rate'"),
        ({"space": {RATE: {"low": 1, "high": 2, "choices": [1]}}}, "either low and high, or cho"),
        ({"space": {RATE: {"low": 2, "high": 1}}}, "goes from 2 down to 1"),
        ({"space": {}}, "Bad value for 'space'"),
        ({"recipe": "nothing-of-the-kind.yaml"}, "Cannot read the recipe"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(tuning, tmp_path, keys, complaint):
    path = tmp_path / "sweep.yaml"
    space = {RATE: {"low": 1e-4, "high": 1e-3}}
    path.write_text(
        json.dumps({"command": "finetune", "recipe": str(tuning), "space": space} | keys)
    )
    with pytest.raises(UsageError, match=complaint):
        search.sweep(load_recipe(path, model=SweepRecipe), tmp_path / "found", progress=False)


def test_a_folder_of_something_else_is_not_searched_in(tuning, searched, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="already holds files that are no search"):
        search.sweep(recipe(tuning), tmp_path, progress=False)
    with pytest.raises(UsageError, match="holds a search of another recipe"):
        search.sweep(recipe(tuning, seed=5), searched[0], progress=False)


def test_the_command_prints_the_trials(tuning, tmp_path, evalkit_command):
    path = tmp_path / "sweep.yaml"
    space = {RATE: {"low": 1e-4, "high": 1e-3}}
    path.write_text(json.dumps({"command": "finetune", "recipe": str(tuning), "space": space}))
    code, printed, errors = evalkit_command(
        "sweep", path, "--out", tmp_path / "found", "--set", "trials=1"
    )
    assert code == 0, errors
    assert "| complete |" in printed
    assert str(tmp_path / "found" / "best.yaml") in printed
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_the_shipped_recipe_is_whole():
    chosen = load_recipe("sweep", {"set.pretraining.steps": "9"}, model=SweepRecipe)
    assert chosen.set == {
        "pretraining.steps": 150,
        "pretraining.save_at": [1.0],
    } | {"pretraining.steps": 9}
    for key in chosen.space:
        search._check_key(chosen, key)
