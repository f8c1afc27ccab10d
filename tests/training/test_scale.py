"""Two processes learn what one learns."""

import json

import pyarrow.parquet as pq
import pytest
import torch
from transformers import TrainingArguments

from evalkit.errors import UsageError
from evalkit.training import Recipe, load_recipe, train
from evalkit.training.recipe import Scale
from evalkit.training.scale import activation_checkpointing, zero_config
from tests.training.warm import Warm

STEPS = 6
RECIPE = {
    **Recipe.tiny().model_dump(mode="json"),
    "watch": {"log_every": 1, "held_out": 4, "evaluate_every": 3},
    "saving": {"every_steps": 3},
}
RECIPE["pretraining"] |= {"steps": STEPS, "precision": "fp32", "save_at": [1.0]}


@pytest.fixture(scope="module")
def warm():
    process = Warm()
    yield process
    process.close()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.json"  # JSON is YAML
    path.write_text(json.dumps(RECIPE))
    return path


@pytest.fixture(scope="module")
def alone(warm, recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    done = warm.run(folder, "train", recipe, "--out", folder / "out")
    assert done.code == 0, done.said
    return folder / "out"


def losses(out):
    rows = pq.read_table(out / "metrics.parquet").to_pylist()
    return [row["loss"] for row in rows if row["loss"] is not None]


def weights(out):
    from safetensors.torch import load_file

    return load_file(out / f"step-{STEPS:06d}" / "model.safetensors")


def assert_alike(out, other):
    assert losses(out) == pytest.approx(losses(other), abs=1e-4)
    mine, theirs = weights(out), weights(other)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes_learn_what_one_learns(warm, recipe, alone, tmp_path, strategy):
    out = tmp_path / "out"
    done = warm.run(
        tmp_path, "train", recipe, "--out", out, "--set", f"scale.strategy={strategy}", processes=2
    )
    assert done.code == 0, done.said
    assert_alike(out, alone)
    manifest = json.loads((out / f"step-{STEPS:06d}" / "evalkit.json").read_text())
    single = json.loads((alone / f"step-{STEPS:06d}" / "evalkit.json").read_text())
    assert manifest["hardware"]["processes"] == 2
    for key in ("tokens_seen", "parameters", "corpus"):
        assert manifest[key] == single[key]
    assert manifest["held_out_loss"] == pytest.approx(single["held_out_loss"], abs=1e-3)
    assert done.said.count("Measure it") == 1


def test_accumulation_changes_no_loss(warm, recipe, alone, tmp_path):
    out = tmp_path / "out"
    done = warm.run(
        tmp_path, "train", recipe, "--out", out, "--set", "pretraining.accumulation=2",
        "--set", "pretraining.activation_checkpointing=true",
    )  # fmt: skip
    assert done.code == 0, done.said
    assert_alike(out, alone)


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="multiple of 3"):
        train(Recipe.tiny(), tmp_path / "out")


@pytest.mark.parametrize("strategy", ["fsdp2", "zero3"])
def test_sharding_asks_for_processes(tmp_path, strategy):
    recipe = load_recipe(None, {"scale.strategy": strategy})
    with pytest.raises(UsageError, match="torchrun --nproc-per-node"):
        train(recipe, tmp_path / "out")


def test_older_transformers_are_asked_in_their_words(monkeypatch):
    assert activation_checkpointing(False).keys() <= TrainingArguments.__dataclass_fields__.keys()
    monkeypatch.setattr(TrainingArguments, "__dataclass_fields__", {"gradient_checkpointing": None})
    assert activation_checkpointing(True) == {"gradient_checkpointing": True}


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_zero_configurations_name_their_stage(stage):
    config = zero_config(Scale(strategy=f"zero{stage}", cpu_offload=True))
    zero = config["zero_optimization"]
    assert zero["stage"] == stage
    assert ("offload_optimizer" in zero) == (stage > 1)
    assert ("offload_param" in zero) == (stage == 3)
