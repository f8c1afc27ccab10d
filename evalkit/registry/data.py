"""Where a task's data comes from: beside its YAML, in a mirror of the hub, or the hub itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, MissingDataError
from evalkit.registry.lock import locked

# Names inside the `datasets` library, which read local files.
BUILDERS = {"json", "csv", "parquet", "arrow", "text", "xml", "webdataset"}


def localise(config: dict[str, Any], folder: Path | None, mirror: Path | None) -> dict[str, Any]:
    """A task's config with its data found on this machine where possible.

    Relative `data_files` are taken from the YAML's folder, and a `dataset_path` that the mirror
    holds is read from there.

    Args:
        config: The resolved YAML.
        folder: Folder of the YAML file.
        mirror: Folder in the hub's layout, with `datasets/<org>/<name>/`.

    Raises:
        MissingDataError: A mirror was given and does not hold the data.
        DataError: It holds the data not as its lock says; or a data file is missing.
    """
    path = config.get("dataset_path")
    if not path or "custom_dataset" in config:
        return config
    if path in BUILDERS:
        return _with_absolute_files(config, folder)
    if Path(path).exists() or mirror is None:
        return config
    mirrored = mirror / "datasets" / path
    if not mirrored.is_dir():
        raise lacking(str(config.get("task")), path, mirror)
    locked(mirror, f"datasets/{path}")
    return {**config, "dataset_path": str(mirrored)}


def lacking(task: str, data: str, mirror: Path) -> MissingDataError:
    """What is said of a data set, or one configuration of it, that a mirror does not hold."""
    return MissingDataError(
        f"Task {task} needs the data set {data}, which the mirror {mirror} lacks; bring it with: "
        f"evalkit mirror add {task} --to {mirror}",
        task,
        data,
    )


def dataset_record(config: Mapping[str, Any], mirror: Path | None) -> dict[str, str]:
    """What a run says of where a task's data came from: repository, revision, hash of its files.

    Args:
        config: As the YAML has it, before `localise`.
        mirror: Folder in the hub's layout.
    """
    path = config.get("dataset_path")
    if not isinstance(path, str) or path in BUILDERS or "custom_dataset" in config:
        return {}
    repo = None if mirror is None or Path(path).exists() else locked(mirror, f"datasets/{path}")
    if repo is None:
        return {"data set": path}
    return {"data set": path, "revision": repo.revision, "files hash": repo.files_hash}


def _with_absolute_files(config: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    settings = dict(config.get("dataset_kwargs") or {})
    if not settings.get("data_files") and not settings.get("data_dir"):
        raise DataError(  # the library would read whatever lies in the working folder
            f"Task {config.get('task')} reads {config['dataset_path']} files, but names none: say "
            "which under dataset_kwargs, as data_files."
        )
    if folder is None or "data_files" not in settings:
        return config
    settings["data_files"] = _absolute(settings["data_files"], folder, str(config.get("task")))
    return {**config, "dataset_kwargs": settings}


def _absolute(files: Any, folder: Path, task: str) -> Any:
    if isinstance(files, dict):
        return {split: _absolute(part, folder, task) for split, part in files.items()}
    if isinstance(files, list):
        return [_absolute(part, folder, task) for part in files]
    if "://" in files:
        return files
    file = folder / files
    found = list(file.parent.glob(file.name))
    if not found:
        raise DataError(f"Task {task} names the data file {file}, which does not exist.")
    for path in found:
        if path.suffix == ".jsonl" and path.is_file():
            _check_lines(path)
        if path.suffix == ".json" and path.is_file():
            _check_json(path)
    return str(file)


def _check_json(file: Path) -> None:
    """Raise `DataError` unless the file is one JSON value, or one on each line."""
    try:
        _parse(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        if not str(error).startswith("Extra data"):
            reason = str(error).splitlines()[0]
            raise DataError(f"{file} is not JSON: {reason}.") from error
        _check_lines(file)


def _check_lines(file: Path) -> None:
    """Raise `DataError` at a line that is no JSON; the reader behind `datasets` may crash on it."""
    number = 0
    try:
        with file.open("rb") as lines:
            for line in lines:
                number += 1
                if line.strip():
                    _parse(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file}:{number} is no JSON object of a line: {reason}.") from error


def _parse(text: str) -> None:
    """Raise `ValueError` unless the text is a JSON object, or a list of them."""
    if not isinstance(json.loads(text, object_pairs_hook=_once), dict | list):
        raise ValueError("it is neither an object nor a list")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a field twice")
    return found
