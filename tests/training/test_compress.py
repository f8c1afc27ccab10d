"""Smaller checkpoints: what is in them, how they are measured, where they come from."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.errors import DataError, UsageError
from evalkit.training.compress import CompressRecipe
from evalkit.training.compress.compressing import compress
from evalkit.training.manifest import read_manifest
from evalkit.training.recipe import load_recipe
from evalkit.types import Decoding, Request, RequestKind
from tests.checkpoints import make_checkpoint


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("parent") / "tiny", scale=4.0)


def recipe(parent: Path, method: str, **keys: object) -> CompressRecipe:
    return CompressRecipe.model_validate(
        {"name": "small", "parent": parent, "method": method, **keys}
    )


def answers(folder: Path) -> tuple[list[float], str, LocalEngine]:
    requests = [
        Request(RequestKind.LOGLIKELIHOOD, "The baker said that she had", end)
        for end in (" bread", " a book", " ten")
    ]
    requests.append(
        Request(RequestKind.GENERATE, "A farmer went", decoding=Decoding(max_new_tokens=8))
    )
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    found = {}
    for batch in engine.respond(requests):
        found.update(batch)
    return [found[i].loglikelihood for i in range(3)], found[3].text, engine


def by_transformers(folder: Path) -> list[float]:
    """The reference: transformers' own model, one text at a time."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    totals = []
    for end in (" bread", " a book", " ten"):
        before = len(tokenizer("The baker said that she had")["input_ids"])
        ids = tokenizer("The baker said that she had" + end, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            chosen = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        totals.append(float(chosen[before - 1 :].sum()))
    return totals


@pytest.mark.parametrize("scope", ["all", "layer"])
def test_the_smallest_weights_are_gone_for_good(parent, tmp_path, scope):
    out = tmp_path / "pruned"
    made = compress(recipe(parent, "prune", prune={"share": 0.4, "scope": scope}), out)
    assert made.measured["linear_zeros"] == pytest.approx(0.4, abs=1e-3)
    assert 0 < made.measured["zeros"] < 0.4
    from transformers import AutoModelForCausalLM

    before = AutoModelForCausalLM.from_pretrained(parent).state_dict()
    after = AutoModelForCausalLM.from_pretrained(out).state_dict()
    assert before.keys() == after.keys()
    name = "model.layers.0.mlp.up_proj.weight"
    gone = after[name] == 0
    assert torch.equal(after[name][~gone], before[name][~gone])
    assert before[name][gone].abs().max() <= before[name][~gone].abs().min()
    assert torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"])


@pytest.mark.parametrize("activations", ["float", "int8"])
def test_int8_is_int8_on_disk_and_measured_like_any_other(parent, tmp_path, activations):
    out = tmp_path / "int8"
    made = compress(recipe(parent, "int8", int8={"activations": activations}), out)
    with safe_open(out / "model.safetensors", framework="pt") as file:
        names = file.keys()
        kinds = {name: file.get_slice(name).get_dtype() for name in names}
    int8 = [name for name, kind in kinds.items() if kind == "I8" and name.endswith("qdata")]
    assert len(int8) == 2 * 7
    assert made.measured["bytes"] < made.measured["parent_bytes"]
    assert made.measured["int8"] > 0.3
    found, text, engine = answers(out)
    # transformers' own figures move by 0.1 where rounded activations are nudged by 1e-6.
    allowed = 1e-3 if activations == "float" else 0.2
    assert found == pytest.approx(by_transformers(out), abs=allowed)
    exact, _, _ = answers(parent)
    assert found == pytest.approx(exact, abs=1.0)
    assert found != pytest.approx(exact, abs=1e-6)
    assert text
    assert not engine.packed_weights


def test_int8_is_not_changed_any_more(parent, tmp_path):
    out = tmp_path / "int8"
    compress(recipe(parent, "int8"), out)
    with pytest.raises(UsageError, match="are quantised and cannot be changed"):
        compress(recipe(out, "prune"), tmp_path / "out")


def test_layers_that_torchao_does_not_know_are_said(tmp_path):
    parent = make_checkpoint(tmp_path / "gpt2", "gpt2")
    with pytest.raises(UsageError, match="has no linear layers that torchao can quantise"):
        compress(recipe(parent, "int8"), tmp_path / "out")
    made = compress(recipe(parent, "prune"), tmp_path / "pruned")
    assert made.measured["linear_zeros"] == pytest.approx(0.5, abs=1e-3)


TEXT = ["The baker had bread.", "A farmer met a teacher.", "one two three four five"]


def student(parent: Path, tmp_path: Path, **keys: object) -> CompressRecipe:
    source = tmp_path / "text.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXT))
    settings = {
        "architecture": {"layers": 1, "width": 16, "heads": 2, "feed_forward": 16, "context": 32},
        "source": str(source),
        "optimisation": {"steps": 20, "batch_size": 4, "learning_rate": 1e-2, "precision": "bf16"},
    }
    return recipe(parent, "distil", distil=settings | keys)


def test_a_student_learns_its_teacher(parent, tmp_path):
    made = compress(student(parent, tmp_path, soft_share=1.0), tmp_path / "out", progress=False)
    assert made.stage == "distillation"
    assert made.measured["size"] < 0.5
    assert made.step == 20
    assert made.corpus.characters >= sum(map(len, TEXT))
    assert made.tokens_seen > 0
    soft = divergence(parent, tmp_path / "out")
    compress(student(parent, tmp_path, soft_share=0.0), tmp_path / "control", progress=False)
    assert soft < divergence(parent, tmp_path / "control")


def divergence(teacher: Path, learner: Path) -> float:
    """Mean divergence of a student from its teacher on the text, in nats a token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(teacher)
    models = [AutoModelForCausalLM.from_pretrained(folder).eval() for folder in (teacher, learner)]
    total = 0.0
    for text in TEXT:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            taught, told = (model(ids).logits[0].log_softmax(-1) for model in models)
        total += float((taught.exp() * (taught - told)).sum(-1).mean())
    return total / len(TEXT)


def test_the_pedigree_leads_back(parent, tmp_path):
    first = compress(student(parent, tmp_path), tmp_path / "first", progress=False)
    compress(recipe(tmp_path / "first", "prune"), tmp_path / "second")
    manifest = read_manifest(tmp_path / "second")
    assert manifest.parent == str(tmp_path / "first")
    assert manifest.ancestor.stage == "distillation"
    assert manifest.ancestor.corpus.sha256 == first.corpus.sha256
    assert (manifest.step, manifest.tokens_seen) == (0, 0)
    assert manifest.parameters == first.parameters


def test_what_cannot_be_compressed_is_refused(parent, tmp_path):
    with pytest.raises(DataError, match="There is no checkpoint at"):
        compress(recipe(tmp_path / "nowhere", "prune"), tmp_path / "out")
    with pytest.raises(UsageError, match="already holds files"):
        compress(recipe(parent, "prune"), parent)
    broken = student(parent, tmp_path, source=str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="Cannot read the data"):
        compress(broken, tmp_path / "out", progress=False)
    path = tmp_path / "recipe.yaml"
    path.write_text("method: int8\nprune: {share: 0.2}\n")
    with pytest.raises(UsageError, match="method int8 does not read the section 'prune'"):
        load_recipe(path, model=CompressRecipe)


@pytest.mark.parametrize("name", ["prune", "int8", "distil"])
def test_shipped_recipes_are_whole(name):
    chosen = load_recipe(name, model=CompressRecipe)
    assert chosen.method == name
    assert CompressRecipe.model_validate(chosen.model_dump(mode="json")) == chosen


def test_the_command_prints_what_was_measured(parent, tmp_path, evalkit_command):
    out = tmp_path / "made"
    code, printed, errors = evalkit_command(
        "compress", "prune", "--set", f"parent={parent}", "--out", str(out)
    )
    assert code == 0, errors
    assert "| linear_zeros | 0.5" in printed
    assert str(out) in printed


def wide(folder: Path) -> Path:
    """A checkpoint whose layers have enough inputs for a group."""
    sizes = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 16}
    return make_checkpoint(folder, scale=4.0, **sizes)


def test_int4_is_two_weights_a_byte_and_runs_on_a_processor(tmp_path):
    parent, out = wide(tmp_path / "wide"), tmp_path / "int4"
    made = compress(recipe(parent, "int4"), out)
    with safe_open(out / "model.safetensors", framework="pt") as file:
        name = "model.layers.0.mlp.up_proj"
        names = [key for key in file.keys() if name in key]  # noqa: SIM118 - no mapping
        (packed,) = [key for key in names if key.endswith("qdata")]
        assert file.get_tensor(packed).shape == (96, 64 // 2)
    assert made.measured["bytes"] < made.measured["parent_bytes"]
    assert made.measured["int4"] > 0.3
    found, text, engine = answers(out)
    exact, _, _ = answers(parent)
    assert found == pytest.approx(exact, abs=4.0)
    assert found != pytest.approx(exact, abs=1e-6)
    assert text
    layers = [m for m in engine.loaded.model.modules() if type(m).__name__ == "Int4Linear"]
    assert len(layers) == 2 * 7


def test_int4_is_what_torchao_rounds_to(tmp_path):
    """The reference: torchao's own unpacked tensors, in torchao's own product."""
    from torchao.quantization import IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerGroup
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parent, out = wide(tmp_path / "wide"), tmp_path / "int4"
    compress(recipe(parent, "int4"), out)
    model = AutoModelForCausalLM.from_pretrained(parent).eval()
    last = model.lm_head
    quantize_(
        model,
        IntxWeightOnlyConfig(torch.int4, PerGroup(32)),
        lambda m, _: isinstance(m, torch.nn.Linear) and m is not last,
    )
    tokenizer = AutoTokenizer.from_pretrained(parent)
    ids = tokenizer("The baker said that she had bread", return_tensors="pt")["input_ids"]
    before = len(tokenizer("The baker said that she had")["input_ids"])
    with torch.no_grad():
        logs = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
    assert answers(out)[0][0] == pytest.approx(float(logs[before - 1 :].sum()), abs=1e-3)


def test_layers_that_no_group_fits_are_said(parent, tmp_path):
    with pytest.raises(UsageError, match="in groups of 128 inputs"):
        compress(recipe(parent, "int4", int4={"group": 128}), tmp_path / "out")


def test_bf16_is_half_the_bytes(parent, tmp_path):
    made = compress(recipe(parent, "bf16"), tmp_path / "bf16")
    assert made.measured["bytes"] < 0.6 * made.measured["parent_bytes"]
    engine = LocalEngine(open_checkpoint(tmp_path / "bf16"), device="cpu", dtype="auto")
    assert engine.loaded.model.dtype is torch.bfloat16
