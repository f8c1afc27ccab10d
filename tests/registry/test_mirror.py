"""`evalkit mirror add` against a hub of our own; a run checks its data against the lock."""

import io
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import DataError
from evalkit.registry.lock import LOCK, locked, read_lock
from evalkit.registry.mirror import needs
from tests.registry.hub import commit, serve

OLD, NEW = commit("old"), commit("new")
CARD = """\
---
license: cc0-1.0
configs:
- config_name: small
  data_files:
  - {split: test, path: small/test-*.parquet}
- config_name: large
  data_files:
  - {split: test, path: large/test-*.parquet}
---
Questions.
"""
TASK = """\
task: quiz
dataset_path: acme/quiz
dataset_name: small
test_split: test
output_type: multiple_choice
doc_to_text: q
doc_to_choice: ["yes", "no"]
doc_to_target: gold
metric_list:
  - metric: acc
  - metric: evaluate/house
"""
PLAIN = TASK.replace("quiz", "plain", 1).replace("  - metric: evaluate/house\n", "")


def parquet(*questions):
    content = io.BytesIO()
    pq.write_table(pa.table({"q": list(questions), "gold": [0] * len(questions)}), content)
    return content.getvalue()


def files(*questions):
    data = parquet(*questions)
    return {
        "README.md": CARD.encode(),
        "small/test-0.parquet": data,
        "large/test-0.parquet": data,
        "notes.txt": b"unneeded",
    }


@pytest.fixture(scope="module")
def hub():
    repos = {
        "datasets/acme/quiz": {OLD: files("Is it?", "Was it?")},
        "spaces/evaluate-metric/house": {OLD: {"house.py": b"# a metric", "app.py": b""}},
    }
    with serve(repos) as endpoint:
        yield endpoint, repos["datasets/acme/quiz"]


