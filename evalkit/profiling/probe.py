"""The requests of a profile: every setting in every round, so that drift falls on all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evalkit.engine.endpoint import is_endpoint
from evalkit.probes import Probe
from evalkit.probes.bounded import above_zero
from evalkit.probes.latency import latencies
from evalkit.profiling.settings import ProfileSettings
from evalkit.types import (
    Decoding,
    Document,
    Metric,
    Request,
    RequestKind,
    Response,
    Sample,
    Score,
    digest,
)

WARM_UP = "0"
"""The number of the round that is not scored, as the names of its batches end."""
LAPS = 3
"""Requests of a closed loop's batch, for each that is under way at a time."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One combination of what is varied.

    Attributes:
        prompt_tokens: Length of the prompts.
        batch_size: Requests of a batch.
        rate: Requests a second where they are sent at random moments (open loop), else None.
        at_once: Requests under way at a time where the next is sent when one is answered (closed
            loop), else 0.
    """

    prompt_tokens: int
    batch_size: int
    rate: float | None = None
    at_once: int = 0

    @property
    def is_batch(self) -> bool:
        """Whether its requests are computed side by side, from the first token to the last."""
        return self.rate is None and not self.at_once

    @property
    def name(self) -> str:
        """As it stands in the store's `filter` column."""
        varied = f"batch{self.batch_size}"
        if self.rate is not None:
            varied = f"rate{self.rate:g}"
        elif self.at_once:
            varied = f"concurrency{self.at_once}"
        return f"prompt{self.prompt_tokens}-{varied}"

    def starts(self, number: int, seed: int) -> list[float]:
        """Seconds after the start of a batch at which each of its requests is due."""
        if self.rate is None:
            return [0.0] * self.batch_size
        random = np.random.default_rng([seed, number])
        gaps = random.exponential(1 / self.rate, self.batch_size - 1)
        return [0.0, *np.cumsum(gaps).tolist()]


class Profile(Probe):
    """Times greedy generation under several settings.

    A round asks one batch of each setting, in turn; round 0 is the warm-up and never scored.

    Args:
        settings: What to vary.
        prompts: Gives a batch so many different texts of so many tokens.
        finish: Makes all scores from the samples' own.
    """

    name = "profile"
    family = "latency"
    source = __name__
    metrics: ClassVar = {
        "first_token_s": Metric(higher_is_better=False, unit="seconds"),
        "time_per_output_token_s": Metric(higher_is_better=False, unit="seconds"),
        "end_to_end_s": Metric(higher_is_better=False, unit="seconds"),
        "tokens_per_s": Metric(unit="tokens/s"),
    }

    def __init__(
        self,
        settings: ProfileSettings,
        prompts: Callable[[int, int], list[str]],
        finish: Callable[[list[Score]], list[Score]],
    ) -> None:
        self.settings = [
            setting
            for tokens in settings.prompt_tokens
            for setting in (
                *(_side_by_side(settings, tokens, size) for size in settings.batch_sizes),
                *(Setting(tokens, settings.arrivals, rate) for rate in settings.rates),
            )
        ]
        self._rounds = settings.repeats + 1
        self._new_tokens, self._seed = settings.new_tokens, settings.seed
        self._prompts, self._finish = prompts, finish
        self.config_hash = digest(
            [self.settings, settings.new_tokens, settings.repeats, settings.seed]
        )

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """One document a request that counts; those of the warm-up go before the first."""
        warm_up = [r for setting in self.settings for r in self._batch(setting, 0)]
        documents: list[Document] = []
        for number in range(1, self._rounds):
            for setting in self.settings:
                for place, request in enumerate(self._batch(setting, number)):
                    content = {"setting": setting.name, "round": number, "place": place}
                    asked = (request,) if documents else (*warm_up, request)
                    documents.append(
                        Document(
                            self.name,
                            len(documents),
                            content,
                            asked,
                            cluster=request.batch,
                            category=setting.name,
                        )
                    )
        return documents

    def _batch(self, setting: Setting, number: int) -> list[Request]:
        decoding = Decoding(max_new_tokens=self._new_tokens)
        name = f"{setting.name}-{number}"
        texts = self._prompts(setting.batch_size, setting.prompt_tokens)
        return [
            Request(
                RequestKind.TIMED,
                text,
                decoding=decoding,
                batch=name,
                start_s=start,
                at_once=setting.at_once,
            )
            for text, start in zip(texts, setting.starts(number, self._seed), strict=True)
        ]

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Latencies of each request, the setting standing where a filter does."""
        return [
            Sample(
                document,
                answers[-1:],
                latencies(answers[-1]),
                filter=str(document.category),
                answer=answers[-1].text or "",
            )
            for document, answers in zip(documents, responses, strict=True)
        ]

    def refine(self, scores: list[Score]) -> list[Score]:
        """Percentiles, rates and the machine's own figures beside the means."""
        return [above_zero(score) for score in self._finish(scores)]


def _side_by_side(settings: ProfileSettings, prompt_tokens: int, size: int) -> Setting:
    """A batch, or at an endpoint a closed loop of so many requests."""
    if is_endpoint(settings.model):
        return Setting(prompt_tokens, LAPS * size, at_once=size)
    return Setting(prompt_tokens, size)
