"""Any model of transformers can be trained, on either objective, and its size is counted right."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from evalkit.errors import UsageError
from evalkit.training import Recipe, load_recipe, train
from evalkit.training.architecture import build_model, size_of
from evalkit.training.arguments import choose_device, precision_of, training_arguments
from evalkit.training.objectives import IGNORED, form_causal, form_masked, masked_loss
from evalkit.training.recipe import Architecture, Pretraining
from evalkit.training.tokenizer import train_tokenizer

SMALL = {"layers": 2, "width": 32, "heads": 2, "feed_forward": 64, "context": 32}


@pytest.fixture(scope="module")
def tokenizer():
    people = ["baker", "farmer", "teacher", "weaver", "sailor", "potter"]
    texts = [f"The {one} said that the {other} had left.\n" for one in people for other in people]
    return train_tokenizer(texts, 300, 32, mask=True)


def tiny(**changes):
    """The tiny recipe with other settings, two steps long."""
    recipe = Recipe.tiny().model_dump(mode="json")
    recipe["pretraining"] |= {"steps": 2, "warmup_steps": 0, "save_at": [1.0]}
    for key, value in changes.items():
        recipe[key] |= value
    return Recipe.model_validate(recipe)


@pytest.mark.parametrize(
    ("model_type", "config"),
    [
        ("llama", {}),
        ("gpt2", {"activation_function": "relu"}),
        ("qwen3", {}),
        ("gpt_neox", {"use_parallel_residual": False}),
        ("bert", {"type_vocab_size": 1}),
    ],
)
def test_sections_reach_the_configuration(tokenizer, model_type, config):
    choice = Architecture(model_type=model_type, dropout=0.25, config=config, **SMALL)
    objective = "masked" if model_type == "bert" else "causal"
    model = build_model(choice, tokenizer, objective)
    known = model.config
    assert (known.hidden_size, known.num_hidden_layers, known.num_attention_heads) == (32, 2, 2)
    assert known.vocab_size == len(tokenizer)
    assert known.max_position_embeddings == 32
    assert all(getattr(known, key) == value for key, value in config.items())
    assert 0.25 in known.to_dict().values()
    inner = {p.shape for p in model.parameters() if 64 in p.shape}
    assert inner, "the feed-forward size was not taken"


@pytest.mark.parametrize(
    ("choice", "objective", "said"),
    [
        ({"model_type": "lama"}, "causal", "did you mean 'llama'"),
        ({"config": {"rope_thta": 1}}, "causal", "config.rope_thta is no key of qwen3"),
        ({"model_type": "llama"}, "masked", "cannot be built for the masked objective"),
    ],
)
def test_models_that_are_not_there_are_refused(tokenizer, choice, objective, said):
    with pytest.raises(UsageError, match=said):
        build_model(Architecture(**SMALL, **choice), tokenizer, objective)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "bert"])
def test_the_work_is_what_torch_counts(tokenizer, model_type):
    objective = "masked" if model_type == "bert" else "causal"
    choice = Architecture(model_type=model_type, **SMALL)
    model = build_model(choice, tokenizer, objective)
    size = size_of(model, 32)
    assert size.parameters == sum(p.numel() for p in model.parameters())
    ids = torch.randint(5, 290, (4, 32))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids).loss.backward()
    # Biases and norms are counted as if they were multiplied; a first layer has no gradient to
    # pass on. Both are small.
    assert size.flops_per_token == pytest.approx(counter.get_total_flops() / ids.numel(), rel=0.08)


def test_causal_labels_leave_out_the_first_token_and_the_padding(tokenizer):
    formed = form_causal(6, 0)(torch.tensor([5, 6, 7]).numpy(), 0)
    assert formed["input_ids"].tolist() == [5, 6, 7, 0, 0, 0]
    assert formed["labels"].tolist() == [IGNORED, 6, 7, IGNORED, IGNORED, IGNORED]


def test_masks_are_as_many_as_asked_for_and_belong_to_their_place(tokenizer):
    form = form_masked(400, tokenizer, 0.15, seed=3)
    ids = torch.arange(400).remainder(290).add(5).numpy()
    rows = [form(ids, place) for place in range(60)]
    assert torch.equal(rows[7]["input_ids"], form(ids, 7)["input_ids"])
    assert not torch.equal(rows[7]["labels"], rows[8]["labels"])
    labels = torch.stack([row["labels"] for row in rows])
    inputs = torch.stack([row["input_ids"] for row in rows])
    chosen = labels != IGNORED
    assert chosen.float().mean().item() == pytest.approx(0.15, abs=0.01)
    original = torch.from_numpy(ids).expand_as(inputs)
    assert torch.equal(labels[chosen], original[chosen])
    assert torch.equal(inputs[~chosen], original[~chosen])
    masked = (inputs[chosen] == tokenizer.mask_token_id).float().mean().item()
    kept = (inputs[chosen] == original[chosen]).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.03)
    assert kept == pytest.approx(0.1, abs=0.03)


def test_masked_loss_is_the_mean_over_a_whole_step():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 11), torch.randint(11, (2, 5))
    labels[0, :4] = IGNORED
    whole = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    parts = [masked_loss({"logits": logits[i : i + 1]}, labels[i : i + 1], 6) for i in (0, 1)]
    assert sum(parts).item() == pytest.approx(whole.item(), abs=1e-6)
    assert masked_loss({"logits": logits}, labels).item() == pytest.approx(whole.item(), abs=1e-6)


def test_a_masked_model_is_trained(tmp_path):
    recipe = tiny(
        architecture={"model_type": "bert"},
        tokenizer={"mask": True, "kind": "wordpiece"},
        pretraining={"objective": "masked", "schedule": "linear", "accumulation": 2},
    )
    (folder,) = train(recipe, tmp_path / "bert", progress=False)
    loaded = AutoModelForMaskedLM.from_pretrained(folder)
    assert type(loaded).__name__ == "BertForMaskedLM"
    manifest = json.loads((folder / "evalkit.json").read_text())
    assert 3 < manifest["loss"] < 9


def test_a_masked_objective_needs_a_mask_token(tmp_path):
    recipe = tiny(architecture={"model_type": "bert"}, pretraining={"objective": "masked"})
    with pytest.raises(UsageError, match=r"tokenizer\.mask"):
        train(recipe, tmp_path / "bert", progress=False)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_end_where_the_recipe_says(tmp_path, schedule):
    import pyarrow.parquet as pq

    recipe = tiny(
        pretraining={
            "steps": 10, "warmup_steps": 2, "schedule": schedule, "final_rate": 0.1,
            "decay_share": 0.3, "learning_rate": 1e-3,
        },
        watch={"log_every": 1},
        architecture={"model_type": "gpt2", "layers": 1},
    )  # fmt: skip
    (folder,) = train(recipe, tmp_path / "out", progress=False)
    rates = pq.read_table(tmp_path / "out" / "metrics.parquet")["learning_rate"].to_pylist()
    assert max(rates) == pytest.approx(1e-3)
    assert rates[0] < rates[1] < rates[2]
    assert rates[-1] < 0.5e-3
    assert min(rates[2:]) >= 0.999e-4
    if schedule == "constant":
        assert rates[2:7] == [pytest.approx(1e-3)] * 5
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert type(model).__name__ == "GPT2LMHeadModel"


def test_a_missing_device_is_named():
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UsageError, match=r"device = cuda.*finds only cpu"):
        choose_device(Pretraining(device="cuda"))
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        choose_device(Pretraining(precision="fp16"))
    assert choose_device(Pretraining(device="auto")) == "cpu"


@pytest.mark.parametrize(("bf16_rate", "chosen"), [(2.0, "bf16"), (1.1, "fp32"), (0.1, "fp32")])
def test_bf16_is_for_machines_that_multiply_it_faster(tmp_path, monkeypatch, bf16_rate, chosen):
    rates = {"fp32": 1.0, "bf16": bf16_rate}
    monkeypatch.setattr("evalkit.training.peak.matmul_peak", lambda _, name, *more: rates[name])
    assert precision_of(training_arguments(Recipe(), tmp_path)) == chosen
    asked = load_recipe(None, {"pretraining.precision": "bf16"})
    assert precision_of(training_arguments(asked, tmp_path)) == "bf16"


def test_a_reporter_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("evalkit.training.arguments.find_spec", lambda name: None)
    recipe = load_recipe(None, {"watch.report_to": "[trackio]"})
    with pytest.raises(UsageError, match="pip install trackio"):
        train(recipe, tmp_path / "out")