@pytest.fixture
def add(hub, tmp_path):
    """Run `evalkit mirror add` in a process of its own: the client reads its endpoint once."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "quiz.yaml").write_text(TASK)
    (tmp_path / "tasks" / "plain.yaml").write_text(PLAIN)

    def run(*tasks, endpoint=hub[0]):
        command = [sys.executable, "-m", "evalkit", "mirror", "add", *tasks, "--to",
                   tmp_path / "mirror", "--include-path", tmp_path / "tasks"]  # fmt: skip
        environment = {
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path / "home"),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def test_a_task_is_mirrored_locked_run_and_guarded(add, hub, tmp_path, evalkit_command, checkpoint):
    mirror = tmp_path / "mirror"
    done = add("quiz", "micro_facts")
    assert done.returncode == 0, done.stderr
    assert "micro_facts reads nothing from the hub" in done.stderr
    quiz = mirror / "datasets" / "acme" / "quiz"
    assert (quiz / "small" / "test-0.parquet").is_file()
    assert not (quiz / "large").exists()
    assert not (quiz / "notes.txt").exists()
    assert (mirror / "metrics" / "house" / "house.py").is_file()
    repos = json.loads((mirror / LOCK).read_text())["repos"]
    assert repos["datasets/acme/quiz"]["revision"] == OLD
    assert set(repos["datasets/acme/quiz"]["files"]) == {"README.md", "small/test-0.parquet"}

    def run():
        return evalkit_command(
            "run", "--model", checkpoint, "--tasks", tmp_path / "tasks" / "plain.yaml",
            "--mirror", mirror, "--device", "cpu", "--store", tmp_path / "store", "--json",
        )  # fmt: skip

    done = run()
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "store" / json.loads(done.out)["run_id"] / "run.json")
                        .read_text())["tasks"]["plain"]  # fmt: skip
    assert record["details"]["data set"] == "acme/quiz"
    assert record["details"]["revision"] == OLD
    assert record["details"]["files hash"] == locked(mirror, "datasets/acme/quiz").files_hash
    shown = evalkit_command("show", tmp_path / "tasks" / "plain.yaml", "--mirror", mirror)
    assert "cc0-1.0" in shown.out
    assert "2 documents, 2 requests each" in shown.out

    # A newer revision on the hub changes nothing that is locked.
    hub[1][NEW] = files("Another?")
    assert add("plain").returncode == 0
    assert read_lock(mirror).repos["datasets/acme/quiz"].revision == OLD

    (quiz / "small" / "test-0.parquet").write_bytes(parquet("Is it?", "Was it not?"))
    done = run()
    assert done.code == 2
    assert "test-0.parquet is not the file that was downloaded" in done.err
    assert OLD in done.err


@pytest.fixture
def mirror(tmp_path):
    """A locked mirror of one file."""
    folder = tmp_path / "datasets" / "acme" / "quiz"
    folder.mkdir(parents=True)
    (folder / "data.txt").write_text("one")
    from evalkit.registry.lock import Lock, LockedRepo, files_of

    Lock(repos={"datasets/acme/quiz": LockedRepo(revision=OLD, files=files_of(folder))}).write(
        tmp_path
    )
    return tmp_path


def test_a_lock_holds_what_is_there(mirror):
    repo = locked(mirror, "datasets/acme/quiz")
    assert repo.revision == OLD
    assert repo.files["data.txt"].startswith("7692c3ad3540bb80")
    assert locked(mirror, "datasets/other/one") is None


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (lambda folder: (folder / "data.txt").unlink(), "data.txt is missing"),
        (lambda folder: (folder / "data.txt").write_text("two"), "data.txt is not the file"),
        (lambda folder: (folder / "more.txt").write_text("x"), "more.txt is not in the lock"),
    ],
)
def test_what_differs_from_the_lock_is_named(mirror, fault, sentence):
    fault(mirror / "datasets" / "acme" / "quiz")
    with pytest.raises(DataError, match=sentence):
        locked(mirror, "datasets/acme/quiz")


@pytest.mark.parametrize("content", ["{", "[]", '{"repos": {"x": {"revision": 5}}}'])
def test_a_damaged_lock_is_one_sentence(mirror, content):
    (mirror / LOCK).write_text(content)
    with pytest.raises(DataError, match=r"evalkit\.lock\.json cannot be read as the lock"):
        locked(mirror, "datasets/acme/quiz")


def test_what_the_hub_lacks_and_a_hub_that_is_away_are_sentences(add, tmp_path):
    (tmp_path / "tasks" / "lost.yaml").write_text(
        PLAIN.replace("plain", "lost").replace("quiz", "x")
    )
    done = add("lost")
    assert done.returncode == 2
    assert "has no dataset acme/x" in done.stderr
    (tmp_path / "tasks" / "huge.yaml").write_text(
        PLAIN.replace("plain", "huge").replace("small", "huge")
    )
    done = add("huge")
    assert done.returncode == 2
    assert "acme/quiz has no configuration 'huge' on the hub, only small, large." in done.stderr
    done = add("plain", endpoint="http://127.0.0.1:9")
    assert done.returncode == 3
    assert "acme/quiz could not be downloaded from http://127.0.0.1:9" in done.stderr


def test_needs_are_the_files_that_the_task_names(tmp_path):
    config = {
        "dataset_path": "acme/parts",
        "dataset_kwargs": {
            "revision": "refs/pr/1",
            "data_files": {"test": ["a/*.parquet", "b.csv"]},
        },
        "metric_list": [{"metric": "evaluate/acme/own"}],
    }
    data, metric = needs(config, tmp_path)
    assert (data.revision, data.files) == ("refs/pr/1", ("a/*.parquet", "b.csv"))
    assert (metric.repo, metric.kind, metric.folder) == ("acme/own", "space", "metrics/acme/own")
    assert needs({"dataset_path": "json", "dataset_kwargs": {"data_files": "x"}}, None) == []
