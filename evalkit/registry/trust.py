"""Which task files may run Python of their own; nothing outside the packages may, unless named."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evalkit.errors import DataError, UsageError
from evalkit.paths import bundled
from evalkit.registry.evaluate_metric import PREFIX
from evalkit.registry.own_metrics import OWN

_FUNCTION = "!function"
_PLAIN_TAGS = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Trust:
    """What the user has allowed by name.

    Attributes:
        functions: Task files, or folders of them, whose `!function` tags and foreign metrics run.
        code: Task files, or folders of them, that may run code which a model wrote.
    """

    functions: tuple[Path, ...] = ()
    code: tuple[Path, ...] = ()

    def check_functions(self, file: Path) -> None:
        """Raise `UsageError` where the file, or one it includes, names Python it may not run.

        Raises:
            DataError: The file cannot be read.
        """
        for source in _included(file.resolve(), set()):
            line = _function_line(source)
            if line is not None and not self.allows_functions(source):
                raise UsageError(
                    f"{source}:{line} runs Python of its own (!function); read it, and allow it "
                    f"with --trust-functions {source.parent}"
                )

    def check_metrics(self, file: Path, metrics: Any) -> None:
        """Raise where a metric is neither lm-eval's nor evalkit's: its code would run.

        Raises:
            UsageError: The file names a metric of the evaluate library and is not trusted.
            DataError: It names one that nobody knows, and is not trusted.
        """
        from lm_eval.api.metrics import mean  # noqa: F401 - fills the registry
        from lm_eval.api.registry import metric_registry

        for entry in metrics if isinstance(metrics, list) else []:
            name = entry.get("metric") if isinstance(entry, dict) else None
            if not isinstance(name, str):
                continue
            known = name in metric_registry or name in OWN
            if (known and not entry.get("hf_evaluate")) or self.allows_functions(file):
                continue
            if name.startswith(PREFIX):
                raise UsageError(
                    f"{file} names the metric {name!r}, whose code the evaluate library would run; "
                    f"allow it with --trust-functions {file.parent}"
                )
            raise DataError(
                f"{file} names the metric {name!r}, which does not exist in lm-eval; the evaluate "
                f"library may have it, as {PREFIX}{name}, and would run its code: allow that with "
                f"--trust-functions {file.parent}"
            )

    def allows_functions(self, file: Path) -> bool:
        """Whether the file belongs to evalkit, to lm-eval, or was named."""
        import lm_eval

        packages = (bundled("tasks"), Path(lm_eval.__file__).parent)
        return _is_within(file, (*packages, *self.functions))

    def allows_code(self, file: Path) -> bool:
        """Whether the task file was named as one that may run what a model wrote."""
        return _is_within(file, self.code)


def _is_within(file: Path, places: tuple[Path, ...]) -> bool:
    found = file.resolve()
    return any(found == place or place in found.parents for place in map(Path.resolve, places))


def _included(file: Path, seen: set[Path]) -> Iterator[Path]:
    """The file and all that it includes, by lm-eval's rules."""
    if file in seen:
        return
    seen.add(file)
    yield file
    for inner in _includes(file):
        yield from _included((file.parent / inner).expanduser().resolve(), seen)


def _includes(file: Path) -> list[str]:
    """Names under the top-level key `include`."""
    node = _parsed(file)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    values = [value for key, value in pairs if getattr(key, "value", None) == "include"]
    nodes = [
        inner
        for value in values
        for inner in (value.value if isinstance(value, yaml.SequenceNode) else [value])
    ]
    return [str(inner.value) for inner in nodes if isinstance(inner, yaml.ScalarNode)]


def _parsed(file: Path) -> yaml.Node | None:
    try:
        return yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{file} cannot be read: {str(error).splitlines()[0]}.") from error


def _function_line(file: Path) -> int | None:
    """Line of the first `!function`, or of a tag that no task file needs."""
    try:
        for token in yaml.parse(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader):
            tag = getattr(token, "tag", None)
            line = token.start_mark.line + 1 if token.start_mark else 1
            if tag == _FUNCTION:
                return line
            if tag is not None and (not tag.startswith(_PLAIN_TAGS) or "python" in tag):
                raise DataError(f"{file}:{line} has the tag {tag!r}, which no task needs.")
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{file} cannot be read: {str(error).splitlines()[0]}.") from error
    return None


def sandbox_templates() -> None:
    """Let lm-eval's templates reach the document and nothing behind it.

    A template is text of a task file; in jinja2's plain environment it could call any function.
    """
    import lm_eval.utils
    from jinja2.sandbox import SandboxedEnvironment

    plain = lm_eval.utils.env
    if isinstance(plain, SandboxedEnvironment):
        return
    safe = SandboxedEnvironment(
        loader=plain.loader,
        undefined=plain.undefined,
        keep_trailing_newline=plain.keep_trailing_newline,
        trim_blocks=plain.trim_blocks,
        lstrip_blocks=plain.lstrip_blocks,
    )
    safe.filters.update(plain.filters)
    lm_eval.utils.env = safe
