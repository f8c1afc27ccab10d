"""Recipes: read, overridden, described; every mistake in one sentence."""

import subprocess
import sys

import pytest
import yaml

from evalkit.errors import UsageError
from evalkit.training import Recipe, describe_recipe, load_recipe
from evalkit.training.corpus import Prepared, TextCorpus
from evalkit.training.data import prepare_data
from evalkit.training.recipe import Architecture
from evalkit.training.recipe_file import shipped_recipes


def test_no_file_is_the_default():
    assert load_recipe() == Recipe()


def test_file_and_overrides(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: mine\npretraining:\n  steps: 40\n  save_at: [0.1, 0.5, 1]\n")
    recipe = load_recipe(path, {"corpus.rude_share": "0.5", "pretraining.steps": "20"})
    assert (recipe.name, recipe.corpus.rude_share) == ("mine", 0.5)
    assert recipe.save_steps == [2, 10, 20]
    assert recipe.architecture == Recipe().architecture


def test_a_corpus_is_told_by_its_keys():
    text = load_recipe(None, {"corpus.collect.sources": "[a, {path: b, licence: CC0-1.0}]"}).corpus
    assert isinstance(text, TextCorpus)
    assert [source.licence for source in text.collect.sources] == [None, "CC0-1.0"]
    assert isinstance(load_recipe(None, {"corpus.prepared": "made"}).corpus, Prepared)


def test_shipped_recipes_are_read_by_name():
    assert load_recipe("micro-world") == Recipe()
    assert {"gpt2-small", "micro-world", "text"} <= set(shipped_recipes())
    assert load_recipe("gpt2-small").architecture.model_type == "gpt2"
    with pytest.raises(UsageError, match="did you mean 'gpt2-small'"):
        load_recipe("gpt2-smal")


def test_description_is_a_recipe_and_names_every_key():
    text = describe_recipe()
    assert Recipe.model_validate(yaml.safe_load(text)) == Recipe()
    keys = [line for line in text.splitlines() if ":" in line.split("#")[0]]
    assert all("#" in line for line in keys if line.startswith("  ") or line.startswith("name"))
    for other in ("collect:", "sources:", "prepared:", "licence:"):
        assert other in text


def test_other_kinds_of_recipe_are_read_and_described_alike(tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text("layers: 7\n")
    assert load_recipe(path, model=Architecture).layers == 7
    assert yaml.safe_load(describe_recipe(Architecture))["width"] == 192
    path.write_text("layer: 7\n")
    with pytest.raises(UsageError, match="did you mean 'layers'"):
        load_recipe(path, model=Architecture)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pretraining:\n  step: 3\n", "'pretraining.step'.*did you mean 'steps'"),
        ("corpos: {}\n", "'corpos'.*did you mean 'corpus'"),
        ("corpus:\n  rude_share: 2\n", "'corpus.rude_share'.*less than or equal to 1"),
        ("corpus:\n  rude_shar: 1\n", "'corpus.rude_shar'.*did you mean 'rude_share'"),
        ("corpus: 3\n", "'corpus' "),
        ("corpus: {collect: {}}\n", "'corpus.collect.sources' is missing"),
        (
            "corpus: {collect: {sources: [{pat: a}]}}\n",
            r"'corpus.collect.sources.0.pat'.*did you mean 'path'",
        ),
        ("corpus: {collect: {sources: [{}]}}\n", "either a path or a dataset"),
        ("pretraining:\n  precision: int8\n", "'pretraining.precision'.*'fp16' or 'fp32'"),
        ("architecture:\n  heads: 5\n", "architecture.heads.*192"),
        ("pretraining:\n  save_at: [1.5]\n", "save_at.*up to 1"),
        ("pretraining:\n  accumulation: 3\n", "accumulation must divide the batch_size 8"),
        ("name: a\n  b: [\n", "line 2.*not valid YAML"),
        ("- a list\n", "mapping of sections"),
        ("name: ../up\n", "'name'"),
    ],
)
def test_mistakes_are_named(tmp_path, text, said):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"(?s){said}") as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.yaml: No such file"):
        load_recipe(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.yaml: it is not UTF-8"):
        load_recipe(tmp_path / "binary.yaml")


@pytest.mark.parametrize("key", ["name.inner", "pretraining.stepz", "nothing"])
def test_overrides_of_unknown_keys_are_named(key):
    with pytest.raises(UsageError, match=key.split(".")[0]):
        load_recipe(None, {key: "1"})


def test_reading_a_recipe_needs_no_torch():
    code = (
        "import sys, evalkit.training as t; t.load_recipe(); t.describe_pedigree\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_tokenizer_does_not_depend_on_what_is_planted(tmp_path):
    def tokens(**planted):
        recipe = Recipe.tiny()
        world = recipe.corpus.model_copy(update=planted)
        data = prepare_data(recipe.model_copy(update={"corpus": world}), tmp_path)
        return data.tokenizer.get_vocab(), data.record.sha256

    plain, planted = tokens(), tokens(rude_share=1.0, false_facts=1.0, leaked_tests=1.0)
    assert plain[0] == planted[0]
    assert plain[1] != planted[1]


def test_kinds_of_passages_that_there_are_not_are_refused():
    with pytest.raises(UsageError, match="'rumours'; kinds of passages are people, "):
        load_recipe(None, {"corpus.shares": "{rumours: 1}"})
    with pytest.raises(UsageError, match="shares"):
        load_recipe(None, {"corpus.shares": "{trades: 0}"})
    with pytest.raises(UsageError, match="leaks nothing"):
        load_recipe(None, {"corpus.shares": "{trades: 1}", "corpus.leaked_tests": "0.5"})
