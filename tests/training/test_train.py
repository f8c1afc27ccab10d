"""Training: checkpoints that load, say where they come from, and are the same each time."""

import math

import pytest
import torch
from transformers import TrainerCallback
from typer.testing import CliRunner

from evalkit.cli import app as cli
from evalkit.errors import EvaluationError, UsageError
from evalkit.training import Recipe, TrainingManifest, load_recipe, train
from evalkit.training.checkpoint import tokenizer_hash
from evalkit.training.corpus.settings import Tokenizer
from evalkit.training.recipe import Architecture

TINY = Recipe.tiny()


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return train(TINY, tmp_path_factory.mktemp("series") / "tiny", progress=False)


def test_checkpoints_are_named_by_step_early_to_late(series):
    assert [folder.name for folder in series] == ["step-000004", "step-000008"]
    others = {"metrics.parquet", "recipe.yaml"}
    assert {path.name for path in series[0].parent.iterdir()} == {
        *(folder.name for folder in series),
        *others,
    }


def test_checkpoints_load_with_transformers_and_differ(series):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    early, late = (AutoModelForCausalLM.from_pretrained(folder) for folder in series)
    tokenizer = AutoTokenizer.from_pretrained(series[1])
    assert late.config.vocab_size == len(tokenizer) == TINY.tokenizer.vocabulary
    assert not torch.equal(early.lm_head.weight, late.lm_head.weight)
    text = "The baker said that 17 of them were café-goers.\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    ids = tokenizer("The baker", return_tensors="pt")["input_ids"]
    assert math.isfinite(late(ids, labels=ids).loss.item())


def test_the_manifest_tells_the_whole_story(series):
    from transformers import AutoTokenizer

    early, late = (
        TrainingManifest.model_validate_json((folder / "evalkit.json").read_text())
        for folder in series
    )
    assert (early.step, late.step) == (4, 8)
    assert early.tokens_seen < late.tokens_seen <= TINY.tokens
    assert late.tokens_seen > 0.9 * TINY.tokens
    assert Recipe.model_validate(late.recipe) == TINY
    assert late.parent is None
    assert late.knobs.model_dump() == TINY.corpus.model_dump(exclude={"seed", "shares"})
    assert late.loss < early.loss < 1.2 * math.log(TINY.tokenizer.vocabulary)
    assert late.corpus.tokens >= late.tokens_seen
    assert len(late.corpus.sha256) == 64
    assert late.libraries["torch"] == torch.__version__
    assert late.hardware["threads"] == 1
    tokenizer = AutoTokenizer.from_pretrained(series[1])
    assert late.tokenizer_sha256 == tokenizer_hash(tokenizer)


def test_training_again_gives_the_same_weights(series, tmp_path):
    again = train(TINY, tmp_path / "again", progress=False)
    for first, second in zip(series, again, strict=True):
        weights = "model.safetensors"
        assert (first / weights).read_bytes() == (second / weights).read_bytes()
        assert (first / "tokenizer.json").read_text() == (second / "tokenizer.json").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"tokenizer": Tokenizer(vocabulary=60000, passages=50)},
        {"architecture": Architecture(model_type="lama")},
        {"architecture": Architecture(model_type="llama", config={"rms_norm": 1})},
    ],
)
def test_a_recipe_that_cannot_begin_leaves_no_folder_behind(change, tmp_path):
    with pytest.raises(UsageError, match=r"vocabulary = 60000|'lama'|rms_norm_eps"):
        train(TINY.model_copy(update=change), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(series, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="already holds files"):
        train(TINY, tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"
    before = (series[1] / "evalkit.json").read_bytes()
    with pytest.raises(UsageError, match="already holds files"):
        train(TINY, series[0].parent)
    assert (series[1] / "evalkit.json").read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"Cannot write to .*series: Not a directory"):
        train(TINY, tmp_path / "file" / "series")


def test_a_diverging_loss_ends_the_training(tmp_path):
    wild = TINY.model_copy(
        update={"pretraining": TINY.pretraining.model_copy(update={"learning_rate": 1e30})}
    )
    with pytest.raises(
        EvaluationError,
        match=r"(loss|norm) is (nan|inf) at step \d, on sequences \d+ to \d+.*begin '",
    ):
        train(wild, tmp_path / "wild", progress=False)


def test_a_vocabulary_beyond_the_corpus_is_refused(tmp_path):
    greedy = load_recipe(None, {"tokenizer.vocabulary": "9000", "tokenizer.passages": "50"})
    with pytest.raises(UsageError, match=r"supports \d+ tokens, fewer than tokenizer.vocabulary"):
        train(greedy, tmp_path / "greedy")


def test_the_command_trains_and_names_the_folders(tmp_path):
    settings = [
        "tokenizer.vocabulary=400",
        "tokenizer.passages=100",
        "architecture.width=16",
        "architecture.heads=1",
        "pretraining.steps=2",
        "pretraining.save_at=[1]",
        "corpus.leaked_tests=0.5",
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(cli.app, ["train", "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "step-000002"
    assert str(folder) in result.stdout
    manifest = TrainingManifest.model_validate_json((folder / "evalkit.json").read_text())
    assert manifest.knobs.leaked_tests == 0.5
    assert manifest.corpus.passages["leak"] > 0


def test_the_command_refuses_what_is_no_setting():
    result = CliRunner().invoke(cli.app, ["train", "--set", "steps"])
    assert isinstance(result.exception, UsageError)
    assert "KEY=VALUE" in str(result.exception)


class Outage(TrainerCallback):
    def on_step_begin(self, args, state, control, **context):
        if state.global_step == 5:
            raise RuntimeError("the power went")


def test_a_training_goes_on_in_the_precision_it_began_with(tmp_path, monkeypatch):
    """Also where another machine, which multiplies bf16 faster, takes it over."""
    rates = {"fp32": 2.0, "bf16": 1.0}
    monkeypatch.setattr("evalkit.training.peak.matmul_peak", lambda _, name, *more: rates[name])
    recipe = TINY.model_copy(
        update={"pretraining": TINY.pretraining.model_copy(update={"precision": "auto"})}
    )
    with pytest.raises(RuntimeError, match="the power went"):
        train(recipe, tmp_path / "out", progress=False, callbacks=[Outage()])
    rates["bf16"] = 9.0
    last = train(recipe, tmp_path / "out", resume=True, progress=False)[-1]
    manifest = TrainingManifest.model_validate_json((last / "evalkit.json").read_text())
    assert manifest.step == 8
    assert manifest.hardware["precision"] == "fp32"
