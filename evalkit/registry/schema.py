"""What a task file may say: lm-eval's schema, checked key by key, with the line of each mistake."""

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from evalkit.registry.definition import is_evaluate, is_own
from evalkit.registry.located import Function, Mistake, Node
from evalkit.registry.own_metrics import OWN

OUTPUTS = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")
TEMPLATES = ("description", "doc_to_text", "doc_to_target", "doc_to_choice", "gen_prefix")
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")

_ANY_TEXT = ["acc_all", "bypass", "chrf", "chrf++", "exact_match", "bleu", "ter"]
# What lm-eval computes for each kind of answer; other names it passes over in silence.
_COMPUTED = {
    "multiple_choice": {
        "acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "f1", "mcc",
        "brier_score", "likelihood", "bypass",
    },
    "loglikelihood": {"acc", "perplexity", "bypass"},
    "loglikelihood_rolling": {"word_perplexity", "byte_perplexity", "bits_per_byte", "bypass"},
    "generate_until": set(_ANY_TEXT),
}  # fmt: skip
_KINDS: dict[str, tuple[type, ...]] = {
    "task": (str,),
    "tag": (str, list),
    "dataset_path": (str,),
    "dataset_name": (str,),
    "dataset_kwargs": (dict,),
    **dict.fromkeys(SPLITS, (str,)),
    "doc_to_text": (str, int, Function),
    "doc_to_target": (str, int, list, Function),
    "doc_to_choice": (str, list, dict, Function),
    "process_docs": (Function,),
    "process_results": (Function, str),
    "description": (str,),
    "target_delimiter": (str,),
    "fewshot_delimiter": (str,),
    "fewshot_config": (dict,),
    "num_fewshot": (int,),
    "repeats": (int,),
    "metric_list": (list,),
    "filter_list": (list,),
    "generation_kwargs": (dict,),
    "metadata": (dict,),
    "output_type": (str,),
}
_WORDS = {
    str: "text", list: "a list", dict: "a mapping", int: "a whole number", Function: "!function",
}  # fmt: skip

Keys = Mapping[str, Node]


def check_task(keys: Keys, top: Node) -> Iterator[Mistake]:
    """Every mistake of a task that can be seen without its data.

    Args:
        keys: The task's keys, its includes merged in.
        top: The file itself, for what is missing.
    """
    if "class" not in keys:  # a class may have keys of its own
        yield from _check_names(keys)
    yield from _check_kinds(keys)
    yield from _check_presence(keys, top)
    if "class" not in keys:
        yield from _check_metrics(keys)
        yield from _check_filters(keys)
        yield from check_templates(keys)
    yield from check_functions(keys)


def nearest(name: str, known: list[str]) -> str:
    """A hint at what may have been meant."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _at(node: Node, message: str) -> Mistake:
    return Mistake(node.file, node.line, message)


def _check_names(keys: Keys) -> Iterator[Mistake]:
    from lm_eval.config.task import TaskConfig

    known = [f.name for f in fields(TaskConfig)] + ["include", "class", "group", "task_list"]
    for name, node in keys.items():
        if name not in known:
            yield _at(node, f"no task has the key {name!r}{nearest(name, known)}")


def _check_kinds(keys: Keys) -> Iterator[Mistake]:
    for name, kinds in _KINDS.items():
        node = keys.get(name)
        if node is None or node.value is None:
            continue
        wrong_bool = isinstance(node.value, bool) and bool not in kinds
        if not isinstance(node.value, kinds) or wrong_bool:
            wanted = " or ".join(_WORDS[kind] for kind in kinds)
            yield _at(node, f"{name} has to be {wanted}")
    for name, least in (("num_fewshot", 0), ("repeats", 1)):
        node = keys.get(name)
        if node is not None and isinstance(node.value, int) and node.value < least:
            yield _at(node, f"{name} is at least {least}")
    settings = keys.get("generation_kwargs")
    node = settings.items.get("max_gen_toks") if settings is not None else None
    if node is not None and not (isinstance(node.value, int) and node.value >= 1):
        yield _at(node, "max_gen_toks is a whole number, at least 1")
    node = keys.get("output_type")
    if node is not None and isinstance(node.value, str) and node.value not in OUTPUTS:
        hint = nearest(node.value, list(OUTPUTS))
        yield _at(node, f"output_type is one of {', '.join(OUTPUTS)}{hint}")


def output_of(keys: Keys) -> str:
    """The kind of answer, lm-eval's default where none is named."""
    node = keys.get("output_type")
    return str(node.value) if node is not None and node.value else "generate_until"


def _check_presence(keys: Keys, top: Node) -> Iterator[Mistake]:
    def lacks(*names: str) -> bool:
        return all(keys.get(name) is None or keys[name].value is None for name in names)

    if "class" in keys:
        return
    if lacks("dataset_path", "custom_dataset"):
        yield _at(top, "it names no data: dataset_path is missing")
    if lacks("test_split", "validation_split"):
        yield _at(top, "it names no split to ask: test_split or validation_split is missing")
    if lacks("doc_to_text"):
        yield _at(top, "doc_to_text is missing")
    if lacks("doc_to_target"):
        yield _at(top, "doc_to_target is missing")
    if output_of(keys) == "multiple_choice" and lacks("doc_to_choice"):
        yield _at(top, "a multiple_choice task needs doc_to_choice")


