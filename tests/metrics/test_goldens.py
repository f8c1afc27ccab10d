"""Metrics against published implementations, by the figures in `goldens/` (see `make.py` there)."""

import json
from pathlib import Path

import numpy as np
import pytest

from evalkit.metrics import AGGREGATIONS, sample_statistics
from evalkit.metrics.rouge import KINDS, rouge
from evalkit.metrics.signature import signature
from evalkit.metrics.squad import exact_match, token_f1

FOLDER = Path(__file__).parent / "goldens"
CLASSES = ("precision_macro", "recall_macro", "f1_macro", "f1_micro", "mcc_classes")


def cases(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def close(value):
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def total(aggregation, items):
    rows = np.array([sample_statistics(aggregation, item) for item in items])
    return float(AGGREGATIONS[aggregation].value(rows.sum(axis=0), np.array(len(rows))))


def test_there_are_fifty_cases_or_more():
    assert sum(len(cases(file.stem)) for file in FOLDER.glob("*.json")) >= 50


@pytest.mark.parametrize("case", cases("sacrebleu"))
@pytest.mark.parametrize("metric", ["bleu", "chrf", "chrf++", "ter"])
def test_translation_is_sacrebleus(metric, case):
    items = [
        (list(references), text)
        for text, references in zip(case["texts"], zip(*case["streams"], strict=True), strict=True)
    ]
    assert total(metric, items) == close(case[metric])
    if metric == "chrf":
        assert signature("chrf", len(case["streams"])) == case["signature"]


@pytest.mark.parametrize("case", cases("rouge_score"))
def test_summaries_are_rouge_scores(case):
    found = rouge(case["text"], [case["reference"]])
    assert found == close({kind: case[kind] for kind in KINDS})
    assert rouge(case["text"], ["another thing", case["reference"]])["rouge1"] >= found["rouge1"]


@pytest.mark.parametrize("case", cases("scikit_learn"))
@pytest.mark.parametrize("metric", CLASSES)
def test_classes_are_scikit_learns(metric, case):
    items = list(zip(case["gold"], case["predicted"], strict=True))
    assert total(metric, items) == close(case[metric])


@pytest.mark.parametrize("case", cases("calibration"))
@pytest.mark.parametrize("metric", ["ece", "brier_score"])
def test_calibration_is_scikit_learns(metric, case):
    items = list(zip(case["gold"], case["probabilities"], strict=True))
    assert total(metric, items) == close(case[metric])


@pytest.mark.parametrize("case", cases("squad"))
def test_answers_are_scored_by_squads_rules(case):
    assert exact_match(case["text"], case["references"]) == close(case["exact_match"])
    assert token_f1(case["text"], case["references"]) == close(case["f1"])


@pytest.mark.parametrize("case", cases("lm_eval"))
def test_sums_give_lm_evals_values(case):
    assert total(case["aggregation"], case["items"]) == close(case["value"])
