"""Writes the golden figures beside this file, from published implementations and nothing of ours.

Run it where a metric is added or an implementation has changed, from the repository's root:
python -m tests.metrics.goldens.make
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
TEXT = (
    "the a an old red house river runs past over it's (well) mill , . x2 Ærø bridge town grinding "
    "grinds corn for winter and they were running quickly"
)
WORDS = TEXT.split()


def main() -> None:
    """Make every file."""
    makers: dict[str, Callable[[random.Random], list[dict[str, Any]]]] = {
        "sacrebleu": translations,
        "rouge_score": summaries,
        "scikit_learn": classes,
        "calibration": confidences,
        "squad": answers,
        "lm_eval": lm_eval_items,
    }
    for name, make in makers.items():
        cases = make(random.Random(name))
        text = json.dumps(cases, ensure_ascii=False, indent=None, separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(text.replace('},{"', '},\n{"') + "\n", "utf-8")
        print(f"{name}: {len(cases)} cases")


def sentence(draw: random.Random, low: int = 3, high: int = 14) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))


def noisy(draw: random.Random, text: str) -> str:
    kept = [word for word in text.split() if draw.random() > 0.25]
    if draw.random() < 0.4:
        draw.shuffle(kept)
    return " ".join([*kept, *draw.choices(WORDS, k=draw.randint(0, 3))])


def translations(draw: random.Random) -> list[dict[str, Any]]:
    """Corpora of sacrebleu, with one reference or two, with empty and wholly wrong lines."""
    import sacrebleu

    cases = []
    for number in range(14):
        references = [sentence(draw) for _ in range(draw.randint(1, 12))]
        texts = [noisy(draw, text) for text in references]
        if number % 3 == 0:
            texts[0] = ""
        streams = [references]
        if number % 4 == 1:
            streams.append([noisy(draw, text) for text in references])
        cases.append(
            {
                "texts": texts,
                "streams": streams,
                "bleu": sacrebleu.corpus_bleu(texts, streams).score,
                "chrf": sacrebleu.corpus_chrf(texts, streams).score,
                "chrf++": sacrebleu.corpus_chrf(texts, streams, word_order=2).score,
                "ter": sacrebleu.corpus_ter(texts, streams).score,
                "signature": str(_signed(texts, streams)),
            }
        )
    return cases


def _signed(texts: list[str], streams: list[list[str]]) -> Any:
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    metric.corpus_score(texts, streams)
    return metric.get_signature()


def summaries(draw: random.Random) -> list[dict[str, Any]]:
    """Summaries of one line and several, with inflected words that only a stemmer matches."""
    from rouge_score.rouge_scorer import RougeScorer

    kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    scorer = RougeScorer(kinds, use_stemmer=True)
    cases = []
    for number in range(14):
        lines = [sentence(draw) for _ in range(1 + number % 4)]
        reference = "\n".join(lines)
        text = "\n".join(noisy(draw, line) for line in lines)
        if number == 5:
            reference, text = "The mills grind running rivers.", "a mill grinds a run river"
        if number == 7:
            text = ""
        found = scorer.score(target=reference, prediction=text)
        cases.append(
            {"reference": reference, "text": text} | {kind: found[kind].fmeasure for kind in kinds}
        )
    return cases


def classes(draw: random.Random) -> list[dict[str, Any]]:
    """Two to eight classes, some never predicted, some that never occur."""
    from sklearn.metrics import f1_score, matthews_corrcoef, precision_score, recall_score

    cases = []
    for number in range(16):
        kinds = 2 + number % 7
        gold = [draw.randrange(kinds) for _ in range(draw.randint(2, 60))]
        predicted = [g if draw.random() < 0.6 else draw.randrange(kinds) for g in gold]
        if number == 3:
            predicted = [0] * len(gold)
        if number == 9:
            gold = [1] * len(gold)
        macro = {"average": "macro", "zero_division": 0.0}
        cases.append(
            {
                "gold": gold,
                "predicted": predicted,
                "precision_macro": precision_score(gold, predicted, **macro),
                "recall_macro": recall_score(gold, predicted, **macro),
                "f1_macro": f1_score(gold, predicted, **macro),
                "f1_micro": f1_score(gold, predicted, average="micro"),
                "mcc_classes": matthews_corrcoef(gold, predicted),
            }
        )
    return cases


def confidences(draw: random.Random) -> list[dict[str, Any]]:
    """Calibration error from scikit-learn's reliability curve, Brier score from its own."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss

    cases = []
    for number in range(10):
        rng = np.random.default_rng(number)
        kinds = 2 + number % 4
        table = rng.dirichlet(np.full(kinds, 0.5 + number / 4), draw.randint(5, 80))
        gold = rng.integers(0, kinds, len(table))
        best, confidence = table.argmax(axis=1), table.max(axis=1)
        right = (best == gold).astype(int)
        share, mean = calibration_curve(right, confidence, n_bins=10, pos_label=1)
        counts = np.histogram(confidence, np.linspace(0, 1, 11))[0]
        error = float((counts[counts > 0] * np.abs(share - mean)).sum() / len(gold))
        brier = brier_score_loss(gold, table, labels=list(range(kinds)), scale_by_half=False)
        cases.append(
            {
                "gold": gold.tolist(),
                "probabilities": table.tolist(),
                "ece": error,
                "brier_score": float(brier),
            }
        )
    return cases


