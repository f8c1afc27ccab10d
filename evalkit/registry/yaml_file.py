"""Task YAML files: lm-eval's dialect, with file and line in every complaint."""

from pathlib import Path
from typing import Any

import yaml

from evalkit.errors import DataError


def check_yaml(file: Path) -> None:
    """Raise `DataError` with file and line unless the file is well-formed YAML."""
    try:
        with file.open(encoding="utf-8") as stream:
            for _ in yaml.parse(stream, Loader=yaml.SafeLoader):
                pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{file}{line} is malformed YAML: {error.problem}.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{file} cannot be read: {str(error).splitlines()[0]}.") from error


def read_yaml(file: Path, resolve_functions: bool = True) -> dict[str, Any]:
    """Content of a task or group file, its `include` merged in.

    Args:
        file: The YAML file.
        resolve_functions: Whether `!function` tags are imported.

    Raises:
        DataError: It is malformed, no mapping, or an include or function in it cannot be found.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    check_yaml(file)
    try:
        content: dict[str, Any] = load_yaml(file, resolve_func=resolve_functions)
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise DataError(
            f"{file} defines no task: {reason[0] if reason else type(error).__name__}."
        ) from error
    return content
