"""Adapting: what is learnt, what is saved, what is measured, and what is refused."""

import json
import math
from pathlib import Path

import pytest
import torch

from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.errors import DataError, UsageError
from evalkit.training.adapt import FinetuneRecipe
from evalkit.training.adapt.finetuning import finetune
from evalkit.training.adapt.measure import measure_labels
from evalkit.training.manifest import read_manifest
from evalkit.training.recipe import load_recipe
from evalkit.training.world import World, held_out
from evalkit.types import Decoding, Request, RequestKind, Response
from tests.checkpoints import make_checkpoint, make_tokenizer

ANIMALS = {"cat": "meows", "dog": "barks", "cow": "moos", "duck": "quacks"}


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> Path:
    """A random Llama of a few thousand weights."""
    folder = tmp_path_factory.mktemp("parent") / "tiny"
    return make_checkpoint(folder, scale=1.0, max_position_embeddings=96)


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answers(path: Path) -> Path:
    rows = [
        {"prompt": f"{n} {name}:", "completion": f" {sound}"}
        for n in range(10)
        for name, sound in ANIMALS.items()
    ]
    return write(path / "answers.jsonl", rows)


def pairs(path: Path) -> Path:
    rows = [{"prompt": f"Ask {n}:", "chosen": " yes", "rejected": " no"} for n in range(24)]
    return write(path / "pairs.jsonl", rows)


def recipe(parent: Path, source: Path | str, method: str = "sft", **keys: object) -> FinetuneRecipe:
    optimisation = {"learning_rate": 5e-3, "batch_size": 8, "steps": 6, "device": "cpu"}
    data = {"source": str(source), "held_out": 0.25} | keys.pop("data", {})
    return FinetuneRecipe.model_validate(
        {
            "name": "tiny-tuned",
            "parent": parent,
            "method": method,
            "data": data,
            "optimisation": optimisation | keys.pop("optimisation", {}),
            **keys,
        }
    )


def asked(folder: Path, requests: list[Request]) -> list[Response]:
    found = {}
    for batch in LocalEngine(open_checkpoint(folder), device="cpu").respond(requests):
        found.update(batch)
    return [found[i] for i in range(len(requests))]


def loglikelihoods(folder: Path) -> list[float]:
    requests = [
        Request(RequestKind.LOGLIKELIHOOD, f"7 {name}:", f" {sound}")
        for name, sound in ANIMALS.items()
    ]
    return [response.loglikelihood for response in asked(folder, requests)]


