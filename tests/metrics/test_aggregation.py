"""Sums of statistics give what lm-eval's own aggregations give on the same items."""

import random

import lm_eval.api.metrics  # noqa: F401  (registers the aggregations)
import numpy as np
import pytest
import sacrebleu
from lm_eval.api.registry import AGGREGATION_REGISTRY, get_aggregation
from sacrebleu.metrics import BLEU
from sklearn.metrics import f1_score, matthews_corrcoef

from evalkit.metrics import AGGREGATIONS, sample_statistics

WORDS = [
    "the",
    "a",
    "red",
    "blue",
    "old",
    "house",
    "runs",
    "past",
    ".",
    ",",
    "it's",
    "(well)",
    "x2",
    "Ærø",
]
RANDOM = random.Random(7)


def sentence(low: int = 0, high: int = 12) -> str:
    return " ".join(RANDOM.choices(WORDS, k=RANDOM.randint(low, high)))


def noisy(text: str) -> str:
    return " ".join(word for word in text.split() if RANDOM.random() > 0.2) + RANDOM.choice(
        ["", " end"]
    )


TEXTS = [(reference, noisy(reference)) for reference in (sentence() for _ in range(80))]
TEXTS += [("", ""), ("one", ""), ("", "one"), ("a b", "c d")]
CLASSES = [(RANDOM.randint(0, 1), RANDOM.randint(0, 1)) for _ in range(200)]
NUMBERS = [RANDOM.gauss(-2, 1) for _ in range(100)]
WEIGHTED = [(-20 * RANDOM.random(), RANDOM.randint(1, 30)) for _ in range(100)]
PROBABILITIES = [
    (RANDOM.randint(0, 3), np.random.default_rng(i).dirichlet(np.ones(4))) for i in range(50)
]

# Ours; the goldens hold them to scikit-learn.
OWN = {"ece", "precision_macro", "recall_macro", "f1_macro", "f1_micro", "mcc_classes"}
CLASSES_OF_FIVE = [(RANDOM.randrange(5), RANDOM.randrange(5)) for _ in range(100)]

ITEMS = {
    "mean": NUMBERS,
    "nanmean": [*NUMBERS, float("nan"), float("nan")],
    "brier_score": PROBABILITIES,
    "perplexity": NUMBERS,
    "weighted_perplexity": WEIGHTED,
    "bits_per_byte": WEIGHTED,
    "f1": CLASSES,
    "matthews_corrcoef": CLASSES,
    "bleu": TEXTS,
    "chrf": TEXTS,
    "chrf++": TEXTS,
    "ter": TEXTS,
    "ece": PROBABILITIES,
    **dict.fromkeys(sorted(OWN - {"ece"}), CLASSES_OF_FIVE),
}


def value(aggregation: str, items: list) -> float:
    rows = np.array([sample_statistics(aggregation, item) for item in items])
    return float(AGGREGATIONS[aggregation].value(rows.sum(axis=0), np.array(len(rows))))


def test_covers_every_aggregation_of_lm_eval_that_sums() -> None:
    assert set(AGGREGATIONS) - OWN == set(AGGREGATION_REGISTRY) - {"median", "bypass"}
    assert set(ITEMS) == set(AGGREGATIONS)


@pytest.mark.parametrize("aggregation", sorted(set(ITEMS) - OWN))
def test_agrees_with_lm_eval(aggregation: str) -> None:
    items = ITEMS[aggregation]
    assert value(aggregation, items) == pytest.approx(get_aggregation(aggregation)(items), rel=1e-9)


@pytest.mark.parametrize("aggregation", ITEMS)
def test_size_is_the_number_of_statistics(aggregation: str) -> None:
    assert (
        len(sample_statistics(aggregation, ITEMS[aggregation][0])) == AGGREGATIONS[aggregation].size
    )


@pytest.mark.parametrize("aggregation", ITEMS)
def test_no_samples_have_no_value(aggregation: str) -> None:
    sums = np.zeros(AGGREGATIONS[aggregation].size)
    assert np.isnan(AGGREGATIONS[aggregation].value(sums, np.array(0)))


@pytest.mark.parametrize("aggregation", ITEMS)
def test_many_resamples_at_once_equal_one_at_a_time(aggregation: str) -> None:
    rows = np.array([sample_statistics(aggregation, item) for item in ITEMS[aggregation]])
    counts = np.random.default_rng(1).multinomial(
        len(rows), np.full(len(rows), 1 / len(rows)), (3, 5)
    )
    together = AGGREGATIONS[aggregation].value(counts @ rows, np.full((3, 5), len(rows)))
    assert together.shape == (3, 5)
    resample = [
        item for item, c in zip(ITEMS[aggregation], counts[2, 4], strict=True) for _ in range(c)
    ]
    assert together[2, 4] == pytest.approx(value(aggregation, resample), rel=1e-9)


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS[:1],
        TEXTS[:2],
        [("a b c d", "a b c d")],
        [("a b c d e", "a b")],
        [("a b c d", "x y z w")],
        [("a b c d e f", "b a c e d f")],
        [("one two", "one two")],
    ],
)
def test_bleu_of_short_corpora_equals_sacrebleu(texts: list) -> None:
    references, predictions = [r for r, _ in texts], [p for _, p in texts]
    expected = sacrebleu.corpus_bleu(predictions, [references], force=True).score
    assert value("bleu", texts) == pytest.approx(expected, rel=1e-9)


