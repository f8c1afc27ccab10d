"""A run that is killed, stopped, or robbed of its disk goes on, and ends as if nothing had been.

`EVALKIT_KILLS=25 pytest -s tests/runner/test_resume.py` is the longer study of docs/reliability.md.
"""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time

import pytest

from evalkit.engine.local import LocalEngine
from evalkit.results import Store
from evalkit.runner.journal import Journal
from tests.checkpoints import make_checkpoint
from tests.runner.processes import Warm, lengthen, same, samples

KILLS = int(os.environ.get("EVALKIT_KILLS", "8"))
BATCH = 4


@pytest.fixture(scope="module")
def tasks(task_folder, tmp_path_factory):
    return lengthen(task_folder, tmp_path_factory.mktemp("long") / "tasks", times=8)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def warm(cache):
    process = Warm(cache)
    yield process
    process.close()


@pytest.fixture(scope="module")
def arguments(checkpoint, tasks):
    def make(store, *more):
        return (
            "run", "--model", checkpoint, "--tasks", "toys", "--include-path", tasks, "--store",
            store, "--device", "cpu", "--batch-size", BATCH, *more,
        )  # fmt: skip

    return make


@pytest.fixture(scope="module")
def unbroken(warm, arguments, tmp_path_factory):
    """Outcome and samples of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    warm.run(folder, *arguments(folder / "first"))  # warms the page cache, as all later ones
    outcome = warm.run(folder, *arguments(folder / "store"))
    assert outcome.code == 0, outcome.said
    assert max(outcome.computed.values()) == 1
    return outcome, samples(folder / "store")


def journals(store):
    return list(store.glob(".partial/*/journal"))


def test_killed_at_random_moments(warm, arguments, unbroken, tmp_path):
    """kill -9, then `--resume auto`, at moments drawn evenly over the whole length of a run.

    Goes on until a quarter of `KILLS` have come among the answers, which chance decides.
    """
    whole, expected = unbroken
    draw = random.Random(20)
    kills, cut_short, again_most = 0, 0, 0
    while kills < KILLS or cut_short < KILLS // 4:
        assert kills < 4 * KILLS, "too few kills fell between the first answer and the last"
        folder = tmp_path / str(draw.getrandbits(32))
        store = folder / "store"
        killed = warm.run(folder, *arguments(store), kill_after=draw.uniform(0, whole.seconds))
        is_finished = list(store.glob("*/run.json")) and not journals(store)
        if killed.code == 0 or is_finished:  # it was quicker than the one that was timed
            assert same(samples(store), expected)
            continue
        kills += 1
        assert killed.code == -signal.SIGKILL, killed.said
        resumed = warm.run(folder, *arguments(store, "--resume", "auto"))
        assert resumed.code == 0, resumed.said
        assert same(samples(store), expected)
        again = (killed.computed & resumed.computed).total()
        assert again <= (len(killed.batches[-1]) if killed.batches else 0) <= BATCH
        assert (killed.computed | resumed.computed).keys() == whole.computed.keys()
        assert not journals(store)
        cut_short += bool(killed.batches)
        again_most = max(again_most, again)
    print(f"{kills} kills, {cut_short} among the answers; at most {again_most} computed again")


def test_killed_again_and_again(warm, arguments, unbroken, tmp_path):
    whole, expected = unbroken
    store = tmp_path / "store"
    computed = warm.run(tmp_path, *arguments(store), after_batches=5).computed
    (journal,) = journals(store)
    for _ in range(4):
        killed = warm.run(
            tmp_path, "run", "--resume", journal.parent.name, "--store", store, after_batches=5
        )
        assert killed.code == -signal.SIGKILL
        computed += killed.computed
    ended = warm.run(tmp_path, "run", "--resume", journal.parent.name, "--store", store)
    assert ended.code == 0, ended.said
    assert same(samples(store), expected)
    assert (computed + ended.computed).total() - len(whole.computed) <= 5 * BATCH
    assert len(json.loads(next(store.glob("*/run.json")).read_text())["resumed"]) == 5


def test_a_process_started_by_a_shell(arguments, unbroken, tmp_path, cache):
    """Nothing forked, nothing patched: `python -m evalkit`, kill -9, `--resume ID`."""
    store = tmp_path / "store"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-m", "evalkit", *map(str, arguments(store))]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not journals(store) or journals(store)[0].read_bytes().count(b"\n") < 20:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    command = [*command[:3], "run", "--resume", journals(store)[0].parent.name, "--store", store]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert same(samples(store), unbroken[1])


def test_ctrl_c_stops_after_the_batch_and_says_how_to_go_on(warm, arguments, unbroken, tmp_path):
    store = tmp_path / "my store"
    stopped = warm.run(tmp_path, *arguments(store), after_batches=8, signal_number=signal.SIGINT)
    assert stopped.code == 130
    assert "Traceback" not in stopped.said
    (journal,) = journals(store)
    assert journal.read_bytes().count(b"\n") == 1 + stopped.computed.total(), "a batch was lost"
    command = stopped.said.strip().splitlines()[-1].partition("go on with: evalkit ")[2]
    resumed = warm.run(tmp_path, *shlex.split(command))
    assert resumed.code == 0, resumed.said
    assert not stopped.computed & resumed.computed
    assert same(samples(store), unbroken[1])


@pytest.fixture(params=["tmpfs", "file size limit"])
def full_disk(request, tmp_path):
    """A store's place, options that let it run full in the middle of a run, and its remedy."""
    if request.param == "file size limit":
        yield tmp_path / "store", {"file_limit": 12_000}, lambda: None
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs takes root")
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(2**20 - 5 * 4096))
    yield disk / "store", {}, ballast.unlink
    # Arrow's reading threads may hold a file of it for a moment longer.
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_costs_no_answer(warm, arguments, unbroken, full_disk, tmp_path):
    store, options, remedy = full_disk
    stopped = warm.run(tmp_path, *arguments(store), **options)
    assert stopped.code == 3
    assert "Traceback" not in stopped.said
    assert "cannot be written any more" in stopped.said
    assert 0 < stopped.computed.total() < len(unbroken[0].computed)
    remedy()
    command = stopped.said.strip().splitlines()[-1].partition("go on with: evalkit ")[2]
    resumed = warm.run(tmp_path, *shlex.split(command))
    assert resumed.code == 0, resumed.said
    assert (stopped.computed & resumed.computed).total() <= BATCH
    assert same(samples(store), unbroken[1])


