"""Stores behind the S3 protocol: a real server on loopback, real requests, real failures."""

import json
import os
import subprocess
import sys
import threading

import pytest
from moto.server import ThreadedMotoServer

import evalkit
from evalkit.engine.local import LocalEngine
from evalkit.results import Store, compare, overview
from evalkit.results.index import FOLDER
from evalkit.results.partial import journal_root
from tests.results.test_index import COUNT, fill, names
from tests.results.test_store import make_run

ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "verysecretindeed",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}


class Server:
    """An S3 server that can be stopped and started again, its objects kept."""

    def __init__(self):
        self._server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self._server.stop()

    def start(self):
        self._server = ThreadedMotoServer("127.0.0.1", port=self.port, verbose=False)
        self._server.start()


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def url(server, monkeypatch, tmp_path):
    """A fresh prefix of a bucket, reached as a user's environment says."""
    import s3fs

    for name, value in {**ACCOUNT, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs("bucket", exist_ok=True)
    yield f"s3://bucket/{tmp_path.name}/reports"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def run(evalkit_command, checkpoint, task_folder, url):
    def call(*arguments):
        return evalkit_command(
            "run", "--model", checkpoint, "--include-path", task_folder, "--tasks", "toys",
            "--store", url, "--device", "cpu", *arguments,
        )  # fmt: skip

    return call


def test_a_run_lives_in_an_object_store_as_in_a_folder(run, url, evalkit_command, tmp_path):
    found = json.loads(run("--json", "--name", "first").out)
    local = json.loads(run("--json", "--store", tmp_path / "folder", "--name", "first").out)
    assert found["scores"] == local["scores"]
    store, folder = Store(url), Store(tmp_path / "folder")
    for task in store.resolve("first").tasks:
        a = store.samples_table(found["run_id"], task).drop(["run_id"])
        b = folder.samples_table(local["run_id"], task).drop(["run_id"])
        assert a.equals(b)
        page = evalkit.load_samples(url, "first", task, first=2, last=3)
        assert page.doc_id.tolist() == [2, 3]
    assert evalkit.load_timings(url, "latest").phase.tolist()[0] == "load"
    listed = evalkit_command("runs", "list", "--store", url)
    assert found["run_id"] in listed.out
    assert evalkit_command("runs", "tag", "first", "a=b", "--store", url).code == 0
    assert store.resolve("tag:a=b").run_id == found["run_id"]
    assert not journal_root(store).exists() or not list(journal_root(store).iterdir())
    reused = json.loads(run("--json", "--reuse").out)
    assert sum(store.resolve(reused["run_id"]).reused.values()) == 24
    assert len(compare(found["run_id"], reused["run_id"], url).differences) >= 5
    assert evalkit_command("runs", "delete", "first", "--yes", "--store", url).code == 0
    assert [run.run_id for run in store.listing().runs] == [reused["run_id"]]


def test_the_index_serves_an_object_store(url, monkeypatch):
    store = fill(Store(url))
    assert [run.run_id for run in store.listing().runs] == names()
    assert sorted(overview(store).scores.run_id) == names()
    assert len(store.filesystem.find(f"{store.root}/{FOLDER}")) == 2
    fill(Store(url), COUNT, 1)
    Store(url).delete("r001")
    expected = [name for name in names(COUNT + 1) if name != "r001"]
    assert sorted(overview(Store(url)).scores.run_id) == expected
    changed = make_run("r000", "renamed", "2026-01-01T00:00:00")
    store.write(changed)
    assert Store(url).resolve("renamed").run_id == "r000"


WRITER = """
import sys
from evalkit.results import Store, overview
from tests.results.test_index import fill
store = Store(sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 12):
    fill(store, number, 1)
    overview(store)
"""


def test_two_writers_at_once(url):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, str(start)], env=os.environ)
        for start in (0, 12)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    view = overview(Store(url))
    assert sorted(view.scores.run_id) == names(24)
    assert view.problems == []


def test_a_store_that_is_gone_at_the_end_gets_the_run_later(
    run, url, server, evalkit_command, monkeypatch, tmp_path
):
    expected = json.loads(run("--json").out)
    plain = LocalEngine.respond

    def respond(self, requests, answered=()):
        yield from plain(self, requests, answered)
        server.stop()

    monkeypatch.setattr(LocalEngine, "respond", respond)
    try:
        failed = run("--name", "late")
    finally:
        monkeypatch.undo()
        server.start()
    for name, value in {**ACCOUNT, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert failed.code == 3
    assert "Traceback" not in failed.err
    command = failed.err.strip().splitlines()[-1].partition("with: evalkit ")[2].split()
    assert command[:2] == ["runs", "push"]
    assert "kept here" in evalkit_command("runs", "list", "--store", url).err
    assert len(Store(url).listing().runs) == 1, "no part of it is in the store"
    pushed = evalkit_command(*command)
    assert pushed.code == 0, pushed
    store = Store(url)
    late = store.resolve("late")
    for task in late.tasks:
        a = store.samples_table(expected["run_id"], task).drop(["run_id"])
        assert a.equals(store.samples_table(late.run_id, task).drop(["run_id"]))
    again = evalkit_command("runs", "push", "--store", url)
    assert (again.code, again.out) == (0, "")
    assert "No run is kept" in again.err


def test_push_while_the_store_is_still_gone_keeps_the_run(url, server, evalkit_command):
    from evalkit.results.partial import keep, kept_runs

    store = Store(url)
    keep(store, make_run("kept-run"))
    stopped = threading.Event()
    server.stop()
    try:
        done = evalkit_command("runs", "push", "--store", url)
    finally:
        server.start()
        stopped.set()
    assert done.code == 3
    assert "still cannot take kept-run" in done.err
    assert "Traceback" not in done.err
    assert kept_runs(store) == ["kept-run"]
    assert evalkit_command("runs", "push", "kept-run", "--store", url).code == 0
    assert store.holds("kept-run")


def test_a_bucket_that_is_not_there_is_a_sentence(run, server, url):
    for place in ("s3://no-such-bucket-here/x", "s3://"):
        done = run("--store", place)
        assert done.code == 2
        assert "Traceback" not in done.err
        assert "verysecretindeed" not in done.err


def test_reading_a_store_that_is_gone_is_a_sentence(url, server, evalkit_command):
    server.stop()
    try:
        for command in (("runs", "list"), ("ls", "scores"), ("runs", "delete", "x", "--yes")):
            done = evalkit_command(*command, "--store", url)
            assert done.code == 3
            assert f"The store {url} cannot be read" in done.err
            assert "Traceback" not in done.err
    finally:
        server.start()


def test_an_unknown_protocol_is_a_sentence(run):
    done = run("--store", "nonsense://x")
    assert done.code == 2
    assert "Cannot open the store nonsense://x" in done.err
