"""From a definition and its data to a task that can be asked."""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.task import ConfigurableTask

from evalkit.errors import DataError, EvalkitError, UsageError, say
from evalkit.registry.data import dataset_record, lacking, localise
from evalkit.registry.definition import Definition, define
from evalkit.registry.evaluate_metric import EvaluateMetric
from evalkit.registry.index import Entry
from evalkit.registry.licence import licence_of
from evalkit.registry.trust import Trust
from evalkit.registry.yaml_task import YamlTask

_NO_CONFIGURATION = re.compile(
    r"BuilderConfig .* not found|At least one valid data file|doesn't contain (any )?data files"
)
"""What the `datasets` library says of a folder without the files of a configuration."""


def load_yaml_task(
    entry: Entry,
    overrides: Mapping[str, Any],
    mirror: Path | None,
    num_fewshot: int | None,
    fewshot_seeding: str = "document",
    trust: Trust | None = None,
) -> YamlTask:
    """Build the task of an index entry with its data.

    Raises:
        UsageError: It runs Python, or what a model wrote, and was not named as one that may.
        DataError: lm-eval refuses the definition, or the data cannot be read.
    """
    trust = trust or Trust()
    definition = define(entry, overrides, trust)
    task = _with_data(definition, mirror, build)
    _refuse(task, definition, trust)
    labels = [str(settings.get("metric")) for settings in definition.foreign]
    twice = [label for place, label in enumerate(labels) if label in labels[:place]]
    if twice:
        raise DataError(
            f"Task {definition.name} names the metric {twice[0]} twice; judge the corpus at once "
            "or each sample alone, by one entry."
        )
    foreign = [
        EvaluateMetric(settings, definition.name, definition.file.parent, mirror)
        for settings in definition.foreign
    ]
    made = YamlTask(task, definition, num_fewshot, fewshot_seeding, foreign)
    made.details.update(dataset_record(definition.config, mirror))
    made.licence = licence_of(definition.config, mirror)
    return made


def data_columns(
    entry: Entry, overrides: Mapping[str, Any], mirror: Path | None, trust: Trust
) -> dict[str, list[str]] | None:
    """Fields of the documents by split, as the data has them; None where a class brings its own.

    Raises:
        UsageError: The task runs Python and was not named as one that may.
        DataError: The definition is wrong, or the data cannot be read.
    """
    definition = define(entry, overrides, trust)
    if "class" in definition.config or "custom_dataset" in definition.config:
        return None
    splits = _with_data(definition, mirror, _load_data)
    return {str(split): list(rows.column_names) for split, rows in splits.items()}


def _load_data(config: dict[str, Any]) -> Any:
    from datasets import load_dataset

    settings = dict(config.get("dataset_kwargs") or {})
    settings.pop("trust_remote_code", None)
    return load_dataset(config["dataset_path"], config.get("dataset_name"), **settings)


def _with_data(
    definition: Definition, mirror: Path | None, make: Callable[[dict[str, Any]], Any]
) -> Any:
    config = found = definition.config
    try:
        found = localise(config, definition.file.parent, mirror)
        return make(found)
    except EvalkitError:
        raise
    except ConnectionError as error:
        raise DataError(
            f"Task {definition.name} needs the data set {config.get('dataset_path')}, which could "
            "not be fetched; read it from a mirror with --mirror."
        ) from error
    except Exception as error:
        path, name = config.get("dataset_path"), config.get("dataset_name")
        is_mirrored = found.get("dataset_path") != path
        if mirror is not None and is_mirrored and _NO_CONFIGURATION.search(str(error)):
            data = f"{path} ({name})" if name else str(path)
            raise lacking(definition.name, data, mirror) from error
        raise DataError(
            f"Task {definition.name} ({definition.file}) cannot be loaded: {say(error)}"
        ) from error


def build(config: dict[str, Any]) -> Any:
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


def _refuse(task: Any, definition: Definition, trust: Trust) -> None:
    name, file = definition.name, definition.file
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
