"""`evalkit watch`: each complete checkpoint once, in order, and word where the gate turns."""

import json
import shlex
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import fsspec
import pytest
from safetensors.numpy import load_file, save_file

from evalkit.results import Store
from tests.checkpoints import make_checkpoint

GOOD, BAD = 0.1, 8.0
"""Scales of random weights: near to uniform predictions, and sure of what is wrong."""
GATE = """
rules:
  - {task: toy_text, metric: bits_per_byte, max: 4.08}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Checkpoints to be copied from: good and bad ones, each of other weights."""
    folder = tmp_path_factory.mktemp("made")
    for seed, scale in enumerate((GOOD, BAD, GOOD, GOOD)):
        make_checkpoint(folder / str(seed), seed=seed, scale=scale)
    return folder


@pytest.fixture
def saved(made, tmp_path):
    """Saves a checkpoint as a training does: in place, or as evalkit's by renaming."""

    def save(which, name, renamed=True):
        place = tmp_path / "training" / name
        shutil.copytree(made / str(which), place)
        if renamed:
            (place / "evalkit.json").write_text("{}")
        return place

    (tmp_path / "training").mkdir()
    return save


@pytest.fixture
def watch(tmp_path, task_folder, evalkit_command):
    def call(*more, source=tmp_path / "training", tasks=task_folder, poll=0.1):
        return evalkit_command(
            "watch", source, "--tasks", "toy_text", "--include-path", tasks, "--device",
            "cpu", "--store", tmp_path / "store", "--poll", poll, "--once", *more,
        )  # fmt: skip

    return call


def names(tmp_path):
    return [run.name.rsplit("-step", 1)[-1] for run in Store(tmp_path / "store").listing().runs]


def test_each_checkpoint_is_measured_once(watch, saved, tmp_path):
    for step in (10, 2, 1000):
        saved(len(str(step)) - 1, f"step-{step}", renamed=step != 10)
    saved(3, ".step-5.unfinished")
    assert watch().code == 0
    assert sorted(names(tmp_path)) == ["-10", "-1000", "-2"]
    again = watch()
    assert (again.code, again.err) == (0, "")
    ledger = next((tmp_path / "store" / ".watch").glob("*.json"))
    ledger.unlink()  # as if it had been killed before it could note anything
    assert watch().code == 0
    assert len(names(tmp_path)) == 3
    assert all(run.tags["watch"] == "training" for run in Store(tmp_path / "store").listing().runs)


@pytest.mark.parametrize(("order", "first"), [((), "step-2 "), (("--newest-first",), "step-1000 ")])
def test_the_oldest_or_the_newest_comes_first(watch, saved, order, first):
    for which, step in enumerate((1000, 300, 2)):
        saved(which, f"step-{step}")
    said = [line for line in watch(*order, "--every", "2").err.splitlines() if "measured" in line]
    assert len(said) == 3
    assert said[0].startswith(first)


def test_only_every_so_many_steps(watch, saved, tmp_path):
    for which, step in enumerate((500, 750, 1000)):
        saved(which, f"step-{step}", renamed=False)
    assert watch("--every", "500").code == 0
    assert sorted(names(tmp_path)) == ["-1000", "-500"]


def test_what_is_still_written_waits(watch, saved, tmp_path):
    """A half-written file of weights is left alone, and measured when it is whole."""
    whole = saved(0, "step-7", renamed=False) / "model.safetensors"
    data = whole.read_bytes()
    whole.write_bytes(data[:5000])
    outcome = watch()
    assert outcome.code == 0
    assert "step-7 is left for now" in outcome.err
    assert not names(tmp_path)
    whole.write_bytes(data)
    assert "step-7 is measured" in watch().err
    assert len(names(tmp_path)) == 1


