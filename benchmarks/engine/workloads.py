"""What both engines are asked: lm-eval instances, made once and sent to both."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from lm_eval.api.instance import Instance

from evalkit.engine.checkpoint import open_checkpoint
from evalkit.runner import make_plan
from evalkit.settings import RunSettings
from evalkit.types import RequestKind

SEED = 0
CONTEXT_WORDS, ANSWER_WORDS = 140, 8
PROMPT_WORDS = (20, 40, 80, 120)
NEW_TOKENS = 64


@dataclass(frozen=True)
class Workload:
    """Requests of one kind.

    Attributes:
        name: As in the report.
        floor: Times fewer CPU seconds than HFLM that are promised; None where the model's context
            cannot hold the prompts, so that there is nothing to share.
        instances: Grouped by document, in order.
    """

    name: str
    floor: float | None
    instances: list[Instance]

    @property
    def method(self) -> str:
        """The method of an lm-eval model that answers them."""
        return str(self.instances[0].request_type)

    def part(self, share: float) -> list[Instance]:
        """The first documents."""
        last = max(int(self.instances[-1].doc_id * share), 1)
        return [i for i in self.instances if i.doc_id < last]


@dataclass(frozen=True)
class Source:
    """Where requests come from.

    Attributes:
        model: A checkpoint for the planner.
        mirror: The data.
        scale: Times as many documents as a CPU is asked.
    """

    model: Path
    mirror: Path
    scale: int = 1

    def task(self, name: str, documents: int, num_fewshot: int | None = None) -> list[Instance]:
        """The requests of a stock task."""
        settings = RunSettings.checked(
            model=str(self.model),
            tasks=name,
            mirror=self.mirror,
            limit=self.scale * documents,
            num_fewshot=num_fewshot,
            store="memory://bench",
        )
        (planned,) = make_plan(settings).tasks
        return [
            _instance(request.kind, doc_id, index, (request.context, request.continuation))
            for doc_id, document in enumerate(planned.documents)
            for index, request in enumerate(document.requests)
        ]

    def tasks(self, names: Sequence[str], documents: int, num_fewshot: int) -> list[Instance]:
        """The requests of several stock tasks, so many documents of each."""
        made = [self.task(name, documents, num_fewshot) for name in names]
        for place, instances in enumerate(made):
            for instance in instances:
                instance.doc_id += place * self.scale * documents
        return [instance for instances in made for instance in instances]

    def words(self) -> list[str]:
        """Running text: the words of WikiText-2's test pages."""
        folder = self.mirror / "datasets/EleutherAI/wikitext_document_level/wikitext-2-raw-v1"
        pages = pq.read_table(folder / "test.parquet").column("page").to_pylist()
        return " ".join(pages).split()


def _instance(kind: str, doc_id: int, index: int, arguments: tuple[object, ...]) -> Instance:
    if kind == RequestKind.ROLLING:
        arguments = arguments[1:]
    made = Instance(str(kind), {}, arguments, index, ("benchmark", doc_id, 1))
    made.doc_id = doc_id
    return made


def arc_like(source: Source) -> list[Instance]:
    """Four answers of some ten tokens over contexts of some 180."""
    words, draw = source.words(), random.Random(SEED)  # noqa: S311
    instances = []
    for doc_id in range(12 * source.scale):
        start = draw.randrange(len(words) - CONTEXT_WORDS)
        context = " ".join(words[start : start + CONTEXT_WORDS])
        for index in range(4):
            place = draw.randrange(len(words) - ANSWER_WORDS)
            answer = " " + " ".join(words[place : place + ANSWER_WORDS])
            instances.append(_instance("loglikelihood", doc_id, index, (context, answer)))
    return instances


def generation(source: Source) -> list[Instance]:
    """64 greedy tokens from prompts of four lengths."""
    words, draw = source.words(), random.Random(SEED)  # noqa: S311
    settings = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False}
    instances = []
    for doc_id in range(32 * source.scale):
        length = PROMPT_WORDS[doc_id % len(PROMPT_WORDS)]
        start = draw.randrange(len(words) - length)
        prompt = " ".join(words[start : start + length])
        instances.append(_instance("generate_until", doc_id, 0, (prompt, settings)))
    return instances


# Subjects of MMLU; five examples of the last are longer than GPT-2's context.
_SHORT = ("mmlu_abstract_algebra", "mmlu_high_school_geography", "mmlu_world_religions")
_LONG = "mmlu_professional_medicine"

_WORKLOADS: dict[str, tuple[float, Callable[[Source], list[Instance]]]] = {
    "arc-like": (5.0, arc_like),
    "hellaswag": (5.0, lambda source: source.task("hellaswag", 48)),
    "one-letter": (4.0, lambda source: source.tasks([*_SHORT, _LONG], 12, 0)),
    "mmlu-5-shot": (20.0, lambda source: source.tasks(_SHORT, 50, 5)),
    "rolling": (1.5, lambda source: source.task("wikitext", 3)),
    "generation": (3.0, generation),
}
# Tokens of the longest prompt.
_NEEDED = {"mmlu-5-shot": 512}
NAMES: Sequence[str] = tuple(_WORKLOADS)


def make_workload(name: str, source: Source) -> Workload:
    """One workload by its name."""
    floor, make = _WORKLOADS[name]
    context = open_checkpoint(source.model).max_length or 0
    return Workload(name, floor if context >= _NEEDED.get(name, 0) else None, make(source))
