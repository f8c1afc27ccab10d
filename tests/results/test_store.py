"""The store: whole runs or none, found by every name, readable without evalkit."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import evalkit
from evalkit.errors import DataError, UsageError
from evalkit.redact import without_secrets
from evalkit.results import SAMPLES, SCORES, TIMINGS, Manifest, ModelRecord, RunFiles, Store, table
from tests.stores import make_store


def make_run(run_id, name="run", created="2026-01-01T00:00:00+00:00", tags=None):
    manifest = Manifest(
        run_id=run_id,
        name=name,
        created=created,
        duration_s=1.0,
        tags=tags or {},
        model=ModelRecord(name=name, path="/m", weights_hash="w", tokenizer_hash="t"),
        tasks={},
    )
    score = {"run_id": run_id, "task": "t/1", "metric": "acc", "filter": "none", "value": 0.5}
    sample = {"run_id": run_id, "task": "t/1", "doc_id": 0, "statistics": [("acc", [1.0])]}
    return RunFiles(
        manifest,
        table([score], SCORES),
        {"t/1": table([sample], SAMPLES)},
        table([{"run_id": run_id, "phase": "load", "total_s": 1.5}], TIMINGS),
    )


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return Store(tmp_path / "s" if request.param == "folder" else f"memory://{tmp_path}")


def test_what_is_written_is_read(store):
    store.write(make_run("r1"))
    assert store.scores().value.tolist() == [0.5]
    assert store.samples("r1", "t/1").statistics.tolist() == [{"acc": [1.0]}]
    assert store.timings("r1").total_s.tolist() == [1.5]


def test_a_run_without_manifest_is_not_there(tmp_path):
    store = Store(tmp_path)
    store.write(make_run("whole"))
    store.write(make_run("half"))
    (tmp_path / "half" / "run.json").unlink()
    assert [run.run_id for run in store.listing().runs] == ["whole"]
    assert store.scores().run_id.tolist() == ["whole"]


def test_a_damaged_manifest_is_named_and_hides_no_other(tmp_path):
    store = Store(tmp_path)
    store.write(make_run("good"))
    store.write(make_run("bad"))
    (tmp_path / "bad" / "run.json").write_text('{"run_id": 1')
    listing = store.listing()
    assert [run.run_id for run in listing.runs] == ["good"]
    assert len(listing.problems) == 1
    assert "bad" in listing.problems[0]


def test_a_copied_run_is_told_and_hides_no_other(tmp_path):
    store = make_store(tmp_path, tasks=["facts"], n=3)
    first = store.listing().runs[0].run_id
    shutil.copytree(tmp_path / first, tmp_path / f"{first}.bak")
    listing = store.listing()
    assert [run.run_id for run in listing.runs].count(first) == 1
    (problem,) = listing.problems
    assert f"{first}.bak/run.json names the run {first}, not its folder's" in problem


def test_damaged_parquet_is_a_data_error(tmp_path):
    store = Store(tmp_path)
    store.write(make_run("r1"))
    (tmp_path / "r1" / "scores.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"scores\.parquet"):
        store.scores()


def test_runs_are_found_by_id_prefix_name_tag_and_latest(store):
    store.write(make_run("2026a-x", "x", "2026-01-01T00:00:00+00:00", {"branch": "main"}))
    store.write(make_run("2026b-x", "x", "2026-01-02T00:00:00+00:00"))
    store.write(make_run("2026c-y", "y", "2026-01-03T00:00:00+00:00"))
    found = {
        reference: store.resolve(reference).run_id
        for reference in ("2026a-x", "2026b", "x", "tag:branch=main", "latest")
    }
    assert list(found.values()) == ["2026a-x", "2026b-x", "2026b-x", "2026a-x", "2026c-y"]
    with pytest.raises(UsageError, match="fits several"):
        store.resolve("2026")
    with pytest.raises(UsageError, match="names no run"):
        store.resolve("z")


def test_an_older_file_without_a_column_stays_readable(tmp_path):
    store = Store(tmp_path)
    store.write(make_run("r1"))
    file = tmp_path / "r1" / "scores.parquet"
    pa.parquet.write_table(pa.parquet.read_table(file).drop(["interval"]), file)
    assert store.scores().interval.isna().all()


def test_files_need_no_evalkit_to_be_read(tmp_path):
    Store(tmp_path).write(make_run("r1"))
    frame = pd.read_parquet(tmp_path / "r1" / "samples" / "t%2F1.parquet")
    assert frame.doc_id.tolist() == [0]
    assert json.loads((tmp_path / "r1" / "run.json").read_text())["run_id"] == "r1"


def test_the_library_reads_by_reference(tmp_path):
    Store(tmp_path).write(make_run("r1", "mine"))
    assert evalkit.load_scores(tmp_path).task.tolist() == ["t/1"]
    assert evalkit.load_samples(tmp_path, "mine", "t/1").doc_id.tolist() == [0]
    assert evalkit.load_timings(tmp_path, "latest").phase.tolist() == ["load"]


def test_every_column_says_what_it_means():
    for schema in (SCORES, SAMPLES, TIMINGS):
        assert all(field.metadata[b"meaning"] for field in schema)


def test_checking_for_writability_leaves_nothing(tmp_path):
    Store(tmp_path / "a" / "b").check_writable()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        Store(tmp_path / "file" / "b").check_writable()


def test_a_name_whose_newest_run_is_damaged_is_refused(tmp_path):
    store = Store(tmp_path)
    store.write(make_run("2026a-x", "x", "2026-01-01T00:00:00+00:00"))
    store.write(make_run("2026b-x", "x", "2026-01-02T00:00:00+00:00"))
    (tmp_path / "2026b-x" / "run.json").write_text("{")
    for reference in ("x", "latest"):
        with pytest.raises(DataError, match="2026b-x"):
            store.resolve(reference)
    assert store.resolve("2026a-x").run_id == "2026a-x"


def test_a_damaged_file_is_one_line(tmp_path):
    store = Store(tmp_path)
    store.write(make_run("run-1"))
    (tmp_path / "run-1" / "run.json").write_text('{"run_id": "run-1",\n "name": 3}')
    (problem,) = store.listing().problems
    assert "name: " in problem
    assert "\n" not in problem
    path = tmp_path / "run-1" / "scores.parquet"
    raw = bytearray(path.read_bytes())
    raw[10:60] = b"\xff" * 50
    path.write_bytes(raw)
    with pytest.raises(DataError) as found:
        store.score_rows("run-1")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("scheme", ["s3", "gs", "S3"])
def test_credentials_in_a_bucket_are_refused_and_not_repeated(scheme):
    with pytest.raises(UsageError, match="credentials") as found:
        Store(f"{scheme}://user:sesame@bucket/runs")
    assert "sesame" not in str(found.value)


def test_a_path_made_of_a_url_keeps_no_credentials():
    url = Path("https://user:sesame@host/x")
    assert (
        without_secrets(f"There is nothing at {url}.") == "There is nothing at https:/***@host/x."
    )
    assert without_secrets("C:/data@2 and s3://bucket/a@b") == "C:/data@2 and s3://bucket/a@b"


def test_a_secret_of_the_environment_is_masked_whatever_its_shape(monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_API_TOKEN", "plainwordsonly")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "falsehood")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
    said = without_secrets(f"Bearer plainwordsonly was refused; falsehood; {tmp_path}")
    assert said == f"Bearer *** was refused; falsehood; {tmp_path}"