def test_the_command_and_the_webhook_hear_of_each_turn_once(watch, saved, tmp_path):
    heard: list[dict] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(503 if len(heard) == 1 else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "gate.yaml").write_text(GATE)
    log = tmp_path / "turns"
    code = f"import os; open({str(log)!r}, 'a').write(os.environ['EVALKIT_AFTER'] + chr(10))"
    options = (
        "--gate", tmp_path / "gate.yaml", "--webhook", f"http://127.0.0.1:{server.server_port}",
        "--on-turn", shlex.join([sys.executable, "-c", code]),
    )  # fmt: skip
    saved(0, "step-1")
    assert "passed" in watch(*options).err
    assert not heard
    saved(1, "step-2")
    assert "REGRESSED" in watch(*options).err
    saved(2, "step-3")
    saved(3, "step-4")
    assert watch(*options).code == 0
    server.shutdown()
    assert log.read_text().split() == ["regressed", "passed"]
    # The first call was refused, and made again.
    assert [(turn["checkpoint"], turn["after"]) for turn in heard] == [
        ("step-2", "regressed"), ("step-2", "regressed"), ("step-3", "passed"),
    ]  # fmt: skip


def test_without_a_baseline_each_is_held_against_the_one_before(watch, saved, tmp_path):
    (tmp_path / "gate.yaml").write_text("defaults: {alpha: 0.05}\n")
    saved(0, "step-1")
    saved(1, "step-2")
    said = watch("--gate", tmp_path / "gate.yaml").err.splitlines()
    assert said[0].startswith("step-1 is measured")
    assert "against training-step-1: REGRESSED" in said[1]


def test_checkpoints_of_an_object_store(watch, made, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.put(str(made / "0") + "/", "/bucket/run/step-10/", recursive=True)
    memory.pipe_file("/bucket/run/step-10/optimizer.pt", b"x" * 100)
    assert watch(source="memory://bucket/run").code == 0
    (run,) = Store(tmp_path / "store").listing().runs
    assert (run.name, run.tags["source"]) == ("run-step-10", "memory://bucket/run/step-10")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    assert watch(source="memory://bucket/run").err == ""


def test_an_object_store_that_is_away_for_a_while_loses_no_checkpoint(
    watch, made, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.put(str(made / "1") + "/", "/bucket/away/step-10/", recursive=True)

    def away(*_, **__):
        raise OSError("it is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "get_file", away)
        outcome = watch(source="memory://bucket/away")
    assert "cannot be copied here (it is away)" in outcome.err
    assert not names(tmp_path)
    assert "step-10 is measured" in watch(source="memory://bucket/away").err


def test_tasks_whose_data_are_missing_cost_no_checkpoint(watch, saved, tmp_path, task_folder):
    saved(0, "step-1")
    tasks = shutil.copytree(task_folder, tmp_path / "tasks")
    data = (tasks / "toy_text.jsonl").rename(tmp_path / "elsewhere")
    outcome = watch(tasks=tasks)
    assert outcome.code == 2
    assert "toy_text" in outcome.err
    data.rename(tasks / "toy_text.jsonl")
    assert "step-1 is measured" in watch(tasks=tasks).err


def test_one_that_fails_is_tried_three_times_and_keeps_no_other_waiting(watch, saved, tmp_path):
    file = saved(0, "step-1") / "model.safetensors"
    save_file({name: w * float("nan") for name, w in load_file(file).items()}, file)
    saved(1, "step-2")
    outcome = watch()
    *said, last = outcome.err.splitlines()
    assert ["NaN" in line for line in said] == [True, False, True, True]
    assert outcome.code == 3
    assert "Not measured" in last and "step-1" in last
    assert names(tmp_path) == ["-2"]
    assert watch().err == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--on-turn", "no-such-command-here"), "there is no such command"),
        (("--webhook", "ftp://x"), "is no http or https URL"),
        (("--on-turn", "true"), "name its rules"),
        (("--tasks", "no_such_task"), "no_such_task"),
    ],
)
def test_wrong_usage_is_one_sentence(watch, saved, options, said):
    saved(0, "step-1")
    outcome = watch(*options)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_no_folder_is_told(watch, tmp_path):
    outcome = watch(source=tmp_path / "nowhere")
    assert outcome.code == 2
    assert "is no folder" in outcome.err
