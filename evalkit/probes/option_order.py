"""Contamination of a benchmark: are its options preferred in the order they were published in?"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import ClassVar

from evalkit.errors import UsageError
from evalkit.probes.options_list import OptionsList, find_options
from evalkit.probes.wrapper import Wrapper
from evalkit.types import Document, Metric, Request, RequestKind, Response, Sample, digest

_ORDERS = 4


class OptionOrder(Wrapper):
    """`contamination/TASK`: the published order of a question's options against other orders.

    For tasks that list their options under letters. Where an author has laid the options out at
    random, a model that has not read the benchmark has no reason to prefer their order, and the
    expected `exact_preference` is 1/2 exactly (after Oren et al. 2023, "Proving test set
    contamination in black box language models", who permute documents). Where options are sorted,
    say by size, an honest model prefers that order too: compare with a model known to be clean.

    Metrics: `exact_preference`, the share of other orders less likely than the published one (ties
    count half); `exact_gap`, the log-likelihood of the published list less the others' mean, in
    nats a token.
    """

    prefix = "contamination"
    family = "contamination"
    metrics: ClassVar = {
        "exact_preference": Metric(higher_is_better=False),
        "exact_gap": Metric(higher_is_better=False, unit="nats/token"),
    }

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The task's documents: the published list of options first, then other orders.

        Raises:
            UsageError: The task lists no options.
        """
        documents = self.task.documents(limit, seed)
        found = [find_options(document.requests[0].context) for document in documents]
        asked = [
            replace(document, task=self.name, requests=_requests(document, options))
            for document, options in zip(documents, found, strict=True)
            if options is not None and len(set(options.texts)) > 2
        ]
        if not asked:
            raise UsageError(
                f"{self.name}: the prompts of {self.task.name} do not list options under letters."
            )
        return asked

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Compare the published order with the others."""
        return [
            Sample(document, answers, preference(answers))
            for document, answers in zip(documents, responses, strict=True)
        ]


def preference(answers: Sequence[Response]) -> dict[str, tuple[float, ...]]:
    """Statistics of the first of several texts that are as likely to have been written."""
    exact, *others = [answer.loglikelihood or 0.0 for answer in answers]
    beaten = [(exact > other) + (exact == other) / 2 for other in others]
    gap = exact - sum(others) / len(others)
    return {
        "exact_preference": (sum(beaten) / len(beaten),),
        "exact_gap": (gap / max(1, answers[0].output_tokens),),
    }


def _requests(document: Document, options: OptionsList) -> tuple[Request, ...]:
    places = list(range(len(options.texts)))
    random = Random(digest([document.doc_hash, "orders"]))  # noqa: S311
    orders = {tuple(places): options.block(places)}
    while len(orders) < _ORDERS + 1:
        order = tuple(random.sample(places, len(places)))
        orders.setdefault(order, options.block(order))
    before = "\n".join(options.before)
    lead, gap = (before, "\n") if before else ("", "")
    return tuple(Request(RequestKind.LOGLIKELIHOOD, lead, gap + block) for block in orders.values())
