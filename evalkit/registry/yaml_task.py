"""lm-eval tasks, run unchanged: documents, prompts, filters and metrics are lm-eval's own."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.registry import AGGREGATION_REGISTRY
from lm_eval.api.task import ConfigurableTask

from evalkit.engine.instances import answer_for, requests_of
from evalkit.errors import DataError, EvalkitError, EvaluationError, UsageError
from evalkit.metrics.statistics import sample_statistics
from evalkit.registry.data import localise
from evalkit.registry.index import Entry
from evalkit.registry.trust import Trust, sandbox_templates
from evalkit.registry.yaml_file import read_yaml
from evalkit.types import (
    Document,
    Metric,
    RequestKind,
    Response,
    Sample,
    digest,
)

CUSTOM = "custom"
# The default of `lm_eval.simple_evaluate`.
LM_EVAL_FEWSHOT_SEED = 1234
PER_TOKEN = "token_perplexity"  # noqa: S105
_FAMILIES = {
    "multiple_choice": "multiple_choice",
    "loglikelihood": "language_modelling",
    "loglikelihood_rolling": "language_modelling",
    "generate_until": "generation",
}


def load_yaml_task(
    entry: Entry,
    overrides: dict[str, Any],
    mirror: Path | None,
    num_fewshot: int | None,
    fewshot_seeding: str = "document",
    trust: Trust | None = None,
) -> "YamlTask":
    """Build the task of an index entry with its data.

    Raises:
        UsageError: It runs Python, or what a model wrote, and was not named as one that may.
        DataError: lm-eval refuses the definition, or the data cannot be read.
    """
    if entry.path is None:
        raise DataError(f"Task {entry.name} has no YAML file.")
    trust = trust or Trust()
    trust.check_functions(entry.path)
    sandbox_templates()
    config = {**read_yaml(entry.path), **overrides, "task": entry.name}
    trust.check_metrics(entry.path, config.get("metric_list"))
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    source = {k: v for k, v in config.items() if k != "dataset_kwargs"}
    if not isinstance(config.get("metadata"), dict):
        config["metadata"] = {}
    try:
        task = _build(localise(config, entry.path.parent, mirror))
    except EvalkitError:
        raise
    except ConnectionError as error:
        raise DataError(
            f"Task {entry.name} needs the data set {config.get('dataset_path')}, which could not "
            "be fetched; read it from a mirror with --mirror."
        ) from error
    except Exception as error:
        raise DataError(
            f"Task {entry.name} ({entry.path}) cannot be loaded: {_say(error)}"
        ) from error
    _refuse(task, entry.name, entry.path, trust)
    config_hash = digest(_without_functions(source))
    return YamlTask(task, entry, config_hash, num_fewshot, fewshot_seeding)


class YamlTask:
    """An lm-eval task in evalkit's terms; see `evalkit.registry.task.Task` for the attributes."""

    def __init__(
        self,
        task: Any,
        entry: Entry,
        config_hash: str,
        num_fewshot: int | None = None,
        fewshot_seeding: str = "document",
    ) -> None:
        metadata = task.config.metadata if isinstance(task.config.metadata, dict) else {}
        self.name = entry.name
        self.family = str(metadata.get("family") or _FAMILIES.get(task.OUTPUT_TYPE, "other"))
        self.version = None if metadata.get("version") is None else str(metadata["version"])
        self.source = str(entry.path)
        self.num_fewshot = _shots(task, num_fewshot)
        self.config_hash = config_hash
        self.metrics: dict[str, Metric] = {}
        self._task = task
        self._fewshot_stream = fewshot_seeding == "lm-eval"
        self._cluster: str | None = metadata.get("cluster")
        self._category: str | None = metadata.get("category")
        self._instances: dict[int, list[Instance]] = {}
        self._items: dict[tuple[str, str], list[Any]] = {}

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
                    f"Task {self.name} cannot be asked about its document {doc_id}: {_say(error)}"
                ) from error
            self._instances[doc_id] = instances
        if not made:
            raise DataError(f"Task {self.name} has no documents.")
        return made

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Filter the responses and compute each metric with lm-eval's own code.

        Raises:
            EvaluationError: A metric fails on a document.
        """
        everything = []
        for document, answers in zip(documents, responses, strict=True):
            instances = self._instances[document.doc_id]
            _hand_over(instances, answers)
            everything.extend(instances)
        self._task._instances = everything
        self._task.apply_filters()
        filters = everything[0].filtered_resps if everything else {}
        return [
            self._sample(document, answers, name)
            for name in filters
            for document, answers in zip(documents, responses, strict=True)
        ]

    def aggregate(self, metric: str, filter_name: str) -> float | None:
        """Value by lm-eval's own aggregation of the items that `score` kept."""
        function = self._task.aggregation()[metric]
        try:
            value = float(function(self._items[metric, filter_name]))
        except Exception as error:
            raise EvaluationError(
                f"Task {self.name} cannot aggregate its metric {metric}: {_say(error)}"
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
        return Document(
            task=self.name,
            doc_id=doc_id,
            content=content,
            requests=tuple(requests),
            target=_target(self._task, doc),
            choices=_choices(instances),
            cluster=_label(content, self._cluster),
            category=_label(content, self._category),
        )

    def _sample(
        self, document: Document, answers: tuple[Response, ...], filter_name: str
    ) -> Sample:
        instances = self._instances[document.doc_id]
        filtered = [instance.filtered_resps[filter_name] for instance in instances]
        try:
            items = self._task.process_results(instances[0].doc, filtered)
        except Exception as error:
            raise EvaluationError(
                f"Task {self.name} cannot score its document {document.doc_id}: {_say(error)}"
            ) from error
        statistics = {
            metric: self._statistics(metric, item, filter_name) for metric, item in items.items()
        }
        if document.requests[0].kind is RequestKind.ROLLING:
            statistics[PER_TOKEN] = _per_token(answers)
            self.metrics[PER_TOKEN] = Metric("weighted_perplexity", False)
        return Sample(document, answers, statistics, filter_name, _answer(document, filtered))

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


def _build(config: dict[str, Any]) -> Any:
    """lm-eval's own construction, with its chatter about defaults kept quiet."""
    level = logging.getLogger("lm_eval").level
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        if "class" not in config:
            return ConfigurableTask(config=config)
        cls = config["class"]
        return cls(config=config)
    finally:
        logging.getLogger("lm_eval").setLevel(level)


def _refuse(task: Any, name: str, file: Path, trust: Trust) -> None:
    known = getattr(task, "_metric_fn_list", {})
    unknown = [metric for metric, function in known.items() if function is None]
    if unknown and task.config.process_results is None:
        raise DataError(f"Task {name} names the metric {unknown[0]!r}, which does not exist.")
    if getattr(task, "UNSAFE_CODE", False) and not trust.allows_code(file):
        raise UsageError(
            f"Task {name} runs code that the model wrote; where that can do no harm, allow it with "
            f"--trust-code-execution {file}"
        )
    if getattr(task, "MULTIMODAL", False):
        raise UsageError(f"Task {name} shows images or sound; evalkit measures text models.")


def _shots(task: Any, wanted: int | None) -> int:
    """Few-shot examples; a task that says 0 itself keeps 0, as in lm-eval."""
    configured = task.get_config("num_fewshot")
    if wanted is None or configured == 0:
        return int(configured or 0)
    return wanted


def _hand_over(instances: list[Instance], answers: tuple[Response, ...]) -> None:
    """Give lm-eval's instances the responses in the shape its filters expect."""
    rest = iter(answers)
    for instance in instances:
        repeats = range(instance.repeats or 1)
        instance.resps = [answer_for(instance, next(rest)) for _ in repeats]
        instance.filtered_resps = {}


def _target(task: Any, doc: Any) -> str:
    try:
        target = task.doc_to_target(doc)
        if isinstance(target, int) and task.config.doc_to_choice is not None:
            target = task.doc_to_choice(doc)[target]
    except Exception:
        return ""  # some tasks score without a target; it is shown, never used
    return str(target)


def _choices(instances: list[Instance]) -> tuple[str, ...]:
    """What distinguishes the scored answers: their continuations, or else their contexts."""
    if len(instances) < 2 or instances[0].request_type != "loglikelihood":
        return ()
    contexts = [instance.args[0] for instance in instances]
    continuations = [instance.args[1] for instance in instances]
    return tuple(continuations if len(set(continuations)) > 1 else contexts)


def _answer(document: Document, filtered: list[Any]) -> str:
    if document.choices and all(isinstance(answer, tuple) for answer in filtered):
        best = int(np.argmax([answer[0] for answer in filtered]))
        return document.choices[best]
    if document.requests[0].kind is RequestKind.GENERATE:
        first = filtered[0]
        return str(first[0] if isinstance(first, list) and len(first) == 1 else first)
    return ""


def _per_token(answers: Sequence[Response]) -> tuple[float, ...]:
    """(log-likelihood in nats, tokens), which lm-eval's tasks cannot know."""
    loglikelihood = sum(answer.loglikelihood or 0.0 for answer in answers)
    return loglikelihood, float(sum(answer.output_tokens for answer in answers))


def _label(content: Mapping[str, Any], field: str | None) -> str | None:
    return None if field is None or content.get(field) is None else str(content[field])


def _aggregation_name(function: Any) -> str:
    names = [name for name, known in AGGREGATION_REGISTRY.items() if known is function]
    return names[0] if names else CUSTOM


def _without_functions(value: Any) -> Any:
    """The definition with functions named, so that its hash is the same in every process."""
    if isinstance(value, Mapping):
        return {str(k): _without_functions(v) for k, v in value.items()}
    if isinstance(value, partial):
        return [value.func.__qualname__, *map(_without_functions, (value.args, value.keywords))]
    if isinstance(value, str) or not isinstance(value, Iterable):
        return getattr(value, "__qualname__", value)
    return [_without_functions(v) for v in value]


def _say(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
