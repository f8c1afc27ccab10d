"""Which family each task is of, what a family adds, and how both are listed."""

import pytest

from evalkit.registry import Registry, families
from evalkit.registry.families import family_of
from evalkit.registry.own_metrics import OWN


@pytest.mark.parametrize(
    ("task", "family"),
    [
        ("sst2", "understanding"),
        ("mnli", "understanding"),
        ("cb", "understanding"),
        ("cola", "fluency"),
        ("blimp_adjunct_island", "fluency"),
        ("crows_pairs_english", "bias"),
        ("bbq", "bias"),
        ("winogender_all", "bias"),
        ("hellaswag", "multiple_choice"),
        ("boolq", "multiple_choice"),
        ("mmlu_abstract_algebra", "multiple_choice"),
        ("wikitext", "language_modelling"),
        ("lambada_openai", "language_modelling"),
        ("triviaqa", "question_answering"),
        ("wmt16-de-en", "translation"),
        ("cnn_dailymail_abisee", "summarisation"),
        ("gsm8k", "reasoning"),
        ("agieval_lsat_ar", "reasoning"),
        ("bbh_cot_fewshot_boolean_expressions", "reasoning"),
        ("truthfulqa_mc1", "factuality"),
        ("realtoxicityprompts", "toxicity"),
        ("micro_order", "fluency"),
    ],
)
def test_stock_tasks_have_the_family_of_the_table(task, family):
    assert Registry().find(task).family == family


def test_what_the_table_does_not_name_has_the_family_of_its_answers():
    assert family_of("made_up", "nowhere", "loglikelihood_rolling") == "language_modelling"
    assert family_of("made_up", "nowhere", None) == "other"


def test_the_table_is_in_order():
    for family in families().values():
        assert family.about.endswith(".")
        assert set(family.adds) <= set(OWN)


def test_a_table_of_families_counts_their_tasks(evalkit_command):
    done = evalkit_command("ls", "families", "[tu]*")
    rows = [line.split("|") for line in done.out.splitlines() if line.startswith("|")]
    found = {row[1].strip(): (row[4].strip(), row[5].strip()) for row in rows[2:]}
    assert list(found) == ["understanding", "translation", "toxicity"]
    ours, stock = found["understanding"]
    assert int(ours) >= 1
    assert int(stock.replace(",", "")) > 50


def test_tasks_are_listed_by_pattern_and_family(evalkit_command):
    own = evalkit_command("ls", "tasks")
    assert "micro_reviews" in own.out
    assert "hellaswag" not in own.out
    assert "hellaswag" in evalkit_command("ls", "tasks", "hella*").out
    done = evalkit_command("ls", "tasks", "*", "--family", "transl*")
    assert "wmt16-de-en" in done.out
    assert "micro_tolvan" in done.out
    assert "hellaswag" not in done.out
    assert "No tasks fit" in evalkit_command("ls", "tasks", "nothing_of_the_kind").err


def test_suites_are_listed_and_shown(evalkit_command):
    assert "commonsense" in evalkit_command("ls", "suites").out
    assert "mmlu_stem" in evalkit_command("ls", "suites", "mmlu_st*").out
    shown = evalkit_command("show", "generation")
    assert shown.code == 0
    assert "a suite of 5 tasks" in shown.out
    assert "dialogsum" in shown.out


@pytest.mark.parametrize("name", ["language", "commonsense", "knowledge", "generation", "safety",
                                  "all-offline", "demo", "smoke"])  # fmt: skip
def test_every_suite_resolves(name):
    assert len(Registry().select([name]).leaves) > 2
