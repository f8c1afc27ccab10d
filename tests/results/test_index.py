"""The index is only a cache: stale, deleted, damaged or raced for, the answer is the same."""

import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from evalkit.results import Store, leaderboard, overview
from evalkit.results.index import FOLDER, WORTH_WRITING
from tests.results.test_store import make_run

COUNT = WORTH_WRITING + 4


def fill(store, start=0, count=COUNT):
    for number in range(start, start + count):
        store.write(make_run(f"r{number:03d}", f"n{number}", f"2026-01-01T00:00:{number:02d}"))
    return store


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return fill(Store(tmp_path / "s" if request.param == "folder" else f"memory://{tmp_path}"))


def index_files(store):
    return sorted(store.filesystem.find(f"{store.root}/{FOLDER}"))


def ids(store):
    return (
        [run.run_id for run in store.listing().runs],
        sorted(store.scores().run_id),
        sorted(overview(store).scores.run_id),
    )


def expect(store, names):
    assert ids(store) == (names, names, names)
    assert ids(Store(store.url)) == (names, names, names)


def names(count=COUNT):
    return [f"r{number:03d}" for number in range(count)]


def test_a_reader_of_many_runs_writes_it_and_the_next_one_reads_no_run(store, monkeypatch):
    expect(store, names())
    assert len(index_files(store)) == 2
    read = []
    monkeypatch.setattr(
        "evalkit.results.store.read_table", lambda fs, path, *rest: read.append(path)
    )
    assert sorted(store.scores().run_id) == names()
    assert read == []


def test_a_small_store_has_none(tmp_path):
    store = fill(Store(tmp_path), count=3)
    expect(store, names(3))
    assert index_files(store) == []


def test_runs_that_come_change_and_go_are_seen(store):
    expect(store, names())
    fill(store, COUNT, 2)
    expect(store, names(COUNT + 2))
    store.delete("r000")
    expect(store, names(COUNT + 2)[1:])
    changed = make_run("r005", "renamed", "2026-01-01T00:00:05")
    changed.manifest.tags["new"] = "yes"
    store.write(changed)
    assert store.resolve("tag:new=yes").run_id == "r005"
    for number in range(1, COUNT):
        store.delete(f"r{number:03d}")
    expect(store, names(COUNT + 2)[COUNT:])


def test_scores_that_change_behind_an_unchanged_manifest_are_seen(tmp_path):
    store = fill(Store(tmp_path))
    store.scores()
    file = tmp_path / "r003" / "scores.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index("value"), "value", [[0.125]]), file)
    scores = store.scores().set_index("run_id").value
    assert scores["r003"] == 0.125
    assert scores["r004"] == 0.5


@pytest.mark.parametrize("damage", ["deleted", "empty", "torn", "foreign", "altered"])
def test_a_damaged_index_is_as_good_as_none(store, damage):
    expect(store, names())
    for path in index_files(store):
        content = store.filesystem.cat_file(path)
        if damage == "deleted":
            store.filesystem.rm_file(path)
        elif damage == "empty":
            store.filesystem.pipe_file(path, b"")
        elif damage == "torn":
            store.filesystem.pipe_file(path, content[: len(content) // 2])
        elif damage == "foreign":
            store.filesystem.pipe_file(
                path, store.filesystem.cat_file(f"{store.root}/r000/timings.parquet")
            )
        else:
            store.filesystem.pipe_file(path, content.replace(b"n0", b"n1"))
    expect(store, names())
    assert len(index_files(store)) == 2


def test_an_index_of_another_store_is_not_believed(tmp_path):
    """A copied store has files of other times; what the index says of them is read anew."""
    store = fill(Store(tmp_path / "a"))
    expect(store, names())
    other = Store(tmp_path / "b")
    for number in range(COUNT):
        run = make_run(f"r{number:03d}", "other", f"2026-01-01T00:00:{number:02d}")
        other.write(run)
    (tmp_path / "a" / FOLDER).rename(tmp_path / "b" / FOLDER)
    assert {run.name for run in other.listing().runs} == {"other"}


def test_a_damaged_run_stays_damaged_and_hides_no_other(tmp_path):
    store = fill(Store(tmp_path))
    store.scores()
    (tmp_path / "r002" / "scores.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "r003" / "run.json").write_text("{")
    for _ in range(2):
        view = overview(store)
        assert sorted(view.scores.run_id) == [n for n in names() if n not in ("r002", "r003")]
        assert len(view.problems) == 2


def test_a_store_that_cannot_be_written_is_read_all_the_same(tmp_path, monkeypatch):
    store = fill(Store(tmp_path))
    (tmp_path / FOLDER).write_text("in the way")
    expect(store, names())


def test_filters_reach_into_the_index(tmp_path):
    store = fill(Store(tmp_path))
    for _ in range(2):
        assert len(store.scores(task="t/1")) == COUNT
        assert store.scores(task="absent").empty
        assert list(store.scores(metric="acc", columns=["value", "task"])) == ["task", "value"]
        assert store.scores(["r001", "r002"]).run_id.tolist() == ["r001", "r002"]


WRITER = """
import sys
from evalkit.results import Store, overview
from tests.results.test_index import fill
store = Store(sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 20):
    fill(store, number, 1)
    overview(store)
"""


def test_two_writers_at_once_never_harm_each_other(tmp_path):
    """Two processes write runs and read, and so race for the index, on one folder."""
    fill(Store(tmp_path / "s"), 40)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "s"), str(start)])
        for start in (0, 20)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    expect(Store(tmp_path / "s"), names(40 + COUNT))
    assert not list((tmp_path / "s" / FOLDER).glob("*.tmp"))
    view = overview(Store(tmp_path / "s"))
    assert view.problems == []
    assert len(leaderboard(view.scores)) == 40 + COUNT
