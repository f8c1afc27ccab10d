"""Bad input: one clear sentence, the right exit code, no traceback, nothing written."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from tests.checkpoints import make_checkpoint


@pytest.fixture
def refused(evalkit_command, tmp_path, checkpoint, task_folder):
    """Run with one thing wrong and return the sentence it was refused with."""

    def call(*, code=2, model=checkpoint, tasks="toy_choice", extra=()):
        store = tmp_path / "store"
        before = sorted(p for p in tmp_path.rglob("*"))
        done = evalkit_command(
            "run", "--model", model, "--tasks", tasks, "--include-path", task_folder,
            "--store", store, "--device", "cpu", *extra,
        )  # fmt: skip
        assert done.code == code, done
        assert done.out == ""
        assert "Traceback" not in done.err
        sentence = done.err.strip().splitlines()[-1]
        assert sentence.startswith("evalkit: ")
        assert sorted(p for p in tmp_path.rglob("*")) == before, "something was written"
        return sentence

    return call


@pytest.fixture
def copy(tmp_path, checkpoint):
    """A copy of the checkpoint that a test may break."""
    return shutil.copytree(checkpoint, tmp_path / "broken")


def test_unknown_task_names_the_nearest(refused):
    sentence = refused(tasks="toy_choise")
    assert "'toy_choise'" in sentence
    assert "toy_choice" in sentence.partition("did you mean")[2]


def test_a_folder_that_is_no_checkpoint(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no checkpoint" in refused(model=tmp_path / "empty")
    assert "no checkpoint" in refused(model=tmp_path / "absent")


def test_pickled_weights_are_refused_with_the_way_to_convert(refused, copy):
    weights = load_file(copy / "model.safetensors")
    torch.save(weights, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    sentence = refused(model=copy)
    assert "pickled" in sentence
    assert "save_pretrained" in sentence


@pytest.mark.parametrize("kept", [0, 4, 100, 5000])
def test_a_truncated_weight_file(refused, copy, kept):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    sentence = refused(model=copy)
    assert "model.safetensors is damaged" in sentence


def test_a_tokenizer_larger_than_the_embedding(refused, tmp_path):
    folder = make_checkpoint(tmp_path / "small-embedding", vocab_size=300)
    sentence = refused(model=folder)
    assert "tokenizer" in sentence
    assert "300" in sentence


def test_malformed_yaml_names_file_and_line(refused, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("task: bad\ndataset_path: json\nmetric_list: [unclosed\nmore: 1\n")
    assert "bad.yaml:4" in refused(tasks=file)


def test_yaml_that_is_no_task(refused, tmp_path):
    file = tmp_path / "list.yaml"
    file.write_text("- just\n- a list\n")
    assert "defines no task" in refused(tasks=file)


def test_a_mirror_without_the_data_says_what_to_fetch(refused, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    sentence = refused(tasks="hellaswag", extra=("--mirror", mirror))
    assert "Rowan/hellaswag" in sentence
    assert "evalkit mirror add" in sentence


def test_a_missing_data_file_is_named(refused, tmp_path, task_folder):
    file = tmp_path / "no_data.yaml"
    text = (task_folder / "toy_choice.yaml").read_text()
    file.write_text(text.replace("toy_choice.jsonl", "gone.jsonl"))
    assert "gone.jsonl" in refused(tasks=file)


@pytest.mark.parametrize("option", ["--limit", "--batch-size", "--num-fewshot"])
def test_impossible_numbers(refused, option):
    value = "-1" if option == "--num-fewshot" else "0"
    assert option in refused(extra=(option, value))
    assert "--limit" in refused(extra=("--limit", str(10**22)))


def test_a_store_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").write_text("in the way")
    sentence = refused(extra=("--store", tmp_path / "file" / "store"))
    assert "cannot be written" in sentence


def test_an_unknown_device(refused):
    assert "--device" in refused(extra=("--device", "cuda:7"))


def test_a_tag_without_value(refused):
    assert "KEY=VALUE" in refused(extra=("--tag", "branch"))


@pytest.mark.parametrize("tasks", ["toy_choice", "toy_text", "toy_answer"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_name_the_first_sample(refused, copy, tasks, value):
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"][:] = value
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    sentence = refused(model=copy, tasks=tasks, code=3)
    assert "NaN or infinite" in sentence
    assert f"document 0 of task {tasks}" in sentence


def test_weights_that_lack_a_tensor(refused, copy):
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert "mlp.up_proj.weight" in refused(model=copy)


@pytest.mark.parametrize("content", ["[]", '{"weight_map": 5}', "{}"])
def test_an_index_that_names_no_weights(refused, copy, content):
    (copy / "model.safetensors.index.json").write_text(content)
    assert "weight_map" in refused(model=copy)


def test_a_task_that_leaves_no_room_for_its_prompt(refused, tmp_path, task_folder):
    text = (
        (task_folder / "toy_answer.yaml").read_text().replace("max_gen_toks: 8", "max_gen_toks: 64")
    )
    file = tmp_path / "long answer.yaml"
    file.write_text(text.replace("toy_answer.jsonl", str(task_folder / "toy_answer.jsonl")))
    assert "asks for 64 new tokens" in refused(tasks=file)


def test_a_broken_request_is_named_and_not_its_neighbour(refused, copy, task_folder, tmp_path):
    """Only the letter z has no finite embedding, and only the second document asks about it."""
    tokenizer = AutoTokenizer.from_pretrained(copy)
    weights = load_file(copy / "model.safetensors")
    name = next(n for n in weights if n.endswith("embed_tokens.weight"))
    weights[name][tokenizer("z")["input_ids"][0]] = float("nan")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    rows = [
        {"q": f"The {word}", "options": ["one", "two"], "gold": 0} for word in ("baker", "z", "z")
    ]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (task_folder / "toy_choice.yaml").read_text().replace("toy_choice.jsonl", "few.jsonl")
    (tmp_path / "few.yaml").write_text(text)
    sentence = refused(model=copy, tasks=tmp_path / "few.yaml", code=3)
    assert "document 1 of task toy_choice" in sentence


def test_a_fault_of_our_own_is_no_regression(evalkit_command, monkeypatch):
    monkeypatch.setattr("evalkit.results.Store.listing", lambda self: 1 / 0)
    done = evalkit_command("ls")
    assert done.code == 3
    assert "fault in evalkit" in done.err


def test_a_package_that_is_not_installed_is_named_with_its_extra(evalkit_command, monkeypatch):
    def import_it(_):
        raise ModuleNotFoundError("No module named 'optuna.storages'", name="optuna.storages")

    monkeypatch.setattr("evalkit.results.Store.listing", import_it)
    done = evalkit_command("ls")
    assert done.code == 2
    assert "needs the package optuna: pip install 'evalkit[train]'" in done.err
    assert "Traceback" not in done.err


def test_a_stopped_command_says_so(evalkit_command, checkpoint, monkeypatch):
    """As Ctrl-C does it, in a command that keeps nothing to go on with."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evalkit.profiling.measure.profile", stop)
    outcome = evalkit_command("profile", "--model", str(checkpoint))
    assert (outcome.code, outcome.err.strip()) == (130, "evalkit: Stopped.")
