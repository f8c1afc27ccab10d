"""Metrics that evalkit adds to lm-eval's tasks: calibration, classes, token F1, signatures."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from evalkit.errors import DataError, UsageError
from evalkit.registry import Registry, Trust
from evalkit.registry.evaluate_metric import script_folder
from evalkit.runner.score import score_task
from evalkit.types import Response

CHOICE = """
output_type: multiple_choice
doc_to_text: q
doc_to_choice: ["red", "green", "blue"]
doc_to_target: gold
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{family: {family}}}
"""
TEXT = """
output_type: generate_until
doc_to_text: q
doc_to_target: answers
generation_kwargs: {{until: ["\\n"], max_gen_toks: 8}}
metric_list: {metrics}
metadata: {{family: {family}}}
"""


@pytest.fixture
def scored(tmp_path):
    """Score made-up answers of a task with the given YAML and rows."""

    def run(body, rows, answers, trust=None):
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        file = tmp_path / "made_up.yaml"
        head = "task: made_up\ndataset_path: json\ndataset_kwargs: {data_files: {test: data.jsonl}}"
        file.write_text(f"{head}\ntest_split: test{body}")
        registry = Registry(trust=trust)
        task = registry.load(registry.select([str(file)]).leaves["made_up"])
        documents = task.documents(None, seed=0)
        samples = task.score(documents, answers)
        return task, samples, {s.metric: s for s in score_task(task, samples, seed=0)}

    return run


def chosen(*rows):
    return [tuple(Response(float(value), False) for value in row) for row in rows]


def test_choices_of_the_family_are_told_precision_recall_and_calibration(scored):
    gold = [0, 1, 2, 0, 1, 2, 2, 0]
    values = np.random.default_rng(2).normal(-3, 1, (8, 3))
    rows = [{"q": f"n{k}", "gold": g} for k, g in enumerate(gold)]
    task, samples, scores = scored(CHOICE.format(family="understanding"), rows, chosen(*values))
    predicted = values.argmax(axis=1)
    assert scores["acc"].value == pytest.approx(np.mean(predicted == gold))
    assert scores["f1_macro"].value == pytest.approx(f1_score(gold, predicted, average="macro"))
    assert scores["mcc"].value == pytest.approx(matthews_corrcoef(gold, predicted))
    assert scores["f1_macro"].interval == "bootstrap"
    weights = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    squares = ((weights - np.eye(3)[gold]) ** 2).sum(axis=1)
    assert scores["brier_score"].value == pytest.approx(squares.mean())
    assert scores["ece"].higher_is_better is False
    assert next(iter(samples[0].statistics)) == "acc"
    assert task.family == "understanding"


def test_other_families_get_nothing_added(scored):
    _, _, scores = scored(
        CHOICE.format(family="mine"), [{"q": "n", "gold": 0}], chosen((0, -1, -2))
    )
    assert set(scores) == {"acc"}


def test_targets_outside_the_choices_are_counted_in_a_warning(scored):
    rows = [{"q": "one", "gold": 0}, {"q": "two", "gold": 3}, {"q": "three", "gold": -1}]
    task, _, scores = scored(
        CHOICE.format(family="understanding"), rows, chosen(*[(0, -1, -2)] * 3)
    )
    (warning,) = task.warnings
    assert "2 of 3 documents" in warning
    assert scores["acc"].value == pytest.approx(1 / 3)
    assert scores["ece"].n == 1  # no probability was given to what cannot be chosen


def test_answers_get_token_f1_beside_exact_match(scored):
    body = TEXT.format(family="question_answering", metrics="[{metric: exact_match}]")
    rows = [{"q": "who", "answers": ["the red fox", "foxes"]}, {"q": "what", "answers": ["a hen"]}]
    answers = [(Response(text="a fox"),), (Response(text="Hen."),)]
    _, _, scores = scored(body, rows, answers)
    assert scores["token_f1"].value == pytest.approx((2 / 3 + 1) / 2)
    assert scores["exact_match"].value == 0


def test_signatures_are_kept(scored):
    metrics = "[{metric: bleu}, {metric: chrf}, {metric: rouge2}]"
    body = TEXT.format(family="translation", metrics=metrics)
    rows = [{"q": "eins", "answers": "one old house"}, {"q": "zwei", "answers": "two old houses"}]
    answers = [(Response(text="one old house"),), (Response(text="two house"),)]
    task, _, scores = scored(body, rows, answers)
    assert task.details["signature of bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    assert "|version:" in task.details["signature of ter"]
    assert "stem:porter" in task.details["signature of rouge2"]
    assert scores["ter"].higher_is_better is False
    assert 0 < scores["rouge2"].value < 1


def test_a_metric_for_other_answers_is_refused(scored):
    body = TEXT.format(family="mine", metrics="[{metric: ece}]")
    with pytest.raises(DataError, match=r"names the metric ece, which does not judge"):
        scored(body, [{"q": "a", "answers": "b"}], [])


SHARE = '''
import datasets
import evaluate


class Share(evaluate.Metric):
    """The share of answers that are as long as their references, and the longest of both."""

    def _info(self):
        features = datasets.Features(
            {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        )
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references, weight=1.0):
        same = [len(p) == len(r) for p, r in zip(predictions, references)]
        longest = max(map(len, [*predictions, *references]))
        return {"share": weight * sum(same) / len(same), "longest": longest, "names": ["no number"]}
'''


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Where the evaluate library copies scripts to: the first place stays for the whole process."""
    import datasets.config
    import evaluate.config

    folder = tmp_path_factory.mktemp("modules")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", folder)
        patch.setattr(datasets.config, "HF_MODULES_CACHE", folder)
        patch.syspath_prepend(str(folder))
        yield


