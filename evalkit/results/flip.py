"""The samples behind a difference: what one run got right and the other wrong."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import UsageError
from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results.comparison import Comparison
from evalkit.results.difference import Difference, sample_gains
from evalkit.results.primary import primary_metric
from evalkit.results.samples import sample_rows
from evalkit.results.store import Store


@dataclass(frozen=True, slots=True)
class Flip:
    """A pair of samples that two runs did differently.

    Attributes:
        outcome: "lost" where the candidate is worse, "won" where it is better.
        baseline_value: The metric on the baseline's sample alone.
        candidate_value: The metric on the candidate's sample alone.
        baseline_answer: The extracted answer, or else the generated text.
        candidate_answer: The same of the candidate.
    """

    task: str
    metric: str
    filter: str
    doc_id: int
    category: str | None
    outcome: str
    baseline_value: float
    candidate_value: float
    prompt: str
    target: str
    baseline_answer: str
    candidate_answer: str


def flips(
    comparison: Comparison, task: str | None = None, metric: str | None = None, limit: int = 20
) -> list[Flip]:
    """Samples the candidate lost or won, losses first, then by the size of the change.

    Args:
        comparison: Of the two runs.
        task: One task; all by default.
        metric: One metric; each task's primary one by default.
        limit: Most flips of each task; where there are more, half of them are losses.

    Raises:
        UsageError: The comparison has no such task or metric.
        DataError: The samples are damaged.
    """
    figures = [row for row in comparison.differences if task in (None, row.task)]
    if metric is not None:
        chosen = [row for row in figures if row.metric == metric]
    else:
        chosen = [_primary(comparison, name) for name in dict.fromkeys(r.task for r in figures)]
    if not chosen and (task or metric):
        wanted = " ".join(name for name in (task, metric) if name)
        raise UsageError(f"The comparison has no figure {wanted!r}.")
    return [flip for figure in chosen for flip in figure_flips(comparison, figure, limit)]


def figure_flips(comparison: Comparison, figure: Difference, limit: int = 20) -> list[Flip]:
    """Flips of one figure; see `flips`. Where there are too many, both ways have half of them."""
    pairs = comparison.metric_pairs(figure.task, figure.metric, figure.filter)
    if pairs is None:
        return []
    aggregation = AGGREGATIONS[comparison.aggregations[figure.task, figure.metric, figure.filter]]
    gains = sample_gains(pairs, aggregation, figure.higher_is_better)
    # Losses before wins, the largest change first, the document's number deciding ties.
    order = np.lexsort((pairs.rows["doc_id"], -np.abs(gains), gains > 0))
    lost, won = ([int(i) for i in order if sign * gains[i] > 0] for sign in (-1, 1))
    # What one way does not need of its half, the other may have.
    kept = min(len(lost), max(limit - limit // 2, limit - len(won)))
    chosen = [*lost[:kept], *won[: limit - kept]]
    values = aggregation.sample_values(pairs.baseline), aggregation.sample_values(pairs.candidate)
    old = _texts(
        comparison.baseline_store,
        comparison.baseline.run_id,
        figure,
        pairs.rows["doc_id"].iloc[chosen],
    )
    new = _texts(
        comparison.store,
        comparison.candidate.run_id,
        figure,
        pairs.rows["doc_id_candidate"].iloc[chosen],
    )
    return [
        Flip(
            task=figure.task,
            metric=figure.metric,
            filter=figure.filter,
            doc_id=int(row["doc_id"]),
            category=None if pd.isna(row["category"]) else str(row["category"]),
            outcome="won" if gains[i] > 0 else "lost",
            baseline_value=float(values[0][i]),
            candidate_value=float(values[1][i]),
            prompt=_text(old.loc[row["doc_id"], "prompt"]),
            target=_text(old.loc[row["doc_id"], "target"]),
            baseline_answer=_answer(old.loc[row["doc_id"]]),
            candidate_answer=_answer(new.loc[row["doc_id_candidate"]]),
        )
        for i, (_, row) in zip(chosen, pairs.rows.iloc[chosen].iterrows(), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class CategoryFlips:
    """How the samples of one category changed."""

    task: str
    metric: str
    category: str
    n: int
    won: int
    lost: int


def category_flips(comparison: Comparison) -> list[CategoryFlips]:
    """Won and lost samples of each task's primary metric by category, the largest loss first.

    Counts to look at, not to test: no p-value goes with them. Tasks without categories are absent.
    """
    found = []
    for task in dict.fromkeys(row.task for row in comparison.differences):
        figure = _primary(comparison, task)
        pairs = comparison.metric_pairs(figure.task, figure.metric, figure.filter)
        if pairs is None or pairs.rows["category"].isna().all():
            continue
        name = comparison.aggregations[figure.task, figure.metric, figure.filter]
        gains = sample_gains(pairs, AGGREGATIONS[name], figure.higher_is_better)
        signs = pd.Series(np.sign(gains), index=pairs.rows.index)
        rows = [
            CategoryFlips(task, figure.metric, str(category), len(of),
                          int((of > 0).sum()), int((of < 0).sum()))
            for category, of in signs.groupby(pairs.rows["category"])
        ]  # fmt: skip
        found += sorted(rows, key=lambda row: (row.won - row.lost) / row.n)
    return found


def _primary(comparison: Comparison, task: str) -> Difference:
    rows = [row for row in comparison.differences if row.task == task]
    metric, filter_ = primary_metric([(row.metric, row.filter) for row in rows])
    return next(row for row in rows if (row.metric, row.filter) == (metric, filter_))


def _texts(store: Store, run_id: str, figure: Difference, doc_ids: pd.Series) -> pd.DataFrame:
    ids = [int(doc_id) for doc_id in doc_ids]
    rows = sample_rows(store, run_id, figure.task, figure.filter, ids)
    return rows.drop_duplicates("doc_id").set_index("doc_id")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _answer(sample: pd.Series) -> str:
    responses = sample["responses"]
    generated = responses[0] if responses is not None and len(responses) else ""
    return _text(sample["answer"]) or _text(generated)