def test_bleu_from_sums_equals_sacrebleu_on_random_counts() -> None:
    rng = np.random.default_rng(3)
    total = np.sort(rng.integers(0, 12, (400, 4)))[:, ::-1]
    correct = rng.binomial(total, 0.4)
    lengths = np.column_stack([total[:, 0], rng.integers(0, 14, 400)])
    sums = np.column_stack([lengths, correct, total])
    scores = AGGREGATIONS["bleu"].value(sums, np.ones(400))
    for row, score in zip(sums.tolist(), scores, strict=True):
        expected = BLEU.compute_bleu(row[2:6], row[6:], row[0], row[1], smooth_method="exp").score
        assert score == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("name", "corpus"), [("bleu", "bleu"), ("chrf", "chrf"), ("ter", "ter")])
def test_several_references_equal_sacrebleu(name: str, corpus: str) -> None:
    items = [([reference, sentence(3)], noisy(reference)) for reference, _ in TEXTS[:40]]
    streams = [[references[k] for references, _ in items] for k in (0, 1)]
    expected = getattr(sacrebleu, f"corpus_{corpus}")([text for _, text in items], streams).score
    assert value(name, items) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("gold", "predicted"), [(0, 0), (1, 1), (1, 0), (0, 1)])
@pytest.mark.filterwarnings("ignore:A single label")
def test_degenerate_classes_follow_scikit_learn_where_it_is_defined(
    gold: int, predicted: int
) -> None:
    items = [(gold, predicted)] * 5
    columns = [gold] * 5, [predicted] * 5
    assert value("matthews_corrcoef", items) == matthews_corrcoef(*columns) == 0.0
    if gold or predicted:
        assert value("f1", items) == f1_score(*columns)
    else:
        assert np.isnan(value("f1", items))


@pytest.mark.parametrize(
    ("aggregation", "item"),
    [
        ("f1_macro", (9, 1)),
        ("ece", (0, [float("nan"), 0.5])),
        ("median", 1.0),
        ("a task's own", 1.0),
        ("mean", (0, [1.0, 2.0])),
        ("mean", None),
        ("f1", (2, 1)),
        ("brier_score", (-100, [0.5, 0.5])),
        ("bleu", 1.0),
        ("bleu", ([], "text")),
        ("ter", ("text", ["one", "two"])),
    ],
)
def test_what_is_no_sum_has_no_statistics(aggregation: str, item: object) -> None:
    assert sample_statistics(aggregation, item) is None


def test_lm_evals_nesting_of_texts_is_understood() -> None:
    plain = sample_statistics("bleu", ("a b c", "a b d"))
    assert sample_statistics("bleu", [["a b c"], ["a b d"]]) == plain


def test_bits_per_byte_of_a_fair_coin_is_one_bit() -> None:
    assert value("bits_per_byte", [(-8 * np.log(2), 8)] * 3) == pytest.approx(1.0)


def test_overflowing_perplexity_is_infinite_and_silent() -> None:
    assert value("perplexity", [-1e6]) == float("inf")


def test_a_sample_alone_has_the_value_of_a_corpus_of_one() -> None:
    rows = np.array([sample_statistics("bits_per_byte", item) for item in WEIGHTED])
    alone = AGGREGATIONS["bits_per_byte"].sample_values(rows)
    assert alone[3] == pytest.approx(value("bits_per_byte", WEIGHTED[3:4]))


def test_a_classified_sample_alone_is_right_or_wrong() -> None:
    items = [(1, 1), (0, 1), (1, 0), (0, 0)]
    rows = np.array([sample_statistics("f1", item) for item in items])
    assert AGGREGATIONS["f1"].sample_values(rows).tolist() == [1, 0, 0, 1]


def test_a_sample_of_several_classes_alone_is_right_or_wrong() -> None:
    items = [(3, 3), (0, 1), (-100, 2), (0, 0)]
    for name in sorted(OWN - {"ece"}):
        rows = np.array([sample_statistics(name, item) for item in items])
        assert AGGREGATIONS[name].sample_values(rows).tolist() == [1, 0, 0, 1]


def test_an_answer_outside_the_choices_is_a_class_of_its_own() -> None:
    items = [(0, 0), (1, 1), (-100, 1), (-100, 0)]
    columns = [gold for gold, _ in items], [predicted for _, predicted in items]
    assert value("f1_macro", items) == pytest.approx(f1_score(*columns, average="macro"))
    assert value("mcc_classes", items) == pytest.approx(matthews_corrcoef(*columns))
