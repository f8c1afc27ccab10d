"""lm-eval tasks, run unchanged: documents, prompts, filters and metrics are lm-eval's own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.registry import AGGREGATION_REGISTRY

from evalkit.engine.instances import requests_of
from evalkit.errors import DataError, EvaluationError, UsageError, say
from evalkit.metrics.statistics import sample_statistics
from evalkit.registry import answers as given
from evalkit.registry.definition import Definition
from evalkit.registry.evaluate_metric import EvaluateMetric
from evalkit.registry.judge import CUSTOM, Case, Judge
from evalkit.registry.own_metrics import CHOICE, TEXT, Chosen, signatures
from evalkit.types import Document, Metric, RequestKind, Response, Sample, digest

# The default of `lm_eval.simple_evaluate`.
LM_EVAL_FEWSHOT_SEED = 1234
PER_TOKEN = "token_perplexity"  # noqa: S105


class YamlTask:
    """An lm-eval task in evalkit's terms; see `evalkit.registry.task.Task` for the attributes.

    Args:
        task: lm-eval's, with its data.
        definition: What it was made from.
        num_fewshot: Examples asked for; None for the task's own number.
        fewshot_seeding: `document` or `lm-eval`.
        foreign: Its metrics of the evaluate library.
    """

    def __init__(
        self,
        task: Any,
        definition: Definition,
        num_fewshot: int | None = None,
        fewshot_seeding: str = "document",
        foreign: Sequence[EvaluateMetric] = (),
    ) -> None:
        metadata = task.config.metadata if isinstance(task.config.metadata, dict) else {}
        self.name = definition.name
        self.family = definition.family
        self.version = None if metadata.get("version") is None else str(metadata["version"])
        self.source = str(definition.file)
        self.num_fewshot = _shots(task, num_fewshot)
        self.config_hash = definition.config_hash
        self.metrics: dict[str, Metric] = {}
        self.details: dict[str, str] = {}
        self.licence: str | None = None
        self.warnings: list[str] = []
        self._task = task
        self._judge = Judge(definition.own, foreign)
        self._fewshot_stream = fewshot_seeding == "lm-eval"
        self._cluster: str | None = metadata.get("cluster")
        self._category: str | None = metadata.get("category")
        self._instances: dict[int, list[Instance]] = {}
        self._targets: dict[int, Any] = {}
        self._golds: dict[int, int | None] = {}
        self._items: dict[tuple[str, str], list[Any]] = {}

    @property
    def size(self) -> int:
        """Documents in the evaluation split."""
        return len(self._task.eval_docs)

    @property
    def listed_metrics(self) -> dict[str, Metric]:
        """The metrics it will report as far as its definition tells, before anything is scored."""
        better = self._task.higher_is_better()
        found = {
            name: Metric(_aggregation_name(function), better.get(name))
            for name, function in self._task.aggregation().items()
        }
        if self._task.OUTPUT_TYPE == RequestKind.ROLLING:
            found[PER_TOKEN] = Metric("weighted_perplexity", False)
        return found | {k: v for k, v in self._judge.listed.items() if k not in found}

    def gold(self, doc_id: int) -> int | None:
        """Position of a document's right choice; None where there is not one, or none is wrong."""
        return self._golds.get(doc_id) if self._task.config.process_results is None else None

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The first `limit` documents with their requests.

        Few-shot examples are drawn for each document from a seed of its own, so that neither the
        limit nor the order of documents changes a prompt; or, where lm-eval's stream was asked for,
        one after the other from lm-eval's default seed.

        Raises:
            DataError: A template fails on a document.
            UsageError: The task asks for decoding the engine does not have.
        """
        made = []
        self._task.set_fewshot_seed(LM_EVAL_FEWSHOT_SEED)
        for doc_id, doc in self._task.doc_iterator(limit=limit):
            try:
                instances = self._instances_of(doc_id, doc, seed)
                made.append(self._document(doc_id, doc, instances, seed))
            except UsageError:
                raise
            except Exception as error:
                raise DataError(
                    f"Task {self.name} cannot be asked about its document {doc_id}: {say(error)}"
                ) from error
            self._instances[doc_id] = instances
        if not made:
            raise DataError(f"Task {self.name} has no documents.")
        self._warn_of_targets()
        self._rehearse(made[0])
        return made

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Filter the responses and compute each metric, lm-eval's with lm-eval's own code.

        Raises:
            EvaluationError: A metric fails on a document.
        """
        everything = []
        for document, answers in zip(documents, responses, strict=True):
            instances = self._instances[document.doc_id]
            given.hand_over(instances, answers)
            everything.extend(instances)
        self._task._instances = everything
        self._task.apply_filters()
        filters = everything[0].filtered_resps if everything else {}
        samples = [
            sample for name in filters for sample in self._samples(documents, responses, name)
        ]
        self.metrics.update({k: v for k, v in self._judge.metrics.items() if k not in self.metrics})
        self._sign()
        return samples

    def aggregate(self, metric: str, filter_name: str) -> float | None:
        """Value by the metric's own aggregation of everything that `score` kept."""
        if (metric, filter_name) in self._judge.values:
            return self._judge.values[metric, filter_name]
        function = self._task.aggregation()[metric]
        try:
            value = float(function(self._items[metric, filter_name]))
        except Exception as error:
            raise EvaluationError(
                f"Task {self.name} cannot aggregate its metric {metric}: {say(error)}"
            ) from error
        return value if np.isfinite(value) else None

    def _instances_of(self, doc_id: int, doc: Any, seed: int) -> list[Instance]:
        if not self._fewshot_stream:
            self._task.set_fewshot_seed(int(digest([seed, doc]), 16))
        context = self._task.fewshot_context(
            doc,
            num_fewshot=self.num_fewshot,
            system_instruction=None,
            apply_chat_template=False,
            fewshot_as_multiturn=False,
            chat_template=None,
            gen_prefix=self._task.doc_to_prefix(doc),
        )
        made = self._task.construct_requests(
            doc=doc,
            ctx=context,
            metadata=(self.name, doc_id, self._task.config.repeats or 1),
            apply_chat_template=False,
            chat_template=None,
        )
        instances = made if isinstance(made, list) else [made]
        return sorted(instances, key=lambda instance: instance.idx)

    def _document(self, doc_id: int, doc: Any, instances: list[Instance], seed: int) -> Document:
        content = dict(doc) if isinstance(doc, Mapping) else {"text": str(doc)}
        requests = [request for i in instances for request in requests_of(i, seed)]
        target = self._targets[doc_id] = given.wanted(self._task, doc)
        if self._task.OUTPUT_TYPE == CHOICE:
            self._golds[doc_id] = given.gold_choice(self._task, doc, target, len(instances))
        return Document(
            task=self.name,
            doc_id=doc_id,
            content=content,
            requests=tuple(requests),
            target=given.target_text(self._task, doc, target),
            choices=given.choices_of(instances),
            cluster=given.label(content, self._cluster),
            category=given.label(content, self._category),
        )

    def _rehearse(self, document: Document) -> None:
        """Find out whether metrics of the evaluate library take such answers at all."""
        case: Case | None = given.written(self._targets[document.doc_id], [document.target])
        gold = self._golds.get(document.doc_id)
        if self._task.OUTPUT_TYPE == CHOICE:
            place = 0 if gold is None or gold < 0 else gold
            right = tuple(float(n == place) for n in range(len(document.requests)))
            case = Chosen(place, right)
        if case is not None:
            try:
                self._judge.rehearse(case)
            except EvaluationError as error:
                raise DataError(str(error)) from error

    def _warn_of_targets(self) -> None:
        outside = sum(gold == given.OUTSIDE for gold in self._golds.values())
        if outside:
            self.warnings = [
                f"Task {self.name}: the target of {outside} of {len(self._golds)} documents is "
                "none of the choices; they count as wrong whatever the model says."
            ]

    def _samples(
        self,
        documents: Sequence[Document],
        responses: Sequence[tuple[Response, ...]],
        filter_name: str,
    ) -> list[Sample]:
        """Samples under one filter."""
        judged = [
            self._sample(document, answers, filter_name)
            for document, answers in zip(documents, responses, strict=True)
        ]
        cases = [case for _, case in judged if case is not None]
        together = dict.fromkeys(self._judge.together(cases, filter_name), ())
        return [
            replace(sample, statistics={**sample.statistics, **together}) if together else sample
            for sample, _ in judged
        ]

    def _sample(
        self, document: Document, answers: tuple[Response, ...], filter_name: str
    ) -> tuple[Sample, Case | None]:
        """The sample, and the case that metrics other than lm-eval's judge."""
        instances = self._instances[document.doc_id]
        filtered = [instance.filtered_resps[filter_name] for instance in instances]
        try:
            items = self._task.process_results(instances[0].doc, filtered)
        except Exception as error:
            raise EvaluationError(
                f"Task {self.name} cannot score its document {document.doc_id}: {say(error)}"
            ) from error
        statistics = {
            metric: self._statistics(metric, item, filter_name) for metric, item in items.items()
        }
        case = self._case(document, filtered)
        if case is not None:
            more = self._judge.alone(case)
            statistics |= {k: v for k, v in more.items() if k not in statistics}
        if document.requests[0].kind is RequestKind.ROLLING:
            statistics[PER_TOKEN] = given.per_token(answers)
            self.metrics[PER_TOKEN] = Metric("weighted_perplexity", False)
        answer = given.answer_of(document, filtered)
        return Sample(document, answers, statistics, filter_name, answer), case

    def _statistics(self, metric: str, item: Any, filter_name: str) -> tuple[float, ...]:
        """Statistics of one item; empty where the metric's aggregation is no function of sums."""
        self._items.setdefault((metric, filter_name), []).append(item)
        # As in lm-eval, a metric that names no aggregation is averaged.
        name = _aggregation_name(self._task.aggregation().get(metric, mean))
        statistics = sample_statistics(name, item)
        if statistics is None:
            name = CUSTOM
        known = self.metrics.get(metric)
        if known is None or (known.aggregation != CUSTOM and name == CUSTOM):
            better = self._task.higher_is_better().get(metric)
            self.metrics[metric] = Metric(name, better)
        return statistics or ()

    def _case(self, document: Document, filtered: list[Any]) -> Case | None:
        if self._task.OUTPUT_TYPE == CHOICE:
            gold = self._golds.get(document.doc_id)
            return given.chosen(gold, filtered, self._choices(filtered))
        if self._task.OUTPUT_TYPE == TEXT:
            return given.written(self._targets.get(document.doc_id), filtered)
        return None

    def _choices(self, filtered: list[Any]) -> int:
        """Number of choices; mutual information asks each once more, without the question."""
        twice = "acc_mutual_info" in getattr(self._task, "_metric_fn_list", {})
        return len(filtered) // 2 if twice else len(filtered)

    def _sign(self) -> None:
        numbers = {
            len(target) if isinstance(target, list | tuple) else 1
            for target in self._targets.values()
        }
        for name, text in signatures(self.metrics, numbers).items():
            self.details[f"signature of {name}"] = text


def _shots(task: Any, wanted: int | None) -> int:
    """Few-shot examples; a task that says 0 itself keeps 0, as in lm-eval."""
    configured = task.get_config("num_fewshot")
    if wanted is None or configured == 0:
        return int(configured or 0)
    return wanted


def _aggregation_name(function: Any) -> str:
    names = [name for name, known in AGGREGATION_REGISTRY.items() if known is function]
    return names[0] if names else CUSTOM
