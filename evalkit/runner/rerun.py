"""A run again, from nothing but its manifest."""

from pathlib import Path

from evalkit.errors import UsageError
from evalkit.results import Manifest
from evalkit.runner.plan import make_plan
from evalkit.runner.run import RunResult, execute
from evalkit.settings import RunSettings

TAG = "rerun_of"


def rerun(manifest: Manifest, store: str) -> RunResult:
    """Repeat a run with the settings of its manifest; the new run is tagged with the old one's id.

    Args:
        manifest: Of the run.
        store: Where the new run goes.

    Raises:
        UsageError: The manifest is of an imported run, or of settings that are impossible here.
        DataError: The checkpoint, a task or its data is not where it was.
        EvaluationError: The run failed.
    """
    known = {k: v for k, v in manifest.settings.items() if k in RunSettings.model_fields}
    if "model" not in known or "tasks" not in known:
        raise UsageError(
            f"{manifest.run_id} was not made by 'evalkit run' (imported, perhaps), so its manifest "
            "does not say how to repeat it."
        )
    model = manifest.model.path if Path(manifest.model.path).is_dir() else known["model"]
    tags = {**manifest.tags, TAG: manifest.run_id}
    settings = {**known, "model": model, "store": store, "tags": tags, "name": manifest.name}
    return execute(make_plan(RunSettings.checked(**settings)))
