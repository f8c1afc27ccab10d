"""lm-eval's features beyond the plain case: filters, repeats, custom metrics and aggregations."""

import functools
import json

import pytest
from lm_eval.api.metrics import median

from evalkit.errors import DataError, EvaluationError, UsageError
from evalkit.registry import Registry, Trust
from evalkit.registry.definition import _without_functions
from evalkit.runner.score import score_task
from evalkit.types import Response

HEAD = """
dataset_path: json
dataset_kwargs: {data_files: {test: data.jsonl}}
test_split: test
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
"""


@pytest.fixture
def load(tmp_path):
    """Load a task whose YAML ends in the given lines, over two documents."""
    rows = [
        {"q": "One and two?", "a": "3", "who": "x"},
        {"q": "Two and two?", "a": "4", "who": "y"},
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def build(body):
        file = tmp_path / "task.yaml"
        file.write_text("task: made_up\n" + HEAD + body)
        registry = Registry(trust=Trust(functions=(tmp_path,)))
        return registry.load(registry.select([str(file)]).leaves["made_up"])

    return build


def answered(task, *texts):
    documents = task.documents(None, seed=0)
    responses = [tuple(Response(text=text) for text in group) for group in texts]
    samples = task.score(documents, responses)
    return samples, {(s.metric, s.filter): s for s in score_task(task, samples, seed=0)}


def test_each_filter_is_scored_on_its_own(load):
    task = load("""
output_type: generate_until
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
filter_list:
  - {name: first, filter: [{function: regex, regex_pattern: "(\\\\d+)"}, {function: take_first}]}
  - {name: whole, filter: [{function: take_first}]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""")
    samples, scores = answered(task, ["It is 3."], ["4"])
    assert scores["exact_match", "first"].value == 1.0
    assert scores["exact_match", "whole"].value == 0.5
    assert [(s.filter, s.answer) for s in samples] == [
        ("first", "3"), ("first", "4"), ("whole", "It is 3."), ("whole", "4"),
    ]  # fmt: skip


def test_repeats_ask_again_with_seeds_of_their_own(load):
    task = load("""
output_type: generate_until
repeats: 3
generation_kwargs: {until: ["\\n"], max_gen_toks: 8, do_sample: true, temperature: 0.7}
filter_list:
  - {name: vote, filter: [{function: majority_vote}, {function: take_first}]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""")
    documents = task.documents(None, seed=0)
    requests = [request for document in documents for request in document.requests]
    assert len({r.decoding.seed for r in requests}) == len(requests) == 6
    assert {r.decoding.temperature for r in requests} == {0.7}
    again = [r.decoding.seed for d in task.documents(1, seed=0) for r in d.requests]
    assert again == [r.decoding.seed for r in requests[:3]]
    other = [r.decoding.seed for d in task.documents(1, seed=1) for r in d.requests]
    assert not set(other) & set(again)
    _, scores = answered(task, ["3", "9", "3"], ["5", "5", "4"])
    assert scores["exact_match", "vote"].value == 0.5


def test_an_aggregation_that_is_no_sum_keeps_lm_evals_value_without_an_interval(load):
    task = load("""
output_type: generate_until
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: median, higher_is_better: true}]
""")
    _, scores = answered(task, ["3"], ["no"])
    score = scores["exact_match", "none"]
    assert (score.value, score.ci_low, score.aggregation) == (median([1.0, 0.0]), None, "custom")


def test_a_metric_that_fails_names_the_document(load, tmp_path):
    (tmp_path / "broken.py").write_text("def process(doc, results):\n    return {'m': 1 / 0}\n")
    task = load("""
output_type: generate_until
process_results: !function broken.process
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list: [{metric: m, aggregation: mean, higher_is_better: true}]
""")
    with pytest.raises(EvaluationError, match=r"document 0.*division"):
        answered(task, ["3"], ["4"])


def test_a_metric_that_names_no_aggregation_is_averaged(load, tmp_path):
    (tmp_path / "extra.py").write_text("def process(doc, results):\n    return {'extra': 0.25}\n")
    task = load("""
output_type: generate_until
process_results: !function extra.process
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""")
    _, scores = answered(task, ["3"], ["4"])
    assert (scores["extra", "none"].value, scores["extra", "none"].aggregation) == (0.25, "mean")


@pytest.mark.parametrize("line", ["unsafe_code: true", 'doc_to_image: ["q"]'])
def test_tasks_beyond_text_are_refused(load, line):
    with pytest.raises(UsageError, match="made_up"):
        load(f"""
output_type: generate_until
{line}
generation_kwargs: {{until: ["."], max_gen_toks: 8}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
""")


def test_the_definition_hash_is_the_same_in_every_process():
    definition = {"process_docs": functools.partial(sorted, key=len), "metrics": [{"m": max}]}
    named = {"process_docs": ["sorted", [], {"key": "len"}], "metrics": [{"m": "max"}]}
    assert _without_functions(definition) == named


def test_an_unknown_metric_is_refused(load):
    with pytest.raises(DataError, match="accuracee"):
        load("""
output_type: generate_until
generation_kwargs: {until: ["."], max_gen_toks: 8}
metric_list: [{metric: accuracee, aggregation: mean, higher_is_better: true}]
""")


@pytest.fixture
def of_file(tmp_path):
    """Documents of a task over a data file of this name and content."""

    def read(name, content):
        (tmp_path / name).write_text(content, errors="surrogateescape")
        file = tmp_path / "task.yaml"
        body = "output_type: generate_until\nmetric_list: [{metric: exact_match}]\n"
        file.write_text("task: made_up\n" + HEAD.replace("data.jsonl", name) + body)
        registry = Registry()
        task = registry.load(registry.select([str(file)]).leaves["made_up"])
        return task.documents(None, seed=0)

    return read


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"q": "One?", "a": "1"}, {"q": "Two?"', "is not JSON: "),
        ('[{"q": "One?", "q": "1"}]', "is not JSON: it has a field twice"),
        ('{"q": "One?", "a": "1"}\n{"q": \n', ":2 is no JSON object of a line"),
        ("[" * 100_000, "is not JSON: "),
        ("\udcff", "is not JSON: "),
        ("null", "neither an object nor a list"),  # the reader behind `datasets` crashes on it
    ],
)
def test_a_damaged_json_file_is_named(of_file, content, sentence):
    with pytest.raises(DataError) as found:
        of_file("data.json", content)
    assert "data.json" in str(found.value)
    assert sentence in str(found.value)


def test_a_line_that_is_null_is_named(of_file):
    with pytest.raises(DataError, match=r"data\.jsonl:2 is no JSON object of a line"):
        of_file("data.jsonl", '{"q": "One?", "a": "1"}\nnull\n')


@pytest.mark.parametrize("separator", ["\n", ", "])
def test_a_json_file_is_a_list_or_lines(of_file, separator):
    rows = separator.join(json.dumps({"q": "One?", "a": str(i)}) for i in range(3))
    assert len(of_file("data.json", rows if separator == "\n" else f"[{rows}]")) == 3
