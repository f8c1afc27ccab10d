"""A task's definition: its YAML told apart into what lm-eval computes and what evalkit adds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.registry.evaluate_metric import PREFIX
from evalkit.registry.families import added_metrics, family_of
from evalkit.registry.index import Entry
from evalkit.registry.own_metrics import OWN, OwnMetric, own_metrics
from evalkit.registry.trust import Trust, sandbox_templates
from evalkit.registry.yaml_file import read_yaml
from evalkit.types import digest

# Evalkit's only where a family adds them; a metric_list that names them means lm-eval's.
_SHARED = {"brier_score", "mcc", "bleu", "chrf", "ter"}


@dataclass(frozen=True, slots=True)
class Definition:
    """A task before its data is read.

    Attributes:
        file: The YAML file.
        config: What lm-eval is given.
        config_hash: Hash of the YAML, its includes and overrides, where data lies left out.
        own: evalkit's metrics, by name.
        foreign: Entries of `metric_list` that name metrics of the evaluate library.
    """

    name: str
    file: Path
    family: str
    config: dict[str, Any]
    config_hash: str
    own: Mapping[str, OwnMetric]
    foreign: tuple[Mapping[str, Any], ...]


def define(entry: Entry, overrides: Mapping[str, Any], trust: Trust) -> Definition:
    """Read the task file of an index entry.

    Raises:
        UsageError: It runs Python and was not named as one that may.
        DataError: It is malformed, or names metrics that do not exist.
    """
    if entry.path is None:
        raise DataError(f"Task {entry.name} has no YAML file.")
    trust.check_functions(entry.path)
    sandbox_templates()
    config = {**read_yaml(entry.path), **entry.overrides, **overrides, "task": entry.name}
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    source = {k: v for k, v in config.items() if k != "dataset_kwargs"}
    config_hash = digest(_without_functions(source))
    if not isinstance(config.get("metadata"), dict):
        config["metadata"] = {}
    trust.check_metrics(entry.path, config.get("metric_list"))
    family = family_in(config, entry)
    own, foreign = _split_metrics(config, family)
    return Definition(entry.name, entry.path, family, config, config_hash, own, foreign)


def family_in(config: Mapping[str, Any], entry: Entry) -> str:
    """The family that the YAML names, else the one of the table."""
    metadata = config.get("metadata")
    named = metadata.get("family") if isinstance(metadata, Mapping) else None
    output_type = str(config.get("output_type", "generate_until"))
    return str(named or entry.family or family_of(entry.name, output_type=output_type))


def is_own(name: object) -> bool:
    """Whether a name in a `metric_list` means a metric of evalkit's that lm-eval does not know."""
    return isinstance(name, str) and name in OWN and name not in _SHARED


def is_evaluate(name: object) -> bool:
    """Whether a name in a `metric_list` means a metric of the evaluate library."""
    return isinstance(name, str) and name.startswith(PREFIX)


def _split_metrics(
    config: dict[str, Any], family: str
) -> tuple[dict[str, OwnMetric], tuple[Mapping[str, Any], ...]]:
    """Take out of the config's `metric_list` what lm-eval does not compute.

    Raises:
        DataError: A metric does not judge the kind of answer that the task asks for.
    """
    output_type = str(config.get("output_type", "generate_until"))
    listed = config.get("metric_list")
    entries = [e for e in listed if isinstance(e, Mapping)] if isinstance(listed, list) else []
    named = [e.get("metric") for e in entries]
    ours = [str(name) for name in named if is_own(name)]
    foreign = tuple(e for e in entries if is_evaluate(e.get("metric")))
    found = own_metrics(ours, output_type)
    wrong = [name for name in ours if name not in found]
    if foreign and output_type not in ("generate_until", "multiple_choice"):
        wrong.append(str(foreign[0]["metric"]))
    if wrong:
        raise DataError(
            f"Task {config['task']} names the metric {wrong[0]}, which does not judge answers of "
            f"the type {output_type}."
        )
    if isinstance(listed, list):
        config["metric_list"] = [
            e for e in listed
            if not isinstance(e, Mapping)
            or not (is_own(e.get("metric")) or is_evaluate(e.get("metric")))
        ]  # fmt: skip
    if config.get("process_results") is None:
        added = [name for name in added_metrics(family) if name not in named]
        found.update(own_metrics(added, output_type))
    return found, foreign


def _without_functions(value: Any) -> Any:
    """The definition with functions named, so that its hash is the same in every process."""
    if isinstance(value, Mapping):
        return {str(k): _without_functions(v) for k, v in value.items()}
    if isinstance(value, partial):
        return [value.func.__qualname__, *map(_without_functions, (value.args, value.keywords))]
    if isinstance(value, str) or not isinstance(value, Iterable):
        return getattr(value, "__qualname__", value)
    return [_without_functions(v) for v in value]