@pytest.fixture
def share(tmp_path, modules):
    """A metric of the evaluate library beside the task."""
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "share.py").write_text(SHARE)


ROWS = [
    {"q": "one", "answers": "abc"},
    {"q": "two", "answers": "de"},
    {"q": "three", "answers": "f"},
]
ANSWERS = [(Response(text="xyz"),), (Response(text="xy"),), (Response(text="long"),)]


def test_a_metric_of_the_evaluate_library_judges_the_corpus(scored, share, tmp_path):
    body = TEXT.format(family="mine", metrics="[{metric: evaluate/share, weight: 0.5}]")
    with pytest.raises(UsageError, match=f"'evaluate/share'.*--trust-functions {tmp_path}"):
        scored(body, ROWS, ANSWERS)
    _, samples, scores = scored(body, ROWS, ANSWERS, Trust((tmp_path,)))
    assert set(scores) == {"evaluate/share.share", "evaluate/share.longest"}
    score = scores["evaluate/share.share"]
    assert score.value == pytest.approx(0.5 * 2 / 3)
    assert (score.ci_low, score.aggregation) == (None, "custom")
    assert "no interval" in score.note
    assert scores["evaluate/share.longest"].value == 4
    assert len(samples) == 3


def test_a_metric_of_the_library_is_named_once(scored, share, tmp_path):
    twice = "[{metric: evaluate/share}, {metric: evaluate/share, aggregation: mean}]"
    body = TEXT.format(family="mine", metrics=twice)
    with pytest.raises(DataError, match="names the metric evaluate/share twice"):
        scored(body, ROWS, ANSWERS, Trust((tmp_path,)))


def test_judged_alone_it_is_averaged_with_an_interval(scored, share, tmp_path):
    metrics = "[{metric: evaluate/share, aggregation: mean, higher_is_better: true}]"
    _, _, scores = scored(
        TEXT.format(family="mine", metrics=metrics), ROWS, ANSWERS, Trust((tmp_path,))
    )
    score = scores["evaluate/share.share"]
    assert (score.value, score.n, score.interval) == (pytest.approx(2 / 3), 3, "wilson")
    assert scores["evaluate/share.longest"].value == pytest.approx((3 + 2 + 4) / 3)


def test_one_that_is_nowhere_is_one_sentence(scored, share, tmp_path, monkeypatch):
    body = TEXT.format(family="mine", metrics="[{metric: evaluate/nowhere_to_be_found}]")
    with pytest.raises(DataError, match=r"evaluate/nowhere_to_be_found, which cannot be loaded"):
        scored(body, ROWS, ANSWERS, Trust((tmp_path,)))


def test_a_script_in_the_mirror_is_found(tmp_path):
    script = tmp_path / "mirror" / "metrics" / "acme" / "own" / "own.py"
    script.parent.mkdir(parents=True)
    script.touch()
    assert script_folder("acme/own", tmp_path, tmp_path / "mirror") == script.parent
    assert script_folder("own", tmp_path, tmp_path / "mirror") is None
    beside = tmp_path / "acme" / "own" / "own.py"
    beside.parent.mkdir(parents=True)
    beside.touch()
    assert script_folder("acme/own", tmp_path, tmp_path / "mirror") == beside.parent
