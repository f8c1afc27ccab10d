"""Downloads what tasks need into a folder of the hub's layout, and locks what it holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, EvaluationError, UsageError
from evalkit.registry.data import BUILDERS
from evalkit.registry.evaluate_metric import PREFIX, script_folder
from evalkit.registry.lock import LOCK, Lock, LockedRepo, files_of, read_lock

# Small files that say what the others are.
_ABOUT = ("README.md", "dataset_infos.json", "LICENSE*")


@dataclass(frozen=True, slots=True)
class Need:
    """A repository of the hub that a task reads.

    Attributes:
        repo: Its name there, `org/name`.
        kind: `dataset` or `space`; metrics of the evaluate library are spaces.
        folder: Where it goes in the mirror.
        config: Configuration of the data set; None for the only one.
        revision: The revision that the task asks for; None for the newest.
        files: Patterns of files that the task names itself.
    """

    repo: str
    kind: str
    folder: str
    config: str | None = None
    revision: str | None = None
    files: tuple[str, ...] = ()


def needs(config: Mapping[str, Any], folder: Path | None) -> list[Need]:
    """What a task's YAML reads from the hub; nothing where its data lies beside it.

    Args:
        config: The YAML, its includes merged in.
        folder: Folder of the YAML file.
    """
    found = []
    path = config.get("dataset_path")
    if isinstance(path, str) and path not in BUILDERS and not Path(path).exists():
        settings = config.get("dataset_kwargs")
        settings = settings if isinstance(settings, Mapping) else {}
        name = config.get("dataset_name")
        found.append(
            Need(
                repo=path,
                kind="dataset",
                folder=f"datasets/{path}",
                config=None if name is None else str(name),
                revision=settings.get("revision"),
                files=tuple(_strings(settings.get("data_files"))),
            )
        )
    listed = config.get("metric_list")
    for entry in listed if isinstance(listed, list) else []:
        label = entry.get("metric") if isinstance(entry, Mapping) else None
        if isinstance(label, str) and label.startswith(PREFIX):
            name = label.removeprefix(PREFIX)
            if script_folder(name, folder, None) is None:
                repo = name if "/" in name else f"evaluate-metric/{name}"
                found.append(Need(repo, "space", f"metrics/{name}"))
    return found


def download(wanted: Sequence[Need], mirror: Path) -> dict[str, LockedRepo]:
    """Bring repositories into a mirror and write its lock.

    A repository that is locked stays at its revision; further files of it come from there.

    Args:
        wanted: What to bring.
        mirror: Folder, made where it is not there.

    Returns:
        By folder of the mirror, what it now holds.

    Raises:
        UsageError: The folder cannot be made, or the hub has no such repository.
        DataError: What lies there is not what its lock says.
        EvaluationError: The hub cannot be reached.
    """
    try:
        mirror.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--to {mirror} cannot be made: {error.strerror}.") from error
    done = {}
    for need in dict.fromkeys(wanted):
        lock = read_lock(mirror)
        known = lock.repos.get(need.folder)
        done[need.folder] = _bring(need, mirror, known)
        Lock(repos={**lock.repos, need.folder: done[need.folder]}).write(mirror)
    return done


def _bring(need: Need, mirror: Path, known: LockedRepo | None) -> LockedRepo:
    from huggingface_hub import HfApi
    from huggingface_hub import errors as hub_errors

    target = mirror / need.folder
    hub = HfApi()
    try:
        revision, patterns = _snapshot(hub, need, known, target)
    except hub_errors.GatedRepoError as error:
        raise UsageError(
            f"{need.repo} is shown only to those who accepted its terms on the hub; accept them "
            "there, then 'hf auth login'."
        ) from error
    except UsageError:
        raise
    except (hub_errors.RepositoryNotFoundError, hub_errors.RevisionNotFoundError) as error:
        at = f" at revision {need.revision}" if need.revision else ""
        raise UsageError(f"The hub {hub.endpoint} has no {need.kind} {need.repo}{at}.") from error
    except Exception as error:  # client, transport and disk have errors of their own
        reason = str(error).strip().splitlines()
        raise EvaluationError(
            f"{need.repo} could not be downloaded from {hub.endpoint}: "
            f"{reason[0] if reason else type(error).__name__}"
        ) from error
    files = files_of(target)
    if not files:
        raise DataError(f"{need.repo} has no file that fits {', '.join(patterns or ['*'])}.")
    _refuse_changed(target, known, files)
    return LockedRepo(revision=revision, files=files)


def _snapshot(
    hub: Any, need: Need, known: LockedRepo | None, target: Path
) -> tuple[str, list[str] | None]:
    """Download what is needed; returns the revision and the patterns of the files."""
    wanted = known.revision if known else need.revision
    info = hub.repo_info(need.repo, repo_type=need.kind, revision=wanted)
    patterns = _patterns(need, info)
    hub.snapshot_download(
        need.repo,
        repo_type=need.kind,
        revision=str(info.sha),
        local_dir=target,
        allow_patterns=patterns,
    )
    return str(info.sha), patterns


def _refuse_changed(target: Path, known: LockedRepo | None, files: Mapping[str, str]) -> None:
    """A file that was locked before is still what it was."""
    for name, before in (known.files if known else {}).items():
        if files.get(name) != before:
            raise DataError(
                f"{target / name} is no longer what {LOCK} says; delete {target} and its entry "
                "there to begin anew."
            )


def _patterns(need: Need, info: Any) -> list[str] | None:
    """Patterns of the files that a configuration reads; None for the whole repository.

    What the task names itself comes first, then what the data set's card says of configurations.

    Raises:
        UsageError: The card lists configurations, and not the one that is asked for.
    """
    if need.kind != "dataset":
        return None
    if need.files:
        return [*need.files, *_ABOUT]
    card = getattr(info, "card_data", None)
    configs = (card.get("configs") if card is not None else None) or []
    for config in configs:
        named = config.get("config_name") if isinstance(config, Mapping) else None
        if named == need.config or (need.config is None and len(configs) == 1):
            files = list(_strings(config.get("data_files")))
            if files and not config.get("data_dir"):
                return [*files, *_ABOUT]
    names = [str(c.get("config_name")) for c in configs if isinstance(c, Mapping)]
    if need.config is not None and names and need.config not in names:
        raise UsageError(
            f"{need.repo} has no configuration {need.config!r} on the hub, only {', '.join(names)}."
        )
    return None


def _strings(value: Any) -> Iterable[str]:
    """Every pattern in `data_files`, whatever its shape: text, list, by split, or the card's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        inner = [value["path"]] if "path" in value else list(value.values())
        for part in inner:
            yield from _strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _strings(part)