@pytest.mark.parametrize("place", [-1, 3])
def test_a_damaged_record_is_answered_again(warm, arguments, unbroken, tmp_path, place):
    store = tmp_path / "store"
    killed = warm.run(tmp_path, *arguments(store), after_batches=6)
    (journal,) = journals(store)
    lines = journal.read_bytes().splitlines(keepends=True)
    victim = json.loads(lines[place][9:])["i"]
    lines[place] = lines[place][:30] + bytes([lines[place][30] ^ 1]) + lines[place][31:]
    journal.write_bytes(b"".join(lines))
    resumed = warm.run(tmp_path, *arguments(store, "--resume", "auto"))
    assert resumed.code == 0, resumed.said
    assert victim in killed.computed
    assert victim in resumed.computed
    assert "damaged records" in resumed.said
    assert same(samples(store), unbroken[1])


def test_a_torn_last_record_is_dropped(warm, arguments, unbroken, tmp_path):
    store = tmp_path / "store"
    warm.run(tmp_path, *arguments(store), after_batches=6)
    (journal,) = journals(store)
    journal.write_bytes(journal.read_bytes()[:-9])
    resumed = warm.run(tmp_path, *arguments(store, "--resume", "auto"))
    assert resumed.code == 0, resumed.said
    assert "damaged" not in resumed.said
    assert same(samples(store), unbroken[1])


def test_the_duration_is_of_all_processes(evalkit_command, arguments, tmp_path, monkeypatch):
    plain = LocalEngine.respond

    def interrupted(self, requests, answered=()):
        batches = (batch for batch in plain(self, requests, answered) if batch)
        yield next(batches)
        time.sleep(0.3)
        yield next(batches)
        raise KeyboardInterrupt

    store = tmp_path / "store"
    monkeypatch.setattr("evalkit.runner.journal.SYNC_S", 0.0)
    monkeypatch.setattr(LocalEngine, "respond", interrupted)
    stopped = [evalkit_command(*arguments(store, "--resume", "auto")).code for _ in range(2)]
    assert stopped == [130, 130]
    monkeypatch.setattr(LocalEngine, "respond", plain)
    assert evalkit_command(*arguments(store, "--resume", "auto")).code == 0
    opened = Store(store)
    run = opened.resolve("latest")
    timings = opened.timings(run.run_id)
    last = timings.loc[timings["request_id"].isna(), "total_s"].sum()
    assert len(run.resumed) == 2
    assert 0.6 < run.duration_s - last < 60


@pytest.fixture
def begun(warm, arguments, tmp_path):
    """Store and id of a run that was killed."""
    store = tmp_path / "store"
    warm.run(tmp_path, *arguments(store), after_batches=4)
    return store, journals(store)[0].parent.name


def test_a_journal_of_something_else_is_refused(begun, evalkit_command, tasks, tmp_path):
    store, run_id = begun
    other = make_checkpoint(tmp_path / "other", seed=1)
    cases = {
        "other weights (": ("--model", other),
        "other dtype (float32, now bfloat16)": ("--dtype", "bfloat16"),
        "other prompts or decoding (192 requests, now ": ("--limit", "3"),
    }
    for words, options in cases.items():
        done = evalkit_command("run", "--resume", run_id, "--store", store, *options)
        assert done.code == 2
        assert words in done.err
        assert "Traceback" not in done.err
    data = tasks / "toy_answer.yaml"
    text = data.read_text()
    try:
        data.write_text(text.replace("max_gen_toks: 8", "max_gen_toks: 7"))
        done = evalkit_command("run", "--resume", run_id, "--store", store)
    finally:
        data.write_text(text)
    assert "other prompts or decoding; run without --resume" in done.err
    assert len(journals(store)) == 1, "a refused journal is left alone"


def test_auto_passes_over_journals_that_do_not_fit(begun, arguments, evalkit_command):
    store, run_id = begun
    done = evalkit_command(*arguments(store, "--resume", "auto", "--limit", "3", "--json"))
    assert json.loads(done.out)["run_id"] != run_id
    assert len(journals(store)) == 1


def test_a_run_that_still_goes_on_is_not_gone_on_with(begun, evalkit_command):
    store, run_id = begun
    journal = Journal.reopen(store / ".partial" / run_id)
    done = evalkit_command("run", "--resume", run_id, "--store", store)
    journal.close()
    assert done.code == 2
    assert "still going on" in done.err


def test_an_unknown_run_names_those_there_are(begun, evalkit_command):
    store, run_id = begun
    done = evalkit_command("run", "--resume", "nonsense", "--store", store)
    assert done.code == 2
    assert run_id in done.err


def test_without_model_and_without_run(evalkit_command, tmp_path):
    done = evalkit_command("run", "--tasks", "toys", "--store", tmp_path)
    assert done.code == 2
    assert "--model is missing" in done.err