def _check_metrics(keys: Keys) -> Iterator[Mistake]:
    from lm_eval.api.metrics import mean  # noqa: F401 - fills the registries
    from lm_eval.api.registry import AGGREGATION_REGISTRY, metric_registry

    listed = keys.get("metric_list")
    output, results = output_of(keys), keys.get("process_results")
    computed = _COMPUTED.get(output, set()) if results is None else None
    known = sorted({*metric_registry, *OWN})
    for entry in listed.parts if listed is not None else ():
        metric = entry.items.get("metric")
        if metric is None:
            yield _at(entry, "an entry of metric_list needs the key 'metric'")
            continue
        yield from _check_aggregation(entry, list(AGGREGATION_REGISTRY))
        name = metric.value
        if not isinstance(name, str) or computed is None or is_evaluate(name):
            continue
        if is_own(name):
            if OWN[name].output != output:
                yield _at(metric, f"the metric {name!r} does not judge answers of {output}")
        elif "hf_evaluate" in entry.items:
            continue
        elif name not in metric_registry:
            hint = nearest(name, known)
            yield _at(metric, f"there is no metric {name!r}{hint}")
        elif name in metric_registry and name not in computed and not _own_aggregation(entry):
            yield _at(metric, f"lm-eval computes no {name!r} for answers of {output}")


def _own_aggregation(entry: Node) -> bool:
    """Whether Python of the task's own makes sense of what lm-eval hands through."""
    node = entry.items.get("aggregation")
    return node is not None and isinstance(node.value, Function)


def _check_aggregation(entry: Node, known: list[str]) -> Iterator[Mistake]:
    node = entry.items.get("aggregation")
    if node is not None and isinstance(node.value, str) and node.value not in known:
        yield _at(node, f"there is no aggregation {node.value!r}{nearest(node.value, known)}")
    node = entry.items.get("higher_is_better")
    if node is not None and not isinstance(node.value, bool):
        yield _at(node, "higher_is_better is true or false")


def _check_filters(keys: Keys) -> Iterator[Mistake]:
    import lm_eval.filters  # noqa: F401 - fills the registry
    from lm_eval.api.registry import FILTER_REGISTRY

    known = list(FILTER_REGISTRY)
    listed = keys.get("filter_list")
    for entry in listed.parts if listed is not None else ():
        for needed in ("name", "filter"):
            if needed not in entry.items:
                yield _at(entry, f"an entry of filter_list needs the key {needed!r}")
        steps = entry.items.get("filter")
        for step in steps.parts if steps is not None else ():
            function = step.items.get("function")
            if function is None:
                yield _at(step, "a step of a filter needs the key 'function'")
            elif isinstance(function.value, str) and function.value not in known:
                hint = nearest(function.value, known)
                yield _at(function, f"there is no filter {function.value!r}{hint}")
            yield from _check_pattern(step.items.get("regex_pattern"))


def _check_pattern(node: Node | None) -> Iterator[Mistake]:
    if node is None:
        return
    try:
        re.compile(str(node.value))
    except re.error as error:
        yield _at(node, f"regex_pattern is no regular expression: {error}")


def check_templates(keys: Keys) -> Iterator[Mistake]:
    """Templates that jinja cannot read."""
    from jinja2 import TemplateSyntaxError

    for name, node in template_nodes(keys):
        try:
            environment().parse(node.value)
        except TemplateSyntaxError as error:
            line = node.text_line + error.lineno - 1 if node.text_line else node.line
            yield Mistake(node.file, line, f"{name} is no template: {error.message}")


def template_nodes(keys: Keys) -> list[tuple[str, Node]]:
    """The keys that hold templates, those of few-shot examples among them."""
    settings = keys.get("fewshot_config")
    places: list[tuple[str, Keys]] = [("", keys)]
    if settings is not None:
        places.append(("fewshot_config.", settings.items))
    return [
        (prefix + name, found[name])
        for prefix, found in places
        for name in TEMPLATES
        if name in found and isinstance(found[name].value, str)
    ]


def environment() -> Any:
    """lm-eval's environment of templates."""
    import lm_eval.utils

    return lm_eval.utils.env


def check_functions(keys: Keys) -> Iterator[Mistake]:
    """`!function` tags that name nothing; no code is run."""
    for node in (inner for top in keys.values() for inner in top.walk()):
        if isinstance(node.value, Function):
            problem = _function_problem(node, node.value.spec)
            if problem:
                yield _at(node, problem)


def _function_problem(node: Node, spec: str) -> str:
    module, _, name = spec.rpartition(".")
    if not module:
        return f"!function {spec} needs the form module.name"
    file = node.file.parent / f"{module.replace('.', '/')}.py"
    if not file.is_file():
        try:
            found = importlib.util.find_spec(module.partition(".")[0])
        except (ImportError, ValueError):
            found = None
        return "" if found else f"!function {spec}: there is neither {file} nor a module {module}"
    try:
        module_tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        return f"!function {spec}: {file} is no Python: {error}"
    if _makes_names(module_tree) or name in set(_names(module_tree)):
        return ""
    return f"!function {spec}: {file} has no {name!r}"


def _makes_names(module: ast.Module) -> bool:
    """Whether the module may define names that it does not spell out."""
    ways = {"*", "globals", "locals", "vars", "setattr", "exec", "__getattr__"}
    called = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    return bool(ways & (called | set(_names(module))))


def _names(module: ast.Module) -> Iterator[str]:
    """Names that are defined, imported or assigned anywhere in the module."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
