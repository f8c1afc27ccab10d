"""The registry: names, globs, suites, paths; lm-eval's tasks with their data beside or mirrored."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.registry import Registry
from evalkit.registry.index import Index
from evalkit.types import RequestKind

FOLDERS = (
    "glue super_glue translation bbh agieval crows_pairs blimp unscramble hendrycks_ethics "
    "okapi/truthfulqa_multilingual storycloze scrolls squadv2 lambada pile arithmetic"
)


@pytest.fixture
def registry(task_folder):
    return Registry([task_folder])


def test_a_suite_stands_for_its_tasks(registry):
    selection = registry.select(["toys"])
    assert list(selection.leaves) == ["toy_choice", "toy_text", "toy_answer"]
    assert selection.suites == {"toys": ["toy_choice", "toy_text", "toy_answer"]}


def test_globs_names_and_paths_each_once(registry, task_folder):
    path = str(task_folder / "toy_answer.yaml")
    selection = registry.select(["toy_t*", "toy_text", path])
    assert list(selection.leaves) == ["toy_text", "toy_answer"]


def test_the_bundled_suites_resolve(registry):
    demo = registry.select(["demo"])
    assert "latency" in demo.leaves
    assert "pronoun_bias" in demo.leaves
    assert set(registry.select(["smoke"]).leaves) < set(demo.leaves)


def test_lm_evals_groups_and_tags_are_known(registry):
    assert len(registry.select(["mmlu"]).leaves) == 57
    assert set(registry.select(["ai2_arc"]).leaves) == {"arc_easy", "arc_challenge"}


def test_the_stock_index_is_read_from_its_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = Index().stock
    assert len(first) > 10_000
    (cache,) = (tmp_path / "evalkit" / "index").iterdir()
    content = json.loads(cache.read_text())
    content["made_up"] = ["task", "somewhere.yaml", [], "multiple_choice", None]
    cache.write_text(json.dumps(content))
    assert "made_up" in Index().stock
    for damage in ("{damaged", '{"made_up": ["task"]}'):
        cache.write_text(damage)
        assert dict(Index().stock) == dict(first)


def test_the_quick_look_at_files_finds_what_lm_eval_finds():
    """Over the folders whose files differ most in how they are written."""
    import lm_eval.tasks
    from lm_eval.tasks._index import Kind, TaskIndex

    from evalkit.registry.index import _rows

    stock = Path(lm_eval.tasks.__file__).parent
    for name in FOLDERS.split():
        found = {
            entry: (kind, stock / name / path if path else None, set(tasks))
            for entry, (kind, path, tasks, *_) in _rows(stock / name).items()
        }
        kinds = {Kind.TASK: "task", Kind.PY_TASK: "task", Kind.GROUP: "group", Kind.TAG: "tag"}
        expected = {
            entry.name: (
                kinds[entry.kind],
                entry.yaml_path,
                entry.tags if entry.kind is Kind.TAG else set(),
            )
            for entry in TaskIndex.build([stock / name]).values()
        }
        assert found == expected, name


def test_requests_are_those_of_the_template(registry):
    leaf = registry.select(["toy_choice"]).leaves["toy_choice"]
    document = registry.load(leaf).documents(1, seed=0)[0]
    assert [request.kind for request in document.requests] == [RequestKind.LOGLIKELIHOOD] * 2
    assert document.requests[0].context == "A baker met a farmer. Who was met? The"
    assert document.choices == (" baker", " farmer")
    assert (document.target, document.category) == ("farmer", "baker")


def test_few_shot_examples_depend_on_the_document_alone(registry):
    """Neither a limit nor the documents before it change a prompt."""
    leaf = registry.select(["toy_choice"]).leaves["toy_choice"]
    everything = registry.load(leaf, num_fewshot=2).documents(None, seed=3)
    first = registry.load(leaf, num_fewshot=2).documents(2, seed=3)
    assert [d.prompt_hash for d in first] == [d.prompt_hash for d in everything[:2]]
    other = registry.load(leaf, num_fewshot=2).documents(None, seed=4)
    assert [d.prompt_hash for d in other] != [d.prompt_hash for d in everything]
    contexts = [document.requests[0].context for document in everything]
    assert all(context.count("Who was met?") == 3 for context in contexts)


def test_unknown_decoding_is_refused(registry, tmp_path, task_folder):
    text = (task_folder / "toy_answer.yaml").read_text().replace("do_sample: false", "num_beams: 4")
    file = tmp_path / "beams.yaml"
    file.write_text(text.replace("toy_answer.jsonl", str(task_folder / "toy_answer.jsonl")))
    leaf = registry.select([str(file)]).leaves["toy_answer"]
    with pytest.raises(UsageError, match="num_beams"):
        registry.load(leaf).documents(None, seed=0)


def test_a_template_that_fails_names_the_document(registry, tmp_path, task_folder):
    text = (task_folder / "toy_answer.yaml").read_text().replace("{{a}}", "{{a[0] / 0}}")
    file = tmp_path / "broken.yaml"
    file.write_text(text.replace("toy_answer.jsonl", str(task_folder / "toy_answer.jsonl")))
    leaf = registry.select([str(file)]).leaves["toy_answer"]
    with pytest.raises(DataError, match="toy_answer"):
        registry.load(leaf).documents(None, seed=0)


def test_an_include_path_that_is_absent(tmp_path):
    with pytest.raises(UsageError, match="is no folder"):
        Registry([tmp_path / "nowhere"])


def suite(tmp_path, body):
    (tmp_path / "suite.yaml").write_text(body)
    return str(tmp_path / "suite.yaml")


def test_an_inner_group_passes_its_settings_on(registry, tmp_path):
    body = "group: outer\ntask:\n  - group: inner\n    num_fewshot: 2\n    task: [toy_choice]\n"
    leaves = registry.select([suite(tmp_path, body)]).leaves
    assert leaves["toy_choice"].overrides == {"num_fewshot": 2}


@pytest.mark.parametrize("members", ["[5]", "5", "[{group: 7}]", "[outer]"])
def test_a_suite_of_no_tasks_is_refused(registry, tmp_path, members):
    path = suite(tmp_path, f"group: outer\ntask: {members}\n")
    with pytest.raises((DataError, UsageError), match=r"outer|names the member"):
        Registry([tmp_path]).select(["outer"] if members == "[outer]" else [path])


@pytest.mark.parametrize(
    "line", ["data_files: {test: }", "data_files: 5", "dataset_path: [a]", "dataset_kwargs: foo"]
)
def test_data_that_makes_no_sense_is_refused(registry, tmp_path, task_folder, line):
    text = (task_folder / "toy_choice.yaml").read_text()
    wrong = {
        "data_files": text.replace("data_files: {test: toy_choice.jsonl}", line),
        "dataset_path": text.replace("dataset_path: json", line),
        "dataset_kwargs": text.replace(
            "dataset_kwargs: {data_files: {test: toy_choice.jsonl}}", line
        ),
    }[line.partition(":")[0]]
    file = tmp_path / "wrong.yaml"
    file.write_text(wrong)
    with pytest.raises(DataError, match="toy_choice"):
        registry.load(registry.select([str(file)]).leaves["toy_choice"])


def test_lm_evals_index_is_read_once_and_without_its_libraries(tmp_path):
    """Reading its 14,000 files takes seconds, importing what reads them takes seconds more."""
    code = (
        "import sys\n"
        "from evalkit.cli import main\n"
        "sys.argv = ['evalkit', 'ls', 'tasks', 'hellaswag*']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'pandas', 'lm_eval.tasks'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    written = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert "hellaswag" in done.stdout
        (cache,) = (tmp_path / "evalkit" / "index").iterdir()
        written.append((cache.stat().st_mtime_ns, "Indexing" in done.stderr))
    assert [is_made for _, is_made in written] == [True, False]
    assert written[0][0] == written[1][0]
