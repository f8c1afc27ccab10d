"""`evalkit runs` and `evalkit import`: what a team does with the runs it has."""

import csv
import fcntl
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.results import SCORES, Store, table
from evalkit.runner.journal import Header, Journal
from tests.results.test_store import make_run


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store")
    opened.write(make_run("2026a-early", "early", "2026-01-01T00:00:00+00:00", {"branch": "main"}))
    opened.write(make_run("2026b-late", "late", "2026-01-02T00:00:00+00:00", {"branch": "dev"}))
    return opened


@pytest.fixture
def runs(evalkit_command, store):
    def call(*arguments, code=0):
        done = evalkit_command("runs", *arguments, "--store", store.url)
        assert done.code == code, done
        assert "Traceback" not in done.err
        return done

    return call


def listed(runs, *filters):
    return [run["run_id"] for run in json.loads(runs("list", "--json", *filters).out)]


def test_filters(runs):
    assert listed(runs) == ["2026a-early", "2026b-late"]
    assert listed(runs, "e*") == ["2026a-early"]
    assert listed(runs, "2026b*") == ["2026b-late"]
    assert listed(runs, "--tag", "branch=d*") == ["2026b-late"]
    assert listed(runs, "--tag", "branch=main", "--model", "late") == []
    assert listed(runs, "--task", "absent") == []
    assert "branch=main" in runs("list").out
    runs("list", "--tag", "branch", code=2)


def test_tags_come_and_go(runs, store):
    runs("tag", "early", "good=yes", "branch=release")
    assert store.resolve("tag:good=yes").tags == {"branch": "release", "good": "yes"}
    runs("tag", "2026a", "--remove", "good")
    assert store.resolve("early").tags == {"branch": "release"}
    assert "has no tag" in runs("tag", "early", "--remove", "good", code=2).err
    assert "KEY=VALUE" in runs("tag", "early", "nonsense", code=2).err
    assert not list(Path(store.url).rglob("*.tmp"))


def test_delete_asks_first_and_all_or_nothing(runs, store):
    assert "--yes" in runs("delete", "early", code=2).err
    runs("delete", "--yes", "early", "nonsense", code=2)
    assert len(store.listing().runs) == 2
    runs("delete", "--yes", "early")
    assert [run.name for run in store.listing().runs] == ["late"]
    assert not (Path(store.url) / "2026a-early").exists()


def test_damaged_and_unfinished_runs_are_deleted_by_their_ids(runs, store):
    root = Path(store.url)
    (root / "2026a-early" / "run.json").write_text("{")
    journal = root / ".partial" / "2026c-begun" / "journal"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"torn")
    with journal.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "still going on" in runs("delete", "--yes", "2026c-begun", code=2).err
    assert journal.exists()
    runs("delete", "--yes", "../store/2026b-late", code=2)
    runs("delete", "--yes", "2026a-early", "2026c-begun")
    assert not (root / "2026a-early").exists()
    assert not journal.parent.exists()
    assert listed(runs) == ["2026b-late"]


def test_a_finished_run_is_not_gone_on_with(evalkit_command, store):
    done = evalkit_command("run", "--resume", "2026b-late", "--store", store.url)
    assert (done.code, "2026b-late is finished" in done.err) == (2, True)


def test_counts_are_exported_whole_though_one_is_missing(runs, store):
    run = make_run("2026c-few", "few")
    rows = [
        {**run.scores.to_pylist()[0], "metric": name, "n": 4, "n_clusters": count}
        for name, count in (("acc", 3), ("f1", None))
    ]
    store.write(replace(run, scores=table(rows, SCORES)))
    found = csv.DictReader(io.StringIO(runs("export", "few").out))
    assert [(row["n"], row["n_clusters"]) for row in found] == [("4", "3"), ("4", "")]


def test_a_store_that_is_not_there_or_is_a_file_is_said(evalkit_command, tmp_path):
    file = tmp_path / "file"
    file.touch()
    done = evalkit_command("runs", "list", "--store", tmp_path / "none")
    assert "no store" in done.err
    assert not (tmp_path / "none").exists()
    done = evalkit_command("runs", "list", "--store", file)
    assert (done.code, "is a file" in done.err) == (2, True)


