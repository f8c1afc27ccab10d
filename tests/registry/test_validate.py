"""`evalkit validate`: every mistake, each with its file and line."""

import re
from pathlib import Path

import pytest

from evalkit.paths import bundled
from evalkit.registry import Registry
from evalkit.registry.located import read_located
from evalkit.registry.schema import check_task
from evalkit.registry.validate import _merged, validate

GOOD = """\
task: made_up
dataset_path: json
dataset_kwargs: {data_files: {test: data.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{q}}\\nAnswer:"
doc_to_choice: options
doc_to_target: gold
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: f1_macro
metadata: {version: 1, cluster: kind}
"""
ROW = '{"q": "One?", "options": ["1", "2"], "gold": 0, "kind": "sum"}\n'


@pytest.fixture
def check(tmp_path):
    """Validate a task file; the mistakes as (line, message)."""

    def run(text, row=ROW):
        (tmp_path / "data.jsonl").write_text(row)
        file = tmp_path / "made_up.yaml"
        file.write_text(text)
        found = validate(file, Registry())
        assert all(mistake.file == file for mistake in found)
        return [(mistake.line, mistake.message) for mistake in found]

    return run


def test_a_task_in_order_has_no_mistakes(check):
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("metric_list:", "metrc_list:", 10, "did you mean 'metric_list'"),
        (
            "output_type: multiple_choice",
            "output_type: multiple_choise",
            5,
            "output_type is one",
        ),
        ("task: made_up\n", "task: made_up\ntask: again\n", 2, "the key 'task' twice"),
        ("metric: acc", "metric: accuracee", 10, "there is no metric 'accuracee'"),
        ("metric: f1_macro", "metric: bleu", 13, "lm-eval computes no 'bleu'"),
        ("metric: f1_macro", "metric: rouge1", 13, "'rouge1' does not judge answers"),
        (
            "aggregation: mean",
            "aggregation: meen",
            11,
            "no aggregation 'meen'",
        ),
        ("test_split: test", "test_split: tset", 4, "no split 'tset', only test"),
        ("test_split: test\n", "", 1, "names no split"),
        ("doc_to_choice: options\n", "", 1, "needs doc_to_choice"),
        ("{{q}}", "{{question}}", 6, "doc_to_text: documents have no field 'question'"),
        ("{{q}}", "{{q", 6, "doc_to_text is no template"),
        ("doc_to_target: gold", "doc_to_target: gould", 8, "no field 'gould'; did you mean 'gold'"),
        ("cluster: kind", "cluster: kynd", 14, "cluster: documents have no field 'kynd'"),
        ("test: data.jsonl", "test: dtaa.jsonl", 3, "dtaa.jsonl, which does not exist"),
        ("doc_to_target: gold", "doc_to_target: !function own.gold", 8, "neither"),
        ("{data_files: {test: data.jsonl}}", "{}", 3, "reads json files, but names none"),
        ("higher_is_better: true", "higher_is_better: 2", 12, "is true or false"),
        ("metadata:", "generation_kwargs: {max_gen_toks: 0}\nmetadata:", 14, "at least 1"),
        ("version: 1, cluster: kind}", "version: 1, cluster: kind", 15, "malformed YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(check, old, new, line, message):
    assert old in GOOD
    found = check(GOOD.replace(old, new))
    assert [place for place, text in found if message in text][:1] == [line], found


def test_every_mistake_is_told_at_once(check):
    wrong = GOOD.replace("acc\n", "accu\n").replace("gold\n", '"{{gold"\n').replace("mean", "men")
    assert [line for line, _ in check(wrong + "typo: 1\n")] == [8, 10, 11, 15]


def test_a_target_outside_the_choices_is_told(check):
    (found,) = check(GOOD, ROW.replace('"gold": 0', '"gold": "3"'))
    assert found[0] == 8
    assert "the first document, '3', is none of the choices" in found[1]
    (found,) = check(GOOD, ROW.replace('"gold": 0', '"gold": 2'))
    assert found[0] == 8


def test_the_mistake_of_an_included_file_is_told_there(tmp_path):
    (tmp_path / "data.jsonl").write_text(ROW)
    base = tmp_path / "base.yaml"
    base.write_text(GOOD.replace("{{q}}", "{{wrong}}"))
    file = tmp_path / "made_up.yaml"
    file.write_text("include: base.yaml\ntask: made_up\n")
    (found,) = validate(file, Registry())
    assert (found.file, found.line) == (base.resolve(), 6)


def test_how_a_suite_makes_one_figure_is_checked(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text(
        "group: made_up\ntask: [micro_facts]\naggregate_metric_list:\n"
        "  - metric: acc\n    weight_by_sise: true\n"
        "  - metric: acc\n    aggregation: median\n"
        "  - aggregation: mean\n"
    )
    found = [(m.line, m.message) for m in validate(file, Registry())]
    assert [line for line, _ in found] == [5, 7, 8]
    assert "did you mean 'weight_by_size'" in found[0][1]
    assert "not 'median'" in found[1][1]
    assert "needs the key 'metric'" in found[2][1]


def test_a_function_is_looked_up_but_not_run(check, tmp_path):
    text = GOOD.replace("doc_to_target: gold", "doc_to_target: !function own.{}")
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef gold(doc): ...\n")
    assert "has no 'silver'" in check(text.replace("{}", "silver"))[0][1]
    assert "--trust-functions" in check(text.replace("{}", "gold"))[0][1]
    assert not (tmp_path / "ran").exists()


def test_suites_name_tasks_that_exist(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text("group: mine\ntask:\n  - micro_facts\n  - micro_fatcs\n  - group: inner\n"
                    "    task: [micro_sums, 5]\n")  # fmt: skip
    found = [(m.line, m.message) for m in validate(file, Registry())]
    assert [line for line, _ in found] == [4, 6]
    assert "did you mean" in found[0][1]


def test_the_command_prints_each_and_exits_with_2(evalkit_command, tmp_path):
    (tmp_path / "data.jsonl").write_text(ROW)
    (tmp_path / "made_up.yaml").write_text(GOOD)
    done = evalkit_command("validate", tmp_path)
    assert (done.code, done.out) == (0, "1 file in order.\n")
    (tmp_path / "made_up.yaml").write_text(GOOD.replace("{{q}}", "{{p}}").replace("acc", "acs"))
    done = evalkit_command("validate", tmp_path / "made_up.yaml")
    assert done.code == 2
    assert re.match(rf"{tmp_path}/made_up.yaml:10: there is no metric 'acs'", done.out)
    assert "1 mistake in 1 of 1 files." in done.err
    assert evalkit_command("validate", tmp_path / "nowhere.yaml").code == 2


def test_what_the_text_of_our_own_and_of_stock_tasks_says_is_in_order():
    """No false alarm on files that are known to run."""
    import lm_eval.tasks

    stock = Path(lm_eval.tasks.__file__).parent
    names = "hellaswag glue gsm8k truthfulqa crows_pairs winogrande lambada wikitext nq_open arc "
    names += "triviaqa super_glue/boolq mmlu/default"
    files = [*bundled("tasks").rglob("*.yaml")]
    files += [file for name in names.split() for file in sorted((stock / name).rglob("*.yaml"))[:8]]
    for file in files:
        found = []
        top = read_located(file, found)
        keys = _merged(top, found, [file.resolve()])
        if "task" in keys and "group" not in keys:
            found.extend(check_task(keys, top))
        assert found == [], file
