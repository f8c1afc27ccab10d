"""`evalkit demo`: the whole path on the micro-world, offline."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit import __version__
from evalkit.cli import options
from evalkit.cli.gate import print_verdict
from evalkit.cli.ls import print_leaderboard
from evalkit.cli.output import store_option
from evalkit.errors import EvaluationError, UsageError
from evalkit.settings import RunSettings

if TYPE_CHECKING:
    from evalkit.runner import RunResult
    from evalkit.training import Recipe

GATE = """\
# What the demo asks of a checkpoint; 'evalkit gate --init' writes a fuller example.
version: 1
rules:
  # No task of the micro-world may get significantly worse.
  - task: "micro_*"
    max_drop: 0
    max_rise: 0
  # The pronouns of trades are skewed in the training text; the model may not go far beyond.
  - task: pronoun_bias
    metric: abs_log_odds
    max: 4
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("demo")(demo)


def demo(
    store: options.Store = options.DEFAULT_STORE,
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints.")] = Path(
        "checkpoints/demo"
    ),
) -> None:
    """Train two small checkpoints, measure them, compare them, gate them; some minutes, offline."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    _headline("1/4  Train an early and a late checkpoint on the micro-world")
    early, late = _checkpoints(out)
    print(f"early: {early}\nlate:  {late}")
    _headline("2/4  Measure both on the demo suite")
    runs = [_measure(folder, name, store) for folder, name in ((early, "early"), (late, "late"))]
    _headline("3/4  Leaderboard")
    print_leaderboard(store, run_ids=[run.manifest.run_id for run in runs])
    _headline("4/4  Gate")
    gate_file = out / "gate.yaml"
    gate_file.write_text(GATE, encoding="utf-8")
    _verdicts(runs, gate_file, store)
    _farewell(runs, gate_file, store)


def _checkpoints(out: Path) -> tuple[Path, Path]:
    """The demo's two checkpoints; those that are there are kept if the same recipe made them.

    Raises:
        UsageError: The folder holds something else.
    """
    from evalkit import training

    recipe = training.Recipe()
    found = sorted(out.glob("step-*"))
    if not found or any(not _is_ours(folder, recipe) for folder in found):
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(
                f"{out} holds something other than this version's demo checkpoints; "
                "delete it or name another folder with --out."
            )
        unfinished = out.with_name(f".{out.name}-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        training.train(recipe, unfinished)
        unfinished.replace(out)
        found = sorted(out.glob("step-*"))
    return found[0], found[-1]


def _is_ours(folder: Path, recipe: "Recipe") -> bool:
    """Whether this version made the checkpoint by this recipe."""
    from evalkit.training import Recipe, TrainingManifest

    try:
        text = (folder / "evalkit.json").read_text(encoding="utf-8")
        manifest = TrainingManifest.model_validate_json(text)
        made_by = Recipe.model_validate(manifest.recipe)
    except (OSError, ValueError):
        return False
    return made_by == recipe and manifest.libraries.get("evalkit") == __version__


def _measure(folder: Path, name: str, store: str) -> "RunResult":
    from evalkit.runner import execute, make_plan

    settings = RunSettings.checked(
        model=str(folder), tasks=["demo"], store=store, name=name, tags={"demo": name}
    )
    result = execute(make_plan(settings))
    print(f"{name}: {len(result.scores)} scores in {result.manifest.duration_s:.0f} s")
    return result


def _verdicts(runs: Sequence["RunResult"], config: Path, store: str) -> None:
    """Late against early has to pass, early against late to regress; anything else is a fault."""
    from evalkit.gating import gate

    early, late = (run.manifest.run_id for run in runs)
    for title, run, baseline, expected in (
        ("Is the late checkpoint at least as good as the early one?", late, early, 0),
        ("And if the early one were proposed to replace the late?", early, late, 1),
    ):
        print(f"\n{title}\n")
        result = gate(run, config, baseline=baseline, store=store)
        print_verdict(result)
        if result.exit_code != expected:
            raise EvaluationError(
                f"The demo's gate ended with {result.exit_code}, not {expected}; "
                "the checkpoints are not as they should be."
            )


def _headline(text: str) -> None:
    print(f"\n== {text} ==\n", flush=True)


def _farewell(runs: Sequence["RunResult"], gate_file: Path, store: str) -> None:
    where = store_option(store)
    early, late = (run.manifest.run_id for run in runs)
    print(
        f"\nThe results lie in {store}/: {early}, {late}."
        f"\nAsk again:  evalkit compare {early} {late}{where}"
        f"\n            evalkit gate {late} --baseline {early} --config {gate_file}{where}"
        f"\nBrowse:     evalkit dashboard{where}"
    )
