"""`--reuse`: responses of earlier runs, but only where every hash agrees."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from evalkit.engine.local import LocalEngine
from evalkit.results import Store
from evalkit.runner import make_plan
from evalkit.runner.many import measured
from evalkit.settings import RunSettings
from tests.checkpoints import make_checkpoint
from tests.runner.processes import TASKS


@pytest.fixture
def computed(monkeypatch):
    """Indices of the requests that the engine has answered, run by run."""
    runs = []
    plain = LocalEngine.respond

    def respond(self, requests, answered=()):
        runs.append([])
        for batch in plain(self, requests, answered):
            runs[-1].extend(index for index, _ in batch)
            yield batch

    monkeypatch.setattr(LocalEngine, "respond", respond)
    return runs


@pytest.fixture
def run(evalkit_command, task_folder, tmp_path):
    def call(model, *arguments, tasks="toys"):
        done = evalkit_command(
            "run", "--model", model, "--tasks", tasks, "--include-path", task_folder,
            "--store", tmp_path / "store", "--device", "cpu", "--json", *arguments,
        )  # fmt: skip
        assert done.code == 0, done
        return json.loads(done.out)

    return call


def manifest(tmp_path, found):
    return Store(tmp_path / "store").resolve(found["run_id"])


def test_an_equal_run_computes_nothing_and_has_the_same_samples(
    run, checkpoint, computed, tmp_path
):
    first = run(checkpoint)
    second = run(checkpoint, "--reuse")
    assert len(computed[0]) == 24
    assert computed[1] == []
    assert manifest(tmp_path, second).reused == {first["run_id"]: 24}
    assert first["scores"] == second["scores"]
    store = Store(tmp_path / "store")
    for task in TASKS:
        a, b = (
            store.samples_table(found["run_id"], task).drop(["run_id"]) for found in (first, second)
        )
        assert a.equals(b)


def test_a_run_that_was_not_compiled_is_no_measure_of_one_that_is(
    run, checkpoint, task_folder, tmp_path
):
    found = run(checkpoint)
    asked = RunSettings.checked(
        model=str(checkpoint), tasks=["toys"], include_path=[task_folder], device="cpu",
        store=str(tmp_path / "store"),
    )  # fmt: skip
    assert [known.run_id for known in measured(make_plan(asked)).values()] == [found["run_id"]]
    assert measured(make_plan(asked.model_copy(update={"compile": True}))) == {}


def test_without_the_flag_everything_is_computed(run, checkpoint, computed):
    run(checkpoint)
    run(checkpoint)
    assert len(computed[0]) == len(computed[1]) == 24


def test_only_what_is_new_is_computed(run, checkpoint, computed, tmp_path):
    run(checkpoint, "--limit", 2)
    found = run(checkpoint, "--reuse")
    assert len(computed[1]) == 24 - 8
    assert sum(manifest(tmp_path, found).reused.values()) == 8


def test_a_changed_checkpoint_is_never_served_old_responses(run, checkpoint, computed, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    run(copy)
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    run(copy, "--reuse")
    assert len(computed[1]) == 24
    shutil.rmtree(copy)
    make_checkpoint(copy, seed=3)
    run(copy, "--reuse")
    assert len(computed[2]) == 24


def test_another_tokenizer_dtype_or_decoding_is_never_served(
    run, checkpoint, task_folder, computed, tmp_path
):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    run(copy)
    run(copy, "--reuse", "--dtype", "bfloat16")
    settings = copy / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_max_length": 63}))
    run(copy, "--reuse")
    assert [len(indices) for indices in computed] == [24, 24, 24]
    folder = shutil.copytree(task_folder, tmp_path / "tasks")
    text = (folder / "toy_answer.yaml").read_text()
    (folder / "toy_answer.yaml").write_text(text.replace("max_gen_toks: 8", "max_gen_toks: 7"))
    run(copy, "--reuse", tasks=folder / "toy_answer.yaml")
    assert len(computed[3]) == 6


def test_another_version_of_a_library_is_never_served(run, checkpoint, computed, monkeypatch):
    run(checkpoint)
    monkeypatch.setattr("evalkit.engine.fleet.worker.version", lambda name: "0.0")
    run(checkpoint, "--reuse")
    assert len(computed[1]) == 24


def test_timed_requests_are_asked_again(run, checkpoint, computed):
    run(checkpoint, "--limit", 2, tasks="latency,pronoun_bias")
    run(checkpoint, "--limit", 2, "--reuse", tasks="latency,pronoun_bias")
    assert 0 < len(computed[1]) < len(computed[0])


def test_changed_code_of_a_trusted_checkpoint_is_never_served(run, checkpoint, computed, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    (copy / "modelling.py").write_text("SCALE = 1\n")
    trust = ("--reuse", "--trust-remote-code", copy)
    run(copy, *trust)
    run(copy, *trust)
    (copy / "modelling.py").write_text("SCALE = 2\n")
    run(copy, *trust)
    assert [len(indices) for indices in computed] == [24, 0, 24]


@pytest.mark.parametrize("moment", ["loaded", "answering"])
def test_weights_written_over_meanwhile_give_no_figures(
    evalkit_command, checkpoint, task_folder, tmp_path, monkeypatch, moment
):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")

    def overwrite():
        weights = copy / "model.safetensors"
        weights.write_bytes(weights.read_bytes())

    begin, answer = LocalEngine.__init__, LocalEngine.respond

    def load(self, *arguments, **settings):
        begin(self, *arguments, **settings)
        if moment == "loaded":
            overwrite()

    def respond(self, requests, answered=()):
        if moment == "answering":
            overwrite()
        return answer(self, requests, answered)

    monkeypatch.setattr(LocalEngine, "__init__", load)
    monkeypatch.setattr(LocalEngine, "respond", respond)
    done = evalkit_command(
        "run", "--model", copy, "--tasks", "toys", "--include-path", task_folder,
        "--store", tmp_path / "store", "--device", "cpu",
    )  # fmt: skip
    assert done.code == 3
    assert "was changed while it was being measured" in done.err
    assert not list((tmp_path / "store").rglob("*.parquet"))
    assert not list((tmp_path / "store").rglob("journal"))


def test_weights_replaced_by_a_new_file_do_not_disturb_a_run(
    run, checkpoint, tmp_path, monkeypatch
):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    plain = LocalEngine.respond

    def respond(self, requests, answered=()):
        shutil.copy(copy / "model.safetensors", copy / "new")
        (copy / "new").replace(copy / "model.safetensors")
        return plain(self, requests, answered)

    monkeypatch.setattr(LocalEngine, "respond", respond)
    assert run(copy)["scores"]