@pytest.fixture(scope="module")
def tuned(parent, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    chosen = recipe(parent, answers(folder), optimisation={"steps": 30})
    return folder / "sft", finetune(chosen, folder / "sft", progress=False)


def test_answers_are_learnt_and_the_prompts_are_not(tuned, parent):
    folder, made = tuned
    figures = {figure.metric: figure for figure in made.held_out}
    assert figures["loss"].value < figures["loss"].before - 1
    assert figures["exact"].value > figures["exact"].before
    assert figures["exact"].ci_low <= figures["exact"].value <= figures["exact"].ci_high
    assert loglikelihoods(folder)[0] > loglikelihoods(parent)[0]


def test_the_checkpoint_is_plain_and_knows_where_it_comes_from(tuned, parent):
    from transformers import AutoModelForCausalLM

    folder, made = tuned
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.pad_token_id is None
    manifest = read_manifest(folder)
    assert manifest.parent == str(parent)
    assert manifest.stage == "finetuning"
    assert manifest.recipe["method"] == "sft"
    assert manifest.step == 30
    assert manifest.tokens_seen > 0
    assert manifest.held_out_loss == pytest.approx(made.held_out[0].value)
    assert manifest.corpus.passages == {manifest.recipe["data"]["source"]: 30}
    assert FinetuneRecipe.model_validate(manifest.recipe).method == "sft"


def test_the_loss_is_the_answers_alone(parent, tmp_path):
    """Prompts that are noise cost nothing: what is not learnt is not in the loss."""
    from evalkit.training.adapt.finetuning import prepare_job
    from evalkit.training.adapt.trainers import make_trainer

    job = prepare_job(recipe(parent, answers(tmp_path)), tmp_path / "out")
    row = make_trainer(job, []).train_dataset[0]
    learnt = [label for label in row["labels"] if label != -100]
    text = job.parent.tokenizer.decode(learnt)
    assert text == job.rows.train[0]["completion"] + "<|end|>"


def test_messages_are_rendered_and_only_the_answers_learnt(parent, tmp_path):
    from evalkit.training.adapt.finetuning import prepare_job
    from evalkit.training.adapt.trainers import make_trainer

    rows = [
        {
            "messages": [
                {"role": "user", "content": f"{n} {name}?"},
                {"role": "assistant", "content": sound},
                {"role": "user", "content": "Sure?"},
                {"role": "assistant", "content": "Yes."},
            ]
        }
        for n in range(3)
        for name, sound in ANIMALS.items()
    ]
    job = prepare_job(recipe(parent, write(tmp_path / "chat.jsonl", rows)), tmp_path / "out")
    row = make_trainer(job, []).train_dataset[0]
    learnt = job.parent.tokenizer.decode([label for label in row["labels"] if label != -100])
    sound = job.rows.train[0]["messages"][1]["content"]
    assert learnt == f" {sound}<|end|> Yes.<|end|>"
    whole = job.parent.tokenizer.decode(row["input_ids"])
    assert whole.startswith("User: ") and "Assistant: Yes." in whole


@pytest.mark.parametrize("kind", ["lora", "prefix"])
def test_an_adapter_is_measured_as_it_is(parent, tmp_path, kind):
    adapter = {"kind": kind, "rank": 4, "virtual_tokens": 4}
    rate = {"lora": 5e-3, "prefix": 0.3}[kind]
    settings = {"steps": 12, "learning_rate": rate}
    chosen = recipe(parent, answers(tmp_path), adapter=adapter, optimisation=settings)
    made = finetune(chosen, tmp_path / kind, progress=False)
    assert (tmp_path / kind / "adapter_model.safetensors").is_file()
    assert not (tmp_path / kind / "config.json").exists()
    figures = {figure.metric: figure for figure in made.held_out}
    assert figures["loss"].value < figures["loss"].before
    totals, text = by_peft(parent, tmp_path / kind)
    assert loglikelihoods(tmp_path / kind) == pytest.approx(totals, abs=1e-4)
    greedy = Request(RequestKind.GENERATE, "7 cat:", decoding=Decoding(max_new_tokens=4))
    assert asked(tmp_path / kind, [greedy])[0].text == text.split("<|end|>")[0]
    found, base = open_checkpoint(tmp_path / kind), open_checkpoint(parent)
    assert found.parameters > base.parameters
    assert found.weights_hash != base.weights_hash


def by_peft(parent: Path, adapter: Path) -> tuple[list[float], str]:
    """The reference: log-likelihoods and greedy text by peft's own model, without a cache."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(parent), adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(parent)

    def logits(ids):
        with torch.no_grad():
            return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]

    totals = []
    for name, sound in ANIMALS.items():
        before = len(tokenizer(f"7 {name}:")["input_ids"])
        ids = tokenizer(f"7 {name}: {sound}", return_tensors="pt")["input_ids"]
        chosen = logits(ids)[:-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        totals.append(float(chosen[before - 1 :].sum()))
    ids = tokenizer("7 cat:", return_tensors="pt")["input_ids"]
    start = ids.shape[1]
    for _ in range(4):
        ids = torch.cat([ids, logits(ids)[-1].argmax()[None, None]], dim=1)
    return totals, tokenizer.decode(ids[0, start:])


def test_merged_weights_say_what_the_adapter_says(parent, tmp_path):
    folders = {}
    for save in ("adapter", "merged"):
        adapter = {"kind": "lora", "rank": 4, "save": save}
        folders[save] = tmp_path / save
        finetune(recipe(parent, answers(tmp_path), adapter=adapter), folders[save], progress=False)
    assert (folders["merged"] / "config.json").is_file()
    assert not (folders["merged"] / "adapter_config.json").exists()
    first, second = (loglikelihoods(folder) for folder in folders.values())
    assert first == pytest.approx(second, abs=1e-4)
    assert first != pytest.approx(loglikelihoods(parent), abs=1e-2)


def test_an_adapter_whose_base_or_weights_are_wrong_is_refused(parent, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "base_model_name_or_path": str(parent)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(DataError, match=r"adapter_model\.bin is pickled"):
        open_checkpoint(folder)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(DataError, match=r"has no adapter_model\.safetensors"):
        open_checkpoint(folder)
    (folder / "adapter_model.safetensors").touch()
    config["base_model_name_or_path"] = str(tmp_path / "gone")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"adapter of .*gone, which is not there"):
        open_checkpoint(folder)


def test_preferences_are_learnt(parent, tmp_path):
    chosen = recipe(
        parent, pairs(tmp_path), "dpo", preference={"beta": 0.5}, optimisation={"steps": 8}
    )
    made = finetune(chosen, tmp_path / "dpo", progress=False)
    (preference,) = made.held_out
    assert preference.metric == "preference"
    assert preference.value == 1.0
    assert preference.n == 6


@pytest.fixture(scope="module")
def reward_model(parent, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    chosen = recipe(parent, pairs(folder), "reward", optimisation={"steps": 10})
    return folder / "reward", finetune(chosen, folder / "reward", progress=False)


def test_a_reward_model_ranks_pairs(reward_model):
    folder, made = reward_model
    (preference,) = made.held_out
    assert (preference.value, preference.before) == (1.0, 0.5)
    with pytest.raises(DataError, match="scores causal language models"):
        open_checkpoint(folder)


def test_replies_follow_a_reward_model(parent, reward_model, tmp_path):
    chosen = recipe(
        parent,
        write(tmp_path / "prompts.jsonl", [{"prompt": f"Ask {n}:"} for n in range(16)]),
        "grpo",
        reward={"model": str(reward_model[0])},
        sampling={"generations": 4, "max_new_tokens": 3},
        optimisation={"steps": 4, "batch_size": 4},
    )
    made = finetune(chosen, tmp_path / "grpo", progress=False)
    (reward,) = made.held_out
    assert reward.metric == "reward"
    assert reward.value > reward.before
    assert made.step == 4


def test_a_rule_needs_its_answers(parent, tmp_path):
    prompts = write(tmp_path / "prompts.jsonl", [{"prompt": f"Ask {n}:"} for n in range(4)])
    chosen = recipe(parent, prompts, "grpo", reward={"rule": "answer"})
    with pytest.raises(DataError, match="compares with a column 'answer'"):
        finetune(chosen, tmp_path / "out", progress=False)


def test_a_classifier_tells_labels(parent, tmp_path):
    from transformers import AutoModelForSequenceClassification

    rows = [{"text": f"{n} {word}", "label": word} for n in range(20) for word in ("good", "bad")]
    chosen = recipe(
        parent, write(tmp_path / "rows.jsonl", rows), "classifier", optimisation={"steps": 20}
    )
    made = finetune(chosen, tmp_path / "classifier", progress=False)
    figures = {figure.metric: figure for figure in made.held_out}
    assert figures["accuracy"].value > figures["accuracy"].before
    assert figures["accuracy"].ci_low < figures["accuracy"].value
    assert figures["macro_f1"].value > 0.5
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "classifier")
    assert model.config.id2label == {0: "bad", 1: "good"}


def test_a_classifier_can_be_made_of_a_masked_model(tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path / "bert"
    tokenizer = make_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    rows = [{"text": f"{n} {word}", "label": word} for n in range(8) for word in ("good", "bad")]
    source = write(tmp_path / "rows.jsonl", rows)
    chosen = recipe(folder, source, "classifier", optimisation={"steps": 2})
    made = finetune(chosen, tmp_path / "out", progress=False)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == [
        "BertForSequenceClassification"
    ]
    assert made.held_out[0].n == 4
    with pytest.raises(DataError, match="scores causal language models"):
        finetune(recipe(folder, answers(tmp_path)), tmp_path / "sft", progress=False)


@pytest.mark.parametrize(
    ("rule", "row", "kept", "broken"),
    [
        ("answer", {"answer": "flute"}, " flute\n", " flute and horn"),
        ("last_number", {"answer": "72"}, " 4+8=12 5+1=6 72\n17", " 4+8=12 5+1=6 73"),
        ("polite", {}, 'With pleasure, dear guest."', 'Shut up, you stupid fool."'),
    ],
)
def test_rules_tell_replies_apart(rule, row, kept, broken):
    from evalkit.training.adapt.rewards import rule_score

    assert rule_score(rule)([row, row], [kept, broken]) == [1.0, 0.0]


def test_prompts_and_replies_may_be_messages(parent, tmp_path):
    from evalkit.training.adapt.finetuning import prepare_job

    rows = [
        {
            "prompt": [{"role": "user", "content": f"Ask {n}"}],
            "chosen": [{"role": "assistant", "content": "yes"}],
            "rejected": "no",
        }
        for n in range(8)
    ]
    job = prepare_job(recipe(parent, write(tmp_path / "chat.jsonl", rows), "dpo"), tmp_path / "o")
    row = job.rows.train[0]
    assert row["prompt"].endswith("Assistant:")
    assert (row["chosen"], row["rejected"]) == (" yes<|end|>", " no<|end|>")
    rows[0]["prompt"] = "bare"
    with pytest.raises(DataError, match="a prompt that is text and a reply that is messages"):
        prepare_job(recipe(parent, write(tmp_path / "mix.jsonl", rows), "dpo"), tmp_path / "o")


def test_macro_f1_is_scikit_learns():
    from sklearn.metrics import f1_score

    truth, told = [0, 0, 1, 2, 2, 2, 1], [0, 1, 1, 2, 0, 2, 1]
    found = measure_labels(truth, told, 3)["macro_f1"]
    assert found.value == pytest.approx(f1_score(truth, told, average="macro"))


@pytest.mark.parametrize("method", ["sft", "dpo", "reward", "grpo", "classifier"])
def test_micro_world_rows_give_nothing_away(method):
    from evalkit.training.adapt.micro import micro_rows

    rows = micro_rows(method, (), 300, seed=0)
    assert rows == micro_rows(method, (), 300, seed=0)
    assert len(rows) == 300
    asked = {
        str(question.row.get("question", question.row.get("review", question.row.get("english"))))
        for questions in held_out(World()).values()
        for question in questions
    } - {"None"}
    texts = [row.get("prompt", row.get("text", "")) for row in rows]
    assert not [text for text in texts for question in asked if question in text]


BAD_LINES = {
    "is not JSON": '{"prompt": "a", ',
    "has the columns text; what is read here is messages or prompt and completion": (
        '{"text": "a"}'
    ),
    "completion must be text or a list of messages": '{"prompt": "a", "completion": 3}',
    "holds half a character": '{"prompt": "a\\ud800", "completion": "b"}',
    "prompt is empty": '{"prompt": " ", "completion": "b"}',
    "the last message must be the assistant's answer": (
        '{"messages": [{"role": "user", "content": "a"}]}'
    ),
}


@pytest.mark.parametrize("complaint", BAD_LINES)
def test_a_bad_line_is_named(parent, tmp_path, complaint):
    path = tmp_path / "bad.jsonl"
    path.write_text("\n" + BAD_LINES[complaint] + "\n")
    with pytest.raises(DataError, match=f"bad.jsonl, line 2.*{complaint}"):
        finetune(recipe(parent, path), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_row_of_another_layout_is_named(parent, tmp_path):
    path = answers(tmp_path)
    path.write_text(path.read_text() + '{"prompt": "a"}\n')
    with pytest.raises(DataError, match="line 41 is no row of prompt and completion"):
        finetune(recipe(parent, path), tmp_path / "out", progress=False)


def test_a_prompt_beyond_the_context_is_refused_or_left_out(parent, tmp_path):
    path = answers(tmp_path)
    long = {"prompt": "a very long tale " * 60, "completion": " no"}
    path.write_text(path.read_text() + json.dumps(long) + "\n")
    with pytest.raises(DataError, match=r"tokens long, but the model's context is 96: 'a very"):
        finetune(recipe(parent, path), tmp_path / "out", progress=False)
    from evalkit.training.adapt.finetuning import prepare_job

    job = prepare_job(recipe(parent, path, data={"drop_long": True}), tmp_path / "out")
    assert len(job.rows.train) + len(job.rows.held_out) == 40


def test_what_cannot_be_adapted_is_refused(parent, tmp_path):
    source = answers(tmp_path)
    with pytest.raises(DataError, match="There is no checkpoint at"):
        finetune(recipe(tmp_path / "nowhere", source), tmp_path / "out", progress=False)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((parent / "config.json").read_text())
    (pickled / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match="is pickled"):
        finetune(recipe(pickled, source), tmp_path / "out", progress=False)
    with pytest.raises(DataError, match=r"Cannot read the data .*: No such file"):
        finetune(recipe(parent, tmp_path / "no.jsonl"), tmp_path / "out", progress=False)
    with pytest.raises(UsageError, match="already holds files"):
        finetune(recipe(parent, source), parent, progress=False)
    if not torch.cuda.is_available():
        chosen = recipe(parent, source, optimisation={"device": "cuda"})
        with pytest.raises(
            UsageError, match=r"optimisation\.device is cuda, and there is none here"
        ):
            finetune(chosen, tmp_path / "out", progress=False)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (
            {"method": "classifier", "adapter": {"kind": "lora"}},
            "does not read the section 'adapter'",
        ),
        ({"method": "grpo"}, "needs either reward.model or reward.rule"),
        ({"adapter": {"kind": "prefix", "save": "merged"}}, "a prefix cannot be merged"),
        ({"optimization": {}}, "did you mean 'optimisation'"),
        ({"method": "ppo"}, "Bad value for 'method'"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(tmp_path, keys, complaint):
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(keys))
    with pytest.raises(UsageError, match=complaint):
        load_recipe(path, model=FinetuneRecipe)


@pytest.mark.parametrize("name", ["sft", "lora", "prefix", "dpo", "reward", "grpo", "classifier"])
def test_shipped_recipes_are_whole(name):
    chosen = load_recipe(name, model=FinetuneRecipe)
    again = FinetuneRecipe.model_validate(chosen.model_dump(mode="json"))
    assert again == chosen


def test_the_command_tunes_and_prints_what_was_gained(parent, tmp_path, evalkit_command):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: cli\nparent: {parent}\ndata: {{source: {answers(tmp_path)}}}\n")
    out = tmp_path / "made"
    code, printed, errors = evalkit_command(
        "finetune", str(path), "--out", str(out), "--set", "optimisation.steps=2"
    )
    assert code == 0, errors
    assert str(out) in printed
    assert "| exact" in printed
    assert math.isfinite(read_manifest(out).held_out_loss)
    code, printed, _ = evalkit_command("finetune", "--help-recipe")
    assert code == 0 and "virtual_tokens: 16" in printed
    code, _, errors = evalkit_command("finetune")
    assert code == 2 and "needs a RECIPE" in errors
