"""Text of one's own is made into a corpus and learnt from; too little of it is told."""

import json
import shlex

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.training import Recipe, load_recipe, train

WORDS = "the of and to in that is was he for it with as his on be at by had not are but from"


@pytest.fixture
def recipe(tmp_path):
    """A recipe for texts in a folder of its own."""

    def make(texts, **changes):
        folder = tmp_path / "texts"
        folder.mkdir()
        for index, text in enumerate(texts):
            (folder / f"{index}.txt").write_text(text)
        tiny = Recipe.tiny().model_dump(mode="json")
        clean = {"languages": [], "min_words": 0, "gibberish": False, "repetition": False}
        tiny["corpus"] = {
            "collect": {"sources": [str(folder)]},
            "clean": {**clean, "boilerplate": 0},
            "deduplicate": {"near": None},
            "held_out": 0.1,
        }
        tiny["tokenizer"]["vocabulary"] = 300
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(tiny))
        return load_recipe(path, {key.replace("__", "."): value for key, value in changes.items()})

    return make


def stories(count):
    words = WORDS.split()
    return [
        " ".join(words[(i * j + j) % len(words)] for j in range(1, 90)) + f" {i}."
        for i in range(count)
    ]


@pytest.mark.parametrize("packing", ["auto", "documents"])
def test_text_is_learnt_from(recipe, tmp_path, packing):
    chosen = recipe(stories(40), watch__held_out="4", pretraining__packing=packing)
    out = tmp_path / "out"
    folders = train(chosen, out, progress=False)
    manifest = json.loads((folders[-1] / "evalkit.json").read_text())
    assert manifest["knobs"] is None
    assert sum(manifest["corpus"]["passages"].values()) == 40
    assert 0 < manifest["held_out_loss"] < 6
    assert manifest["tokens_seen"] == pytest.approx(8 * 4 * 128, rel=0.4)
    assert (out / "corpus" / "datasheet.json").is_file()
    # Another series learns from the corpus that is there already.
    again = chosen.model_copy(
        update={"corpus": load_recipe(None, {"corpus.prepared": str(out / "corpus")}).corpus}
    )
    other = train(again, tmp_path / "other", progress=False)
    weights = "model.safetensors"
    assert (other[-1] / weights).read_bytes() == (folders[-1] / weights).read_bytes()


def test_the_command_for_training_that_is_told_is_the_right_one(recipe, tmp_path, evalkit_command):
    recipe(stories(40))
    made = evalkit_command(
        "corpus", tmp_path / "recipe.json", "--out", tmp_path / "out dir",
        "--set", "tokenizer.vocabulary=310", "--set", "corpus.clean.languages=[]",
    )  # fmt: skip
    assert made.code == 0, made.err
    program, *told = shlex.split(made.err.partition("learn from it: ")[2])
    trained = evalkit_command(*told)
    assert (program, trained.code) == ("evalkit", 0), trained.err
    assert (tmp_path / "out dir" / "step-000008").is_dir()


def test_no_text_is_told(recipe, tmp_path):
    with pytest.raises(DataError, match="no text"):
        train(recipe([]), tmp_path / "out", progress=False)


def test_a_text_shorter_than_a_sequence_is_told(recipe, tmp_path):
    long = recipe(stories(6), architecture__context="8192", tokenizer__vocabulary="300")
    with pytest.raises((UsageError, DataError), match=r"fewer than one sequence|context"):
        train(long, tmp_path / "out", progress=False)


def test_a_vocabulary_beyond_the_text_is_told(recipe, tmp_path):
    with pytest.raises(UsageError, match=r"tokenizer\.vocabulary"):
        train(recipe(stories(20), tokenizer__vocabulary="5000"), tmp_path / "out", progress=False)


def test_held_out_sequences_need_held_out_text(recipe, tmp_path):
    chosen = recipe(stories(20), corpus__held_out="0", watch__held_out="4")
    with pytest.raises(UsageError, match=r"raise corpus\.held_out"):
        train(chosen, tmp_path / "out", progress=False)
