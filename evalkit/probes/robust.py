"""Robustness: does a small change of the prompt change the answer?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from evalkit.errors import UsageError
from evalkit.probes.options_list import find_options
from evalkit.probes.paired import paired_score
from evalkit.probes.perturb import PERTURBATIONS, perturbed
from evalkit.probes.wrapper import Wrapped, Wrapper
from evalkit.types import (
    Document,
    Metric,
    Request,
    RequestKind,
    Response,
    Sample,
    Score,
    digest,
)

ORDER = "order"


@dataclass(frozen=True, slots=True)
class Asked:
    """One way in which a document is asked.

    Attributes:
        requests: One an option.
        options: For each request the option of the document that it stands for.
    """

    requests: tuple[Request, ...]
    options: tuple[int, ...]


class Robust(Wrapper):
    """`robust/TASK`: a multiple-choice task asked as it is and under small changes.

    The changes: typos, case, spacing, prompt paraphrase, and, where the prompt lists its options
    under letters, their order. Metrics over documents: `consistency`, the share of changes under
    which the model keeps its answer; `change`, the mean over changes of the task's primary metric
    less its plain value, so that its interval is paired by document; and for each change
    `CHANGE_consistency`, `CHANGE_change` and the metric itself.
    """

    prefix = "robust"
    family = "robustness"

    def __init__(self, task: Wrapped) -> None:
        super().__init__(task)
        self._metrics = {"consistency": Metric(), "change": Metric()}
        self._asked: dict[int, dict[str, Asked]] = {}
        self._plain: dict[int, Document] = {}
        self._samples: list[Sample] = []

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Those of each change are named after the task's primary metric, known once scored."""
        return self._metrics

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The task's documents, each with the requests of every change behind its own.

        Raises:
            UsageError: The task is no multiple-choice task, or has no prompt to change.
        """
        documents = self.task.documents(limit, seed)
        self.require(documents, RequestKind.LOGLIKELIHOOD, "multiple-choice tasks")
        self._plain = {document.doc_id: document for document in documents}
        self._asked = {document.doc_id: _ways(document) for document in documents}
        if not any(self._asked.values()):
            raise UsageError(f"{self.name}: the prompts of {self.task.name} are empty.")
        return [
            replace(
                document,
                task=self.name,
                requests=(
                    *document.requests,
                    *(r for asked in self._asked[document.doc_id].values() for r in asked.requests),
                ),
            )
            for document in documents
        ]

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """The task's own scores of every change, and how they differ."""
        ways = [self._answers(d, r) for d, r in zip(documents, responses, strict=True)]
        plain = self._scored([(d.doc_id, way[""]) for d, way in zip(documents, ways, strict=True)])
        metric = self._metric(next(iter(plain.values())))
        changed = {
            name: self._scored(
                [(d.doc_id, w[name]) for d, w in zip(documents, ways, strict=True) if name in w]
            )
            for name in (*PERTURBATIONS, ORDER)
        }
        samples = []
        for document, answers in zip(documents, responses, strict=True):
            mine = {
                name: found[document.doc_id]
                for name, found in changed.items()
                if document.doc_id in found
            }
            own = plain[document.doc_id]
            statistics = _statistics(metric, own, mine)
            samples.append(Sample(document, answers, statistics, answer=own.answer))
        self._describe(metric)
        self._samples = samples
        return samples

    def refine(self, scores: list[Score]) -> list[Score]:
        """Give every change the interval of a comparison paired by document."""
        found = {score.metric: score for score in scores}
        metric = next((n.removeprefix("plain_") for n in found if n.startswith("plain_")), "")
        for name in (*PERTURBATIONS, ORDER):
            change = f"{name}_change"
            if change in found:
                found[change] = paired_score(
                    found[change], self._samples, f"plain_{metric}", f"{name}_{metric}"
                )
        return list(found.values())

    def _answers(
        self, document: Document, responses: tuple[Response, ...]
    ) -> dict[str, tuple[Response, ...]]:
        """Change ("" for none) -> the responses in the order of the document's options."""
        count = len(self._plain[document.doc_id].requests)
        found = {"": responses[:count]}
        rest = iter(responses[count:])
        for name, asked in self._asked[document.doc_id].items():
            by_option = {option: next(rest) for option in asked.options}
            found[name] = tuple(by_option[option] for option in range(count))
        return found

    def _scored(self, asked: list[tuple[int, tuple[Response, ...]]]) -> dict[int, Sample]:
        """The task's first sample of each document."""
        if not asked:
            return {}
        samples = self.task.score([self._plain[i] for i, _ in asked], [r for _, r in asked])
        return {sample.document.doc_id: sample for sample in reversed(samples)}

    def _metric(self, sample: Sample) -> str:
        known = self.task.metrics
        means = [
            name
            for name, numbers in sample.statistics.items()
            if known.get(name, Metric()).aggregation == "mean" and len(numbers) == 1
        ]
        if not means:
            raise UsageError(f"{self.name}: {self.task.name} has no metric that is a mean.")
        from evalkit.results.primary import primary_metric  # brings pandas with it

        return primary_metric([(name, sample.filter) for name in means])[0]

    def _describe(self, metric: str) -> None:
        plain = self.task.metrics.get(metric, Metric())
        names = ("", *PERTURBATIONS, ORDER)
        for name in names:
            self._metrics[_joined(name, "consistency")] = Metric()
            self._metrics[_joined(name, "change")] = plain
            self._metrics[_joined(name or "plain", metric)] = plain


