"""Thousands of spoilt inputs: each gets an answer or one clear error, in time, and writes nothing.

`make fuzz` runs it with many examples and counts them; the tests run a few of each kind.
"""

import json
import os
import re
import shutil
import signal
import struct
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.loading import load_model, load_tokenizer
from evalkit.errors import EvalkitError
from evalkit.gating import TEMPLATE, load_config
from evalkit.registry import Registry, Trust
from evalkit.results import Store, overview, sample_rows
from evalkit.results.baseline import find_baseline, set_baseline
from evalkit.results.index import WORTH_WRITING
from evalkit.runner.journal import Header, Journal, read_journal
from evalkit.runner.lm_eval_results import import_lm_eval
from evalkit.training.recipe import Recipe, load_recipe
from evalkit.types import Response
from tests.checkpoints import make_checkpoint
from tests.fuzz.mutations import bytes_of, json_of
from tests.results.test_store import make_run

EXAMPLES = int(os.environ.get("EVALKIT_FUZZ", "25"))
LIMIT_S = 10
COUNTS = Counter()
# The template of `evalkit gate --init`, its examples no longer comments.
GATE = re.sub(r"^(  )?# (?=  |- task|waivers|fallback)", r"\1", TEMPLATE, flags=re.MULTILINE)
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="EVALKIT_FUZZ" not in os.environ,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module", autouse=True)
def tally(request):
    """Say how many inputs there were, and how many were refused."""
    yield
    if "EVALKIT_FUZZ" in os.environ:
        lines = [
            f"fuzz: {kind}: {COUNTS[kind, 'taken'] + COUNTS[kind, 'refused']:,} inputs, "
            f"{COUNTS[kind, 'refused']:,} refused"
            for kind in sorted({kind for kind, _ in COUNTS})
        ]
        capture = request.config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print("", *lines, f"fuzz: {sum(COUNTS.values()):,} inputs in all", sep="\n")


@contextmanager
def judged(kind, folder):
    """Only an `EvalkitError` of one sentence may come out, in time, and no file may change."""
    before = _files(folder)
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(LIMIT_S)
    try:
        yield
        COUNTS[kind, "taken"] += 1
    except EvalkitError as error:
        assert str(error).strip()
        assert "Traceback" not in str(error)
        COUNTS[kind, "refused"] += 1
    finally:
        signal.alarm(0)
    assert _files(folder) == before, "something was written"


def _files(folder):
    return {
        path: path.stat().st_size
        for path in Path(folder).parent.rglob("*")
        if path.is_file() and ".index" not in path.parts and "__pycache__" not in path.parts
    }


def _late(*_):
    raise TimeoutError(f"no answer in {LIMIT_S} s")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("fuzz") / "here"
    made.mkdir()
    return made


@pytest.fixture
def fuzz(folder):
    """Ask of a file that is good, which has to work, and of the spoilt ones in its place."""

    def run(kind, file, contents, ask):
        original = file.read_bytes()
        ask()

        @thorough
        @given(contents)
        def check(content):
            file.write_bytes(content)
            with judged(kind, folder):
                ask()

        try:
            check()
        finally:
            file.write_bytes(original)

    return run


def test_task_files(fuzz, folder, task_folder):
    file = shutil.copytree(task_folder, folder / "tasks") / "toy_choice.yaml"

    def ask():
        registry = Registry(trust=Trust())
        for leaf in registry.select([str(file)]).leaves.values():
            registry.load(leaf).documents(2, 0)

    fuzz("task files", file, bytes_of(file.read_bytes()), ask)


def test_data_files(fuzz, folder, task_folder):
    home = shutil.copytree(task_folder, folder / "data")
    file = home / "toy_answer.jsonl"

    def ask():
        registry = Registry()
        leaf = registry.select([str(home / "toy_answer.yaml")]).leaves["toy_answer"]
        registry.load(leaf).documents(2, 0)

    fuzz("data files", file, bytes_of(file.read_bytes()), ask)


def test_gate_files(fuzz, folder):
    file = folder / "gate.yaml"
    file.write_text(GATE)
    fuzz("gate files", file, bytes_of(GATE.encode()), lambda: load_config(file))


def test_recipes(fuzz, folder):
    file = folder / "recipe.yaml"
    original = Recipe().model_dump(mode="json")
    file.write_text(json.dumps(original, indent=1))
    contents = bytes_of(file.read_bytes()) | json_of(original)
    fuzz("recipes", file, contents, lambda: load_recipe(file))


@pytest.fixture(scope="module")
def store(folder):
    opened = Store(folder / "store")
    for number in range(2):
        opened.write(make_run(f"r{number}", f"n{number}"))
    return opened


def test_manifests(fuzz, store):
    file = Path(store.root) / "r1" / "run.json"
    original = file.read_bytes()

    def ask():
        overview(store)
        store.resolve("latest")

    fuzz("manifests", file, bytes_of(original) | json_of(json.loads(original)), ask)


