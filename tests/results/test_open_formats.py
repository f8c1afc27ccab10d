"""A store is read by anything that reads Parquet, with no evalkit at hand; old ones stay readable.

Each of `stores/` was written by the evalkit of that schema version, with toy tasks of conftest.py.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import evalkit
from evalkit.errors import DataError
from evalkit.results import SAMPLES, SCHEMA_VERSION, SCORES, TIMINGS, Store, compare, overview
from evalkit.results.baseline import find_baseline, set_baseline

STORES = Path(__file__).parent / "stores"
VERSIONS = sorted(int(path.name.removeprefix("v")) for path in STORES.iterdir())

READERS = {
    "duckdb": """
import duckdb
rows = duckdb.sql(f"SELECT task, metric, value FROM '{folder}/*/scores.parquet'").fetchall()
correct = duckdb.sql(
    f"SELECT count(*) FROM '{folder}/*/samples/toy_choice.parquet' WHERE statistics['acc'][1] = 1"
).fetchall()[0][0]
""",
    "pandas": """
import glob, pandas
scores = pandas.concat(map(pandas.read_parquet, glob.glob(f"{folder}/*/scores.parquet")))
rows = list(scores[["task", "metric", "value"]].itertuples(index=False, name=None))
samples = pandas.read_parquet(glob.glob(f"{folder}/*/samples/toy_choice.parquet")[0])
correct = sum(float(dict(pairs)["acc"][0]) == 1 for pairs in samples.statistics)
""",
    "polars": """
import polars
rows = polars.read_parquet(f"{folder}/*/scores.parquet").select("task", "metric", "value").rows()
samples = polars.read_parquet(f"{folder}/*/samples/toy_choice.parquet").to_dicts()
correct = sum(dict(sample["statistics"])["acc"][0] == 1 for sample in samples)
""",
    "arrow": """
import glob, pyarrow.dataset
files = glob.glob(f"{folder}/*/scores.parquet")
table = pyarrow.dataset.dataset(files).to_table(columns=["task", "metric", "value"])
rows = [tuple(row.values()) for row in table.to_pylist()]
samples = pyarrow.dataset.dataset(glob.glob(f"{folder}/*/samples/toy_choice.parquet"))
correct = sum(dict(row["statistics"])["acc"][0] == 1 for row in samples.to_table().to_pylist())
""",
}


@pytest.mark.parametrize("reader", READERS)
def test_read_without_evalkit(reader, tmp_path):
    code = (
        "import json, sys\nsys.modules['evalkit'] = None\nfolder = sys.argv[1]\n"
        + READERS[reader]
        + "\nprint(json.dumps([sorted(rows), int(correct)]))"
    )
    store = STORES / f"v{VERSIONS[-1]}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, store], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    rows, correct = json.loads(done.stdout)
    expected = evalkit.load_scores(store)
    assert rows == sorted(expected[["task", "metric", "value"]].to_numpy().tolist())
    accuracy = expected[(expected.task == "toy_choice") & (expected.metric == "acc")]
    assert correct == accuracy.value.iloc[0] * accuracy.n.iloc[0]


def test_there_is_a_store_of_every_version():
    assert list(range(1, SCHEMA_VERSION + 1)) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_every_version_is_readable(version, tmp_path):
    store = Store(shutil.copytree(STORES / f"v{version}", tmp_path / "store"))
    (run,) = store.listing().runs
    assert run.schema_version == version
    view = overview(store)
    assert view.problems == []
    assert len(view.scores) == {1: 5, 2: 5, 3: 10, 4: 10}[version]
    assert list(view.suites.task) == {4: ["choices"]}.get(version, [])
    assert list(evalkit.load_scores(store.url)) == SCORES.names
    timings = evalkit.load_timings(store.url, "first")
    assert list(timings) == TIMINGS.names
    assert timings.token_s.notna().any() == (version >= 3)
    for task in run.tasks:
        samples = evalkit.load_samples(store.url, "first", task)
        assert list(samples) == SAMPLES.names
        assert len(samples) == run.tasks[task].documents
    assert samples.prompt_tokens.isna().all() == (version < 2)
    pairs = compare(run.run_id, run.run_id, store)
    assert {row.difference for row in pairs.differences} == {0.0}
    set_baseline(store, "first", "main")
    home, found = find_baseline(store, "tag:main")
    assert home.score_rows(found.run_id) == store.score_rows(run.run_id)


def test_files_are_compressed_and_name_their_version():
    for file in (STORES / f"v{SCHEMA_VERSION}").rglob("*.parquet"):
        metadata = pq.read_metadata(file)
        assert metadata.row_group(0).column(0).compression == "ZSTD"
        assert pq.read_schema(file).metadata[b"evalkit.schema_version"] == b"%d" % SCHEMA_VERSION


def test_a_page_of_samples_leaves_most_of_the_file_unread(tmp_path, monkeypatch):
    from evalkit.results import store as module
    from evalkit.results import table
    from tests.results.test_store import make_run

    monkeypatch.setattr(module, "SAMPLE_ROWS", 10)
    run = make_run("r1")
    rows = [{"task": "t/1", "doc_id": i, "filter": "none", "prompt": f"p{i}"} for i in range(1000)]
    run.samples["t/1"] = table(rows, SAMPLES)
    Store(tmp_path).write(run)
    read = []
    plain = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, groups, **more: read.extend(groups) or plain(self, groups, **more),
    )
    page = evalkit.load_samples(tmp_path, "r1", "t/1", columns=["prompt"], first=205, last=224)
    assert page.prompt.tolist() == [f"p{i}" for i in range(205, 225)]
    assert read == [20, 21, 22]


def test_a_file_of_other_columns_is_no_table_of_the_stores(tmp_path):
    store = Store(shutil.copytree(STORES / f"v{SCHEMA_VERSION}", tmp_path / "store"))
    (run,) = store.listing().runs
    pq.write_table(pa.table({"a": [1]}), store.samples_path(run.run_id, "toy_choice"))
    with pytest.raises(DataError, match="it has no column doc_id"):
        store.samples(run.run_id, "toy_choice")
    with pytest.raises(DataError, match="it has no column doc_id"):
        compare(run.run_id, run.run_id, store)
