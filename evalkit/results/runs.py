"""What is done with runs as wholes: found, tagged, deleted."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from evalkit.errors import EvaluationError, UsageError
from evalkit.redact import without_secrets
from evalkit.results.index import run_stamps
from evalkit.results.manifest import Manifest
from evalkit.results.partial import discard_journal, unfinished_runs
from evalkit.results.store import Listing, Store


def find_runs(
    store: Store,
    name: str = "*",
    *,
    model: str = "*",
    task: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Listing:
    """Runs of a store that fit every filter, oldest first.

    Args:
        store: The store.
        name: Glob over names and ids.
        model: Glob over the checkpoints' names.
        task: Glob over task names, one of which has to fit.
        tags: Tags with their values, each a glob.
    """
    listing = store.listing()

    def fits(run: Manifest) -> bool:
        return (
            (fnmatchcase(run.name, name) or fnmatchcase(run.run_id, name))
            and fnmatchcase(run.model.name, model)
            and (task is None or any(fnmatchcase(known, task) for known in run.tasks))
            and all(
                key in run.tags and fnmatchcase(run.tags[key], value)
                for key, value in (tags or {}).items()
            )
        )

    return Listing([run for run in listing.runs if fits(run)], listing.problems)


def tag_run(
    store: Store, run: str, tags: Mapping[str, str], remove: Sequence[str] = ()
) -> Manifest:
    """Give a run tags, or take some away; returns its new manifest.

    Raises:
        UsageError: There is no such run, or it does not bear a tag to be taken away.
        EvaluationError: The store cannot be written.
    """
    manifest = store.resolve(run)
    absent = [key for key in remove if key not in manifest.tags]
    if absent:
        raise UsageError(f"{manifest.run_id} has no tag {absent[0]!r}.")
    kept = {key: value for key, value in manifest.tags.items() if key not in remove}
    changed = manifest.model_copy(update={"tags": {**kept, **tags}})
    try:
        store.write_manifest(changed)
    except Exception as error:  # each file system has errors of its own
        reason = without_secrets(str(error))
        raise EvaluationError(f"{manifest.run_id} cannot be tagged: {reason}.") from error
    return changed


def deletable(store: Store, runs: Sequence[str]) -> list[str]:
    """Ids of the runs that are meant; by their ids, unfinished and damaged ones too.

    Raises:
        UsageError: A run is unknown.
    """
    known = {*unfinished_runs(store), *run_stamps(store.place)}
    found = [run if run in known else store.resolve(run).run_id for run in runs]
    return list(dict.fromkeys(found))


def delete_runs(store: Store, runs: Sequence[str]) -> list[str]:
    """Delete runs; returns their ids. Nothing is deleted where one of them is unknown.

    Raises:
        UsageError: A run is unknown, or still going on.
        EvaluationError: The store cannot be written.
    """
    with store.reading():
        ids = deletable(store, runs)
        unfinished, finished = set(unfinished_runs(store)), set(run_stamps(store.place))
    for run_id in ids:
        try:
            if run_id in unfinished:
                discard_journal(store, run_id)
            if run_id in finished:
                store.delete(run_id)
        except UsageError:
            raise
        except Exception as error:  # each file system has errors of its own
            reason = without_secrets(str(error))
            raise EvaluationError(f"{run_id} cannot be deleted: {reason}.") from error
    return ids
