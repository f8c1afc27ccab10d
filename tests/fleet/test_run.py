"""`evalkit run --engine ray`: the same figures, messages and resuming as on one machine."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from evalkit.results import Store
from evalkit.runner import many
from evalkit.settings import RunSettings
from tests.checkpoints import make_checkpoint
from tests.fleet.conftest import ROOT
from tests.ports import free_port
from tests.runner.processes import lengthen


@pytest.fixture(scope="module")
def tasks(task_folder, tmp_path_factory):
    return lengthen(task_folder, tmp_path_factory.mktemp("long") / "tasks", times=8)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Three steps of a training, the last the largest, and a folder that is no checkpoint."""
    folder = tmp_path_factory.mktemp("runs")
    for step, layers in ((100, 1), (200, 2), (1000, 3)):
        make_checkpoint(folder / f"step-{step}", seed=step, num_hidden_layers=layers)
    (folder / "step-logs").mkdir()
    return folder


def arguments(model, tasks, store, *more):
    return ("run", "--model", model, "--tasks", "toys", "--include-path", tasks, "--store", store,
            "--device", "cpu", *more)  # fmt: skip


def on(cluster, workers=2):
    return "--engine", "ray", "--address", cluster.address, "--workers", workers


def values(cell):
    return [] if cell is None else list(cell)


def samples(store, run):
    """Task and document -> log-likelihoods and texts."""
    return {
        (task, row.doc_id): (values(row.loglikelihoods), values(row.responses))
        for task in run.tasks
        for row in store.samples(run.run_id, task).itertuples()
    }


def by_weights(store):
    opened = Store(store)
    return {run.model.weights_hash: (run, samples(opened, run)) for run in opened.listing().runs}


def assert_same(mine, theirs):
    assert mine.keys() == theirs.keys()
    for key, (lls, texts) in theirs.items():
        assert mine[key][0] == pytest.approx(lls, rel=1e-5, abs=1e-4)
        assert mine[key][1] == texts


@pytest.fixture(scope="module")
def alone(checkpoints, tasks, tmp_path_factory):
    """The store of the runs of one machine, by a glob without Ray."""
    store = tmp_path_factory.mktemp("alone") / "store"
    from tests.cli.command import Command

    with pytest.MonkeyPatch.context() as patch:
        outcome = Command(patch, _Silent())(*arguments(checkpoints / "step-*", tasks, store))
    assert outcome.code == 0
    return store


class _Silent:
    """Stands in for capsys, which lives no longer than a test."""

    def readouterr(self):
        return "", ""


def test_a_glob_measures_each_checkpoint_by_step(alone, checkpoints):
    runs = Store(alone).listing().runs
    assert [run.model.path for run in runs] == [
        str(checkpoints / name) for name in ("step-100", "step-200", "step-1000")
    ]


def test_one_queue_of_checkpoints_gives_the_figures_of_one_machine(
    cluster, alone, checkpoints, tasks, tmp_path, evalkit_command
):
    """Three checkpoints on two workers, and again with all but one left out as measured."""
    store, pattern = tmp_path / "store", checkpoints / "step-*"
    outcome = evalkit_command(*arguments(pattern, tasks, store, *on(cluster), "--json"))
    assert outcome.code == 0, outcome.err
    assert "step-logs" in outcome.err
    assert len([json.loads(line) for line in outcome.out.splitlines()]) == 3
    mine, theirs = by_weights(store), by_weights(alone)
    assert mine.keys() == theirs.keys()
    for weights, (run, found) in mine.items():
        assert run.environment["engine"]["fleet"]["nodes"] == 2
        assert run.answered_by == theirs[weights][0].answered_by
        assert_same(found, theirs[weights][1])
    evalkit_command(
        "runs", "delete", next(iter(mine.values()))[0].run_id, "--yes", "--store", store
    )
    left = len(Store(store).listing().runs)
    outcome = evalkit_command(*arguments(pattern, tasks, store, "--resume", "auto"))
    assert outcome.err.count("is measured already") == left
    assert len(Store(store).listing().runs) == 3