def answers(draw: random.Random) -> list[dict[str, Any]]:
    """Answers scored by lm-eval's copy of SQuAD's evaluation script, version 1.1."""
    from lm_eval.tasks.qasper.metrics import f1_abstractive, normalize_answer

    pairs = [
        ("The Denver Broncos!", ["Denver Broncos", "the Broncos"]),
        ("", ["nothing"]),
        ("the", ["a", "an"]),
        ("", [""]),
        ("an apple a day", ["apple day"]),
        ("10,000 men", ["10000 men", "ten thousand"]),
        ("it's theirs", ["its theirs"]),
        ("—dash—", ["dash"]),
        ("A  b\tc", ["b c", "c b a"]),
        ("Ærø-bridge", ["ærøbridge"]),
    ]
    pairs += [
        (noisy(draw, first), [first, sentence(draw)])
        for first in (sentence(draw, 1, 6) for _ in range(10))
    ]
    return [
        {
            "text": text,
            "references": references,
            "exact_match": float(
                any(normalize_answer(r) == normalize_answer(text) for r in references)
            ),
            "f1": float(max(f1_abstractive([text], [r]) for r in references)),
        }
        for text, references in pairs
    ]


def lm_eval_items(draw: random.Random) -> list[dict[str, Any]]:
    """lm-eval's own aggregations of what its tasks return."""
    import lm_eval.api.metrics  # noqa: F401 - fills the registry
    from lm_eval.api.registry import get_aggregation

    numbers = [draw.gauss(-2, 1) for _ in range(40)]
    weighted = [(-20 * draw.random(), draw.randint(1, 30)) for _ in range(40)]
    two = [(draw.randint(0, 1), draw.randint(0, 1)) for _ in range(60)]
    table = np.random.default_rng(5).dirichlet(np.ones(4), 20).tolist()
    several = [(draw.randrange(4), row) for row in table]
    items: dict[str, list[Any]] = {
        "mean": numbers,
        "perplexity": numbers,
        "weighted_perplexity": weighted,
        "bits_per_byte": weighted,
        "f1": two,
        "matthews_corrcoef": two,
        "brier_score": several,
    }
    return [
        {"aggregation": name, "items": part, "value": float(get_aggregation(name)(part))}
        for name, whole in items.items()
        for part in (whole, whole[: len(whole) // 2])
    ]


if __name__ == "__main__":
    main()