@pytest.mark.parametrize("name", ["scores.parquet", "samples/t%2F1.parquet", "timings.parquet"])
def test_parquet(fuzz, store, name):
    file = Path(store.root) / "r1" / name

    def ask():
        overview(store)
        store.samples("r1", "t/1")
        sample_rows(store, "r1", "t/1", "none", [0])
        store.timings("r1")

    fuzz("Parquet files", file, bytes_of(file.read_bytes()), ask)


@pytest.mark.parametrize("name", ["scores", "manifests"])
def test_indexes(fuzz, folder, name):
    """Whatever an index says, the runs are there."""
    opened = Store(folder / f"indexed-{name}")
    for number in range(WORTH_WRITING + 1):
        opened.write(make_run(f"r{number:02d}"))
    overview(opened)
    file = Path(opened.root) / ".index" / name

    def ask():
        assert len(overview(opened).manifests) == WORTH_WRITING + 1

    fuzz("indexes", file, bytes_of(file.read_bytes()), ask)


def test_baselines(fuzz, store):
    file = Path(set_baseline(store, "r0", "main").path)
    contents = bytes_of(file.read_bytes())
    fuzz("baseline files", file, contents, lambda: find_baseline(store, "tag:main"))


def test_journals(fuzz, folder):
    home = folder / "journal" / "run"
    header = Header("run", "now", {"tasks": ["a"]}, {"weights_hash": "w"}, "r", 20)
    journal = Journal.create(home, header)
    responses = [Response(-1.5 * i, True, prompt_tokens=3, output_tokens=1) for i in range(20)]
    journal.append((i, f"key{i}", response) for i, response in enumerate(responses))
    journal.close()
    file = home / "journal"

    def ask():
        found = read_journal(home).responses
        # What is believed is what was written: never an answer that nobody gave.
        assert all(found[i] == (f"key{i}", responses[i]) for i in found)

    fuzz("journals", file, bytes_of(file.read_bytes()), ask)


@pytest.fixture(scope="module")
def model(folder):
    return make_checkpoint(folder / "model")


def load(model):
    checkpoint = open_checkpoint(model)
    load_model(checkpoint, load_tokenizer(checkpoint), "cpu")


def test_safetensors_headers(fuzz, model):
    file = model / "model.safetensors"
    original = file.read_bytes()
    length = struct.unpack("<Q", original[:8])[0]
    header = original[8 : 8 + length]

    def whole(content, is_length_right):
        size = len(content) if is_length_right else length
        return struct.pack("<Q", size) + content + original[8 + length :]

    spoilt = bytes_of(header) | json_of(json.loads(header))
    contents = st.builds(whole, spoilt, st.booleans()) | bytes_of(original[: 8 + length])
    fuzz("safetensors headers", file, contents, lambda: load(model))


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_tokenizers(fuzz, model, name):
    file = model / name
    contents = bytes_of(file.read_bytes()) | json_of(json.loads(file.read_bytes()))
    fuzz("tokenizers", file, contents, lambda: load_tokenizer(open_checkpoint(model)))


def test_configs(fuzz, model):
    file = model / "config.json"
    contents = bytes_of(file.read_bytes()) | json_of(json.loads(file.read_bytes()))
    fuzz("model configurations", file, contents, lambda: load(model))


def test_lm_evals_results(fuzz, folder):
    home = folder / "lm-eval"
    home.mkdir()
    results = {
        "results": {"t": {"alias": "t", "acc,none": 0.5, "acc_stderr,none": 0.5}},
        "configs": {"t": {"output_type": "multiple_choice", "metric_list": [{"metric": "acc"}]}},
        "versions": {"t": 1}, "n-shot": {"t": 0}, "higher_is_better": {"t": {"acc": True}},
        "n-samples": {"t": {"original": 1, "effective": 1}}, "date": 1.7e9, "model_name": "m",
        "config": {"model_args": "x"}, "group_subtasks": {"g": ["t"]},
    }  # fmt: skip
    sample = {
        "doc_id": 0, "doc": {"q": "?"}, "target": "1",
        "resps": [[["-1", "False"]], [["-2", "True"]]],
        "arguments": {"a": {"arg_0": "?", "arg_1": " x"}, "b": {"arg_0": "?", "arg_1": " y"}},
        "filtered_resps": [], "filter": "none", "metrics": ["acc"], "acc": 0.5,
    }  # fmt: skip
    file, beside = home / "results_1.json", home / "samples_t_1.jsonl"
    file.write_text(json.dumps(results))
    beside.write_text(json.dumps(sample))
    contents = json_of(results) | bytes_of(file.read_bytes())
    for spoilt, those in ((file, contents), (beside, json_of(sample))):
        fuzz("lm-eval results", spoilt, those, lambda: import_lm_eval(file, Store("memory://fuzz")))
