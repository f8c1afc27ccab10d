"""Recipes: read, overridden, described; every mistake in one sentence."""

import subprocess
import sys

import pytest
import yaml

from evalkit.errors import UsageError
from evalkit.training import Recipe, describe_recipe, load_recipe


def test_no_file_is_the_default():
    assert load_recipe() == Recipe()


def test_file_and_overrides(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: mine\npretraining:\n  steps: 40\n  save_at: [0.1, 0.5, 1]\n")
    recipe = load_recipe(path, {"corpus.rude_share": "0.5", "pretraining.steps": "20"})
    assert (recipe.name, recipe.corpus.rude_share) == ("mine", 0.5)
    assert recipe.save_steps == [2, 10, 20]
    assert recipe.architecture == Recipe().architecture


def test_description_is_a_recipe_and_names_every_key():
    text = describe_recipe()
    assert Recipe.model_validate(yaml.safe_load(text)) == Recipe()
    keys = [line for line in text.splitlines() if ":" in line.split("#")[0]]
    assert all("#" in line for line in keys if line.startswith("  ") or line.startswith("name"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pretraining:\n  step: 3\n", "'pretraining.step'.*did you mean 'steps'"),
        ("corpos: {}\n", "'corpos'.*did you mean 'corpus'"),
        ("corpus:\n  rude_share: 2\n", "'corpus.rude_share'.*less than or equal to 1"),
        ("pretraining:\n  precision: int8\n", "'pretraining.precision'.*'bf16' or 'fp32'"),
        ("architecture:\n  heads: 5\n", "architecture.heads.*192"),
        ("pretraining:\n  save_at: [1.5]\n", "save_at.*up to 1"),
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
    code = "import sys, evalkit.training as t; t.load_recipe(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