def test_a_killed_driver_is_gone_on_with_by_another_number_of_workers(
    cluster, alone, checkpoints, tasks, tmp_path, evalkit_command
):
    store, model = tmp_path / "store", checkpoints / "step-200"
    words = [*map(str, arguments(model, tasks, store, *on(cluster)))]
    driver = subprocess.Popen(
        [sys.executable, "-m", "evalkit", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while driver.poll() is None:
        (journal,) = list(store.glob(".partial/*/journal")) or [None]
        if journal and journal.read_bytes().count(b"\n") > 1:
            driver.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    driver.wait()
    outcome = evalkit_command(*arguments(model, tasks, store, *on(cluster, 1), "--resume", "auto"))
    assert outcome.code == 0, outcome.err
    ((weights, (run, found)),) = by_weights(store).items()
    assert len(run.resumed) == 1
    assert_same(found, by_weights(alone)[weights][1])


def test_broken_weights_are_told_as_on_one_machine(
    cluster, tasks, tmp_path, evalkit_command, checkpoints
):
    from safetensors.torch import load_file, save_file

    model = make_checkpoint(tmp_path / "nan", seed=3)
    file = model / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "down_proj" in name)
    tensors[name][:] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    here = evalkit_command(*arguments(model, tasks, tmp_path / "a"))
    there = evalkit_command(*arguments(model, tasks, tmp_path / "b", *on(cluster, 1)))
    assert here.code == there.code == 3
    assert here.err.splitlines()[-1] == there.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--workers", "0", "--engine", "ray"), 2, "--workers 0: Input should be greater"),
        (("--workers", "2"), 2, "add --engine ray"),
        (("--engine", "ray", "--address", f"127.0.0.1:{free_port()}"), 2, "no Ray cluster answers"),
        (("--engine", "ray", "--address", "nonsense"), 2, "is no HOST:PORT"),
        (("--engine", "ray", "--device-per-worker", "tpu"), 2, "take cpu, cpu:CORES"),
        (("--engine", "spark"), 2, "--engine 'spark'"),
        (("--engine", "ray", "--device", "mps"), 2, "compute on cpu or cuda"),
        (("--engine", "ray", "--model", "openai:http://127.0.0.1:9/v1#m"), 2, "loads a checkpoint"),
        (("--model", "nowhere/step-*"), 2, "matches nothing"),
    ],
)
def test_wrong_usage_is_one_sentence(
    cluster, checkpoints, tasks, tmp_path, evalkit_command, options, code, said
):
    if options[-1] == "mps":
        options = (*options, "--address", cluster.address)
    outcome = evalkit_command(
        *arguments(checkpoints / "step-100", tasks, tmp_path / "store", *options)
    )
    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "store").exists()


def test_without_ray_the_extra_is_named(monkeypatch, checkpoints, tasks, tmp_path, evalkit_command):
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = evalkit_command(
        *arguments(checkpoints / "step-100", tasks, tmp_path / "store", "--engine", "ray")
    )
    assert outcome.code == 2
    assert "pip install 'evalkit[fleet]'" in outcome.err


def test_more_than_a_node_has_is_refused(cluster, checkpoints, tasks, tmp_path, evalkit_command):
    outcome = evalkit_command(
        *arguments(checkpoints / "step-100", tasks, tmp_path / "store", *on(cluster)),
        "--device-per-worker",
        "cpu:64",
    )
    assert outcome.code == 2
    assert "No node of the cluster has room for a worker of cpu:64" in outcome.err


def test_the_largest_checkpoint_begins(monkeypatch, checkpoints, tasks, tmp_path):
    began = []
    idle = SimpleNamespace(seats=0, stop=lambda error: None, close=lambda: None)
    monkeypatch.setattr(many, "start_fleet", lambda settings: idle)
    monkeypatch.setattr(many, "_SPARE_RUNS", 1)
    monkeypatch.setattr(many, "execute", lambda plan, **_: began.append(plan.checkpoint.parameters))
    models = [str(checkpoints / f"step-{step}") for step in (100, 200, 1000)]
    settings = RunSettings.checked(
        model=models[0], tasks=["toys"], include_path=[tasks], store=str(tmp_path), engine="ray"
    )
    assert len(list(many.execute_many(many.plan_many(settings, models)))) == 3
    assert len(set(began)) == 3
    assert began == sorted(began, reverse=True)