def test_export_to_csv_json_and_markdown(runs, tmp_path):
    rows = list(csv.DictReader(io.StringIO(runs("export").out)))
    assert [(row["run_id"], row["task"], row["value"]) for row in rows] == [
        ("2026a-early", "t/1", "0.5"),
        ("2026b-late", "t/1", "0.5"),
    ]
    found = json.loads(runs("export", "late", "--format", "json").out)
    assert found[0]["run_id"] == "2026b-late"
    assert found[0]["scores"][0]["value"] == 0.5
    assert found[0]["scores"][0]["stderr"] is None
    page = runs("export", "early", "--format", "markdown").out
    assert page.splitlines()[2].startswith("| early | t/1 | acc | none | 0.5000 |")
    runs("export", "--output", tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().count("\n") == 3
    runs("export", "--format", "xml", code=2)
    runs("export", "--format", "lm-eval", code=2)
    runs("export", "--output", tmp_path / "absent" / "x.csv", code=3)


@pytest.fixture(scope="module")
def lm_eval_output(checkpoint, task_folder, tmp_path_factory):
    """What `lm_eval --output_path --log_samples` itself writes for the toy tasks."""
    folder = tmp_path_factory.mktemp("lm-eval")
    tasks = shutil.copytree(task_folder, folder / "tasks")
    for file in tasks.glob("toy_*.yaml"):
        file.write_text(file.read_text().replace("test: toy_", f"test: {tasks}/toy_"))
    command = [
        sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
        f"pretrained={checkpoint},dtype=float32", "--include_path", tasks, "--tasks", "toys",
        "--output_path", folder / "out", "--log_samples", "--device", "cpu",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return folder / "out"


def test_lm_evals_results_become_a_run_that_pairs_with_an_own_one(
    evalkit_command, lm_eval_output, checkpoint, task_folder, tmp_path
):
    """Same checkpoint, same tasks: the same hashes of documents and prompts, the same figures."""
    place = ("--store", tmp_path / "store")
    done = evalkit_command("import", lm_eval_output, *place, "--name", "theirs", "--tag", "old=yes")
    assert done.code == 0, done
    done = evalkit_command(
        "run", "--model", checkpoint, "--include-path", task_folder, "--tasks", "toys",
        "--device", "cpu", "--name", "ours", *place,
    )  # fmt: skip
    assert done.code == 0, done
    store = Store(tmp_path / "store")
    theirs, ours = store.resolve("tag:old=yes"), store.resolve("ours")
    assert theirs.suites == ours.suites
    for task in ours.tasks:
        assert theirs.tasks[task].data_hash == ours.tasks[task].data_hash
        a, b = (
            store.samples_table(run.run_id, task).to_pandas().sort_values(["filter", "doc_id"])
            for run in (theirs, ours)
        )
        for column in ("doc_hash", "prompt_hash", "target", "answer", "prompt"):
            assert a[column].tolist() == b[column].tolist(), (task, column)
    a, b = (
        store.scores([run.run_id]).set_index(["task", "metric", "filter"]) for run in (theirs, ours)
    )
    assert len(a) == 5
    for key in a.index:
        for column in ("value", "ci_low", "ci_high"):
            assert a.loc[key, column] == pytest.approx(b.loc[key, column], rel=1e-3)
        for column in ("n", "interval", "aggregation", "higher_is_better", "family"):
            assert a.loc[key, column] == b.loc[key, column], (key, column)
    compared = evalkit_command("compare", "theirs", "ours", "--json", *place)
    rows = json.loads(compared.out)["differences"]
    assert {row["n"] for row in rows} == {6}
    evalkit_command("import", lm_eval_output, *place)
    assert "Already there" in evalkit_command("import", lm_eval_output, *place).out
    assert len(store.listing().runs) == 2, "the name makes no other run of the same results"


def test_a_run_goes_to_lm_evals_layout_and_back(evalkit_command, lm_eval_output, tmp_path):
    place = ("--store", tmp_path / "a")
    assert evalkit_command("import", lm_eval_output, *place).code == 0
    out = tmp_path / "layout"
    done = evalkit_command("runs", "export", "--format", "lm-eval", "--output", out, *place)
    assert done.code == 0, done
    (theirs,) = lm_eval_output.rglob("results_*.json")
    (ours,) = out.rglob("results_*.json")
    a, b = json.loads(theirs.read_text()), json.loads(ours.read_text())
    for task in b["results"]:
        kept = {k: v for k, v in a["results"][task].items() if "," in k and "_stderr" not in k}
        assert kept == {k: v for k, v in b["results"][task].items() if k in kept}
        assert a["n-samples"][task] == b["n-samples"][task]
    assert len(list(out.rglob("samples_*.jsonl"))) == len(b["results"])
    assert evalkit_command("import", out, "--store", tmp_path / "b").code == 0
    first, second = (Store(tmp_path / name).scores().drop(columns="run_id") for name in "ab")
    columns = ["task", "metric", "filter", "value", "n", "aggregation", "higher_is_better"]
    assert first[columns].equals(second[columns])


def test_a_damaged_samples_file_is_named_with_its_line(evalkit_command, tmp_path):
    results = {"results": {"t": {"acc,none": 0.5}}, "configs": {"t": {}}, "date": 1.0}
    (tmp_path / "results_x.json").write_text(json.dumps(results))
    (tmp_path / "samples_t_x.jsonl").write_text('\n{"doc_id": 0, "arguments": 5}\n')
    done = evalkit_command("import", tmp_path, "--store", tmp_path / "store")
    assert done.code == 2
    assert "samples_t_x.jsonl, line 2, is no sample of lm-eval" in done.err
    assert "Traceback" not in done.err


def test_a_run_that_another_process_is_at_is_no_unfinished_one(runs, store):
    run_id = "20260101T000000-x-0000"
    folder = Path(store.root) / ".partial" / run_id
    journal = Journal.create(folder, Header(run_id, "now", {}, {}, "r", 1))
    assert f"going on: {run_id}" in runs("list").err
    journal.close()
    assert f"unfinished: {run_id}" in runs("list").err


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"results": {"a": {}}, "configs": {"a": 5}, "date": 1}', "\x00"]
)
def test_what_lm_eval_never_wrote_is_refused(evalkit_command, tmp_path, content):
    file = tmp_path / "results_x.json"
    file.write_text(content)
    done = evalkit_command("import", file, "--store", tmp_path / "store")
    assert done.code == 2, done
    assert "no results file of lm-eval" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "store").exists()
    (tmp_path / "empty").mkdir()
    assert evalkit_command("import", tmp_path / "empty", "--store", tmp_path / "s").code == 2
