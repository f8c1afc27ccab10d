"""A pedigree goes back to the corpus, also where a parent is gone."""

import shutil

import pytest

from evalkit.errors import DataError
from evalkit.training import Recipe, describe_pedigree, train
from evalkit.training.checkpoint import make_manifest, save_checkpoint
from evalkit.training.manifest import read_manifest


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """A checkpoint, its child and its grandchild."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("family")
    recipe = Recipe.tiny()
    grandparent = train(recipe, folder / "tiny", progress=False)[-1]
    model = AutoModelForCausalLM.from_pretrained(grandparent)
    tokenizer = AutoTokenizer.from_pretrained(grandparent)
    generations = [grandparent]
    for stage in ("finetuning", "quantisation"):
        child = folder / stage
        manifest = make_manifest(
            recipe.pretraining, model, tokenizer, parent=generations[-1], name=stage, stage=stage,
            step=3, tokens_seen=99, wall_s=1.0, cpu_s=1.0,
        )  # fmt: skip
        save_checkpoint(child, model, tokenizer, manifest)
        generations.append(child)
    return generations


def test_a_checkpoint_of_its_own_names_corpus_and_knobs(family):
    text = describe_pedigree(family[0])
    manifest = read_manifest(family[0])
    for part in (
        "pretraining, 8 steps",
        manifest.corpus.sha256[:16],
        manifest.tokenizer_sha256[:16],
        "pronoun_skew 0.8",
        "from random weights",
        f"{manifest.parameters:,} parameters",
    ):
        assert part in text


def test_a_pedigree_goes_back_to_the_corpus(family):
    text = describe_pedigree(family[2])
    places = [text.index(word) for word in ("quantisation", "finetuning", "pretraining", "corpus")]
    assert places == sorted(places)
    assert read_manifest(family[0]).corpus.sha256[:16] in text
    assert "no longer there" not in text
    assert read_manifest(family[2]).knobs == read_manifest(family[0]).knobs


def test_parents_that_are_gone_are_remembered(family, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(family[2], alone)
    shutil.move(family[1], tmp_path / "elsewhere")
    try:
        text = describe_pedigree(alone)
    finally:
        shutil.move(tmp_path / "elsewhere", family[1])
    assert "(no longer there)" in text
    assert "pretraining, 8 steps" in text


def test_what_is_no_checkpoint_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no evalkit\.json"):
        describe_pedigree(tmp_path)
    (tmp_path / "evalkit.json").write_text('{"name": 3}')
    with pytest.raises(DataError, match="no readable training manifest"):
        describe_pedigree(tmp_path)
