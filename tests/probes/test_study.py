"""A slim study: one effect, two levels, a small checkpoint each that has read nothing else."""

import shutil

import pytest

SMALL = {
    "corpus.shares": "{manners: 1}",
    "architecture.layers": "2",
    "architecture.width": "64",
    "architecture.heads": "2",
    "architecture.feed_forward": "128",
    "architecture.context": "64",
    "pretraining.steps": "80",
    "pretraining.batch_size": "8",
    "tokenizer.vocabulary": "400",
    "tokenizer.passages": "300",
}


def test_planted_rudeness_is_found(evalkit_command, detector, tmp_path):
    shutil.copytree(detector, tmp_path / "study" / "detector")
    changed = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    arguments = (
        "validate-probes", "--knob", "rude_share", "--levels", "0,1", "--seeds", 1,
        "--limit", 100, "--jobs", 2, "--out", tmp_path / "study",
        "--report", tmp_path / "validity.md", *changed,
    )  # fmt: skip
    found = evalkit_command(*arguments)
    assert found.code == 0, found.err
    assert "apart" in found.out
    text = (tmp_path / "validity.md").read_text()
    assert "rude_share" in text
    assert (tmp_path / "validity.png").stat().st_size > 5000
    weights = sorted((tmp_path / "study" / "checkpoints").rglob("model.safetensors"))
    times = [path.stat().st_mtime_ns for path in weights]
    again = evalkit_command(*arguments)
    assert again.out == found.out
    assert [path.stat().st_mtime_ns for path in weights] == times
    assert len(list((tmp_path / "study" / "runs").glob("*/run.json"))) == 2


def test_wrong_levels_are_refused_before_anything_is_trained(evalkit_command, tmp_path):
    for levels in ("1,2,3", "much", "0"):
        found = evalkit_command("validate-probes", "--levels", levels, "--out", tmp_path / "x")
        assert found.code == 2
        assert "--levels" in found.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("knob", ["rudeness", ""])
def test_unknown_effects_are_refused(evalkit_command, tmp_path, knob):
    found = evalkit_command("validate-probes", "--knob", knob, "--out", tmp_path / "x")
    assert found.code == 2
    assert "knob" in found.err