def _ways(document: Document) -> dict[str, Asked]:
    """Every change that changes anything -> what is asked."""
    ways = {}
    places = tuple(range(len(document.requests)))
    for name, change in PERTURBATIONS.items():
        requests = tuple(
            replace(request, context=perturbed(request.context, change))
            for request in document.requests
        )
        if requests != document.requests:
            ways[name] = Asked(requests, places)
    reordered = _reordered(document)
    return ways if reordered is None else {**ways, ORDER: reordered}


def _reordered(document: Document) -> Asked | None:
    """The options under other letters; None where the prompt does not list them."""
    first, count = document.requests[0], len(document.requests)
    found = find_options(first.context)
    if (
        found is None
        or len(found.texts) != count
        or len({r.context for r in document.requests}) > 1
    ):
        return None
    order = list(range(count))
    random = Random(digest([document.doc_hash, ORDER]))  # noqa: S311
    while order == sorted(order):
        random.shuffle(order)
    context = found.prompt(order)
    requests = tuple(replace(request, context=context) for request in document.requests)
    answers = [request.continuation.strip() for request in document.requests]
    # Where the answers are letters, a letter now stands for the option that moved under it.
    if answers == [mark.strip(" (.):") for mark in found.marks]:
        return Asked(requests, tuple(order))
    return Asked(requests, tuple(range(count)))


def _statistics(
    metric: str, plain: Sample, changed: dict[str, Sample]
) -> dict[str, tuple[float, ...]]:
    own = plain.statistics[metric][0]
    kept = {name: float(sample.answer == plain.answer) for name, sample in changed.items()}
    values = {name: sample.statistics[metric][0] for name, sample in changed.items()}
    found: dict[str, tuple[float, ...]] = {}
    if changed:
        found["consistency"] = (sum(kept.values()) / len(kept),)
        found["change"] = (sum(values.values()) / len(values) - own,)
    found[_joined("plain", metric)] = (own,)
    for name, value in values.items():
        found[_joined(name, "consistency")] = (kept[name],)
        found[_joined(name, "change")] = (value - own,)
        found[_joined(name, metric)] = (value,)
    return found


def _joined(name: str, metric: str) -> str:
    return f"{name}_{metric}" if name else metric
