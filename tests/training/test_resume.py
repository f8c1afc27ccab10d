"""A training that is killed, stopped, or robbed of its disk goes on, and ends as if nothing was.

`EVALKIT_KILLS=10 pytest -s tests/training/test_resume.py` is the longer study of docs/training.md.
"""

import json
import os
import random
import signal
import subprocess

import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from evalkit.training import Recipe
from evalkit.training.resume import STATE, checkpoints
from tests.training.warm import Warm

KILLS = int(os.environ.get("EVALKIT_KILLS", "2"))
RECIPE = Recipe.tiny()
CHANGES = {
    "pretraining.steps": 60,
    "pretraining.precision": "fp32",
    "pretraining.save_at": "[0.5,1]",
    "architecture.model_type": "gpt2",
    "architecture.dropout": 0.1,
    "watch.log_every": 5,
    "watch.held_out": 4,
    "watch.evaluate_every": 20,
    "saving.every_steps": 5,
}
NEVER = {"wall_s", "tokens_per_s", "peak_share"}


@pytest.fixture(scope="module")
def warm():
    process = Warm()
    yield process
    process.close()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.json"  # JSON is YAML
    path.write_text(RECIPE.model_dump_json())
    return path


@pytest.fixture(scope="module")
def arguments(recipe):
    changes = [part for key, value in CHANGES.items() for part in ("--set", f"{key}={value}")]
    return lambda out, *more: ("train", recipe, "--out", out, *changes, *more)


@pytest.fixture(scope="module")
def unbroken(warm, arguments, tmp_path_factory):
    """The folder of a training that nothing happened to, and its seconds."""
    folder = tmp_path_factory.mktemp("unbroken")
    done = warm.run(folder, *arguments(folder / "out"))
    assert done.code == 0, done.said
    return folder / "out", done.seconds


def assert_same(out, expected):
    """The same checkpoints, to the last bit; nothing unreadable; the same losses."""
    assert [folder.name for folder in checkpoints(out)] == [
        folder.name for folder in checkpoints(expected)
    ]
    for mine, theirs in zip(checkpoints(out), checkpoints(expected), strict=True):
        weights = "model.safetensors"
        assert (mine / weights).read_bytes() == (theirs / weights).read_bytes(), mine.name
        a, b = (json.loads((each / "evalkit.json").read_text()) for each in (mine, theirs))
        for key in ("step", "tokens_seen", "loss", "held_out_loss", "corpus", "tokenizer_sha256"):
            assert a[key] == b[key], key
    rows, wanted = (pq.read_table(each / "metrics.parquet").to_pylist() for each in (out, expected))
    for row, other in zip(rows, wanted, strict=True):
        assert {k: v for k, v in row.items() if k not in NEVER} == {
            k: v for k, v in other.items() if k not in NEVER
        }
    assert not list(out.glob(".*"))


def assert_readable(out):
    for folder in checkpoints(out):
        json.loads((folder / "evalkit.json").read_text())
        with safe_open(folder / "model.safetensors", "pt") as weights:
            assert len(list(weights.keys())) > 10


def test_last_and_best_are_kept_and_states_only_to_go_on_from(unbroken):
    out, _ = unbroken
    losses = {
        row["step"]: row["held_out_loss"]
        for row in pq.read_table(out / "metrics.parquet").to_pylist()
        if row["held_out_loss"] is not None
    }
    names = {folder.name for folder in checkpoints(out)}
    best = min(losses, key=losses.get)
    assert names == {f"step-{step:06d}" for step in {30, 50, 55, 60, best}}
    assert not list(out.glob(f"*/{STATE}"))


def test_killed_at_random_moments(warm, arguments, unbroken, tmp_path):
    """kill -9, then --resume: at moments drawn evenly over all of it, and over its second part.

    Most of so short a training is its preparation; every other kill waits for the first checkpoint.
    """
    expected, seconds = unbroken
    draw = random.Random(5)
    kills, going_on = 0, 0
    while kills < KILLS:
        folder = tmp_path / str(kills)
        folder.mkdir(exist_ok=True)
        out = folder / f"out-{draw.getrandbits(32)}"
        late = {"wait_for": str(out / "step-000005"), "kill_after": draw.uniform(0, seconds / 3)}
        early = {"kill_after": draw.uniform(0.2, seconds)}
        killed = warm.run(folder, *arguments(out), **(early if kills % 2 else late))
        if killed.code == 0:  # it was quicker than the one that was timed
            assert_same(out, expected)
            continue
        kills += 1
        assert killed.code == -signal.SIGKILL
        assert_readable(out)
        going_on += bool(checkpoints(out))
        resumed = warm.run(folder, *arguments(out, "--resume"))
        assert resumed.code == 0, resumed.said
        assert_same(out, expected)
    print(f"{kills} kills, {going_on} of them after the first checkpoint")


def test_ctrl_c_saves_and_says_how_to_go_on(warm, arguments, unbroken, tmp_path):
    expected, seconds = unbroken
    out = tmp_path / "out"
    stopped = warm.run(
        tmp_path, *arguments(out), kill_after=0.7 * seconds, signal_number=signal.SIGINT
    )
    assert stopped.code == 130, stopped.said
    assert "go on with --resume" in stopped.said
    stopped_at = checkpoints(out)[-1].name
    resumed = warm.run(tmp_path, "train", "--out", out, "--resume")  # it knows its recipe
    assert resumed.code == 0, resumed.said
    weights = "step-000060/model.safetensors"
    assert (out / weights).read_bytes() == (expected / weights).read_bytes()
    assert int(stopped_at.removeprefix("step-")) < 60
    again = warm.run(tmp_path, "train", "--out", out, "--resume")
    assert again.code == 0
    assert "step-000060" in again.said


def test_a_changed_recipe_or_corpus_is_refused(warm, arguments, unbroken, tmp_path):
    out, _ = unbroken
    before = (out / "step-000060" / "evalkit.json").read_bytes()
    changed = warm.run(tmp_path, *arguments(out, "--resume", "--set", "pretraining.clip=2"))
    assert changed.code == 2
    assert "pretraining.clip = 1.0, and the recipe now says 2.0" in changed.said
    fresh = warm.run(tmp_path, *arguments(out))
    assert fresh.code == 2
    assert "--resume" in fresh.said
    assert (out / "step-000060" / "evalkit.json").read_bytes() == before


@pytest.fixture
def full_disk(tmp_path):
    """A place with room for one checkpoint and not for the next, and its remedy."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs takes root")
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(4 * 2**20 - 1_100_000))
    yield disk / "out", ballast.unlink
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_costs_no_checkpoint(warm, arguments, unbroken, full_disk, tmp_path):
    out, remedy = full_disk
    stopped = warm.run(tmp_path, *arguments(out))
    assert stopped.code == 2, stopped.said
    assert "Traceback" not in stopped.said
    assert "Cannot write the checkpoint" in stopped.said
    assert checkpoints(out)
    assert_readable(out)
    remedy()
    resumed = warm.run(tmp_path, *arguments(out, "--resume"))
    assert resumed.code == 0, resumed.said
    assert_same(out, unbroken[0])


def test_a_file_that_may_not_grow_is_told_of(warm, arguments, tmp_path):
    stopped = warm.run(tmp_path, *arguments(tmp_path / "out"), file_limit=60_000)
    assert stopped.code == 2, stopped.said
    assert "Cannot write the checkpoint" in stopped.said
    assert not checkpoints(tmp_path / "out")
