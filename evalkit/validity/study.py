"""The study: a checkpoint for each level of each effect, measured by every probe."""

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import pandas as pd

from evalkit.errors import EvaluationError, UsageError
from evalkit.results import Store
from evalkit.settings import RunSettings
from evalkit.types import digest
from evalkit.validity.planted import PLANTED, Planted

TAG = "validity"
"""Tag of a run that belongs to a study: the cell's name and the recipe's hash."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One checkpoint of the study.

    Attributes:
        name: Such as `rude_share-seed-1`.
        planted: Effect -> how strong it is, from 0 to 1; empty for none at all.
        seed: Seed of the initial weights.
    """

    name: str
    planted: Mapping[str, float]
    seed: int


@dataclass(frozen=True, slots=True)
class StudySettings:
    """How the checkpoints are made and measured.

    Attributes:
        out: Folder for checkpoints, detector and runs; what is in it is not made again.
        planted: The effects and their probes.
        levels: From 0 upwards.
        seeds: Seeds of the initial weights.
        overrides: Keys of the recipe and their values.
        limit: Only so many documents of each probe; None for all.
        continuations: Texts for each prompt of the toxicity probe.
    """

    out: Path
    planted: Sequence[Planted]
    levels: Sequence[float]
    seeds: Sequence[int]
    overrides: dict[str, str]
    limit: int | None = None
    continuations: int = 10

    @property
    def store(self) -> str:
        """Where the study's runs lie."""
        return str(self.out / "runs")

    def tag(self, cell: Cell) -> str:
        """What a run of the cell is tagged with."""
        asked = [(planted.task, planted.metric) for planted in self.planted]
        how = [self.overrides, dict(cell.planted), self.limit, self.continuations, asked]
        return f"{cell.name}-{digest(how)[:8]}"


def cells(settings: StudySettings) -> list[Cell]:
    """Every checkpoint of the study.

    For each seed: one that nothing is planted in, one for each effect alone at its highest level,
    and for the levels between as many as there are, in which all effects are planted at once, each
    at another level from checkpoint to checkpoint (a Latin square). So each effect meets each level
    once a seed, in a quarter of the trainings that one effect at a time would take, and its probe
    has to follow it among the others.

    Raises:
        UsageError: The levels do not start at 0, or there is but one.
    """
    first, *others = settings.levels
    if first != 0 or not others or sorted({*settings.levels}) != list(settings.levels):
        raise UsageError("--levels must rise from 0, such as 0,0.25,0.5,0.75,1.")
    highest, between = others[-1], others[:-1]
    knobs = [planted.knob for planted in settings.planted]
    return [
        cell
        for seed in settings.seeds
        for cell in (
            Cell(f"nothing-seed-{seed}", {}, seed),
            *(Cell(f"{knob}-seed-{seed}", {knob: highest}, seed) for knob in knobs),
            *(
                Cell(f"mixed-{n}-seed-{seed}", _mixed(knobs, between, n, seed), seed)
                for n in range(len(between))
            ),
        )
    ]


def _mixed(
    knobs: Sequence[str], levels: Sequence[float], number: int, seed: int
) -> dict[str, float]:
    """A level for each effect: over the numbers each effect has each level once.

    The next seed lays them out otherwise, so that no two effects always go together.
    """
    count, step = len(levels), 1 if seed % 2 == 0 else -1
    return {
        knob: levels[(number + step * place + seed * (place // count)) % count]
        for place, knob in enumerate(knobs)
    }


def measure(settings: StudySettings, detector: Path, jobs: int = 1) -> Iterator[Cell]:
    """Train and measure what is not measured yet; yields each cell when it is done.

    Args:
        settings: Of the study.
        detector: Folder of the micro-world's toxicity detector.
        jobs: Cells made at a time, each by a process of one thread.

    Raises:
        EvaluationError: A process was ended from outside.
    """
    done = {run.tags.get(TAG) for run in Store(settings.store).listing().runs}
    every = cells(settings)
    waiting = [cell for cell in every if settings.tag(cell) not in done]
    yield from (cell for cell in every if cell not in waiting)
    if jobs == 1 or len(waiting) < 2:
        for cell in waiting:
            _make(settings, cell, detector)
            yield cell
        return
    workers = min(jobs, len(waiting))
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread)
    try:
        made = {pool.submit(_make, settings, cell, detector): cell for cell in waiting}
        for task in as_completed(made):
            task.result()
            yield made[task]
    except BrokenProcessPool as error:
        raise EvaluationError(
            "A process that made checkpoints of the study was ended from outside; the machine may "
            "have run out of memory. Go on with the same command and fewer --jobs."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def figures(settings: StudySettings) -> pd.DataFrame:
    """Every probe's figure on every cell that is measured.

    Returns:
        The columns of `evalkit.results.SCORES` with `cell`, `seed`, `alone` (the effect that is
        planted alone; None for none or several) and the level of each effect under its name; one
        row a cell and probe.
    """
    store = Store(settings.store)
    by_tag = {settings.tag(cell): cell for cell in cells(settings)}
    measured = {
        run.run_id: by_tag[run.tags[TAG]]
        for run in store.listing().runs
        if run.tags.get(TAG) in by_tag
    }
    wanted = {(planted.task, planted.metric) for planted in settings.planted}
    scores = store.scores(list(measured))
    scores = scores[[key in wanted for key in zip(scores["task"], scores["metric"], strict=True)]]
    found = [measured[run_id] for run_id in scores["run_id"]]
    levels = {
        planted.knob: [cell.planted.get(planted.knob, 0.0) for cell in found]
        for planted in settings.planted
    }
    return scores.assign(
        cell=[cell.name for cell in found],
        seed=[cell.seed for cell in found],
        alone=pd.Series([_alone(cell) for cell in found], index=scores.index, dtype=object),
        **levels,
    ).reset_index(drop=True)


def _make(settings: StudySettings, cell: Cell, detector: Path) -> None:
    _measure(settings, cell, _checkpoint(settings, cell), detector)


def _one_thread() -> None:
    """Have a worker keep to one core, its libraries quiet, and go when its parent is gone."""
    Thread(target=_go_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)


def _go_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _alone(cell: Cell) -> str | None:
    return next(iter(cell.planted)) if len(cell.planted) == 1 else None


def _checkpoint(settings: StudySettings, cell: Cell) -> Path:
    """The cell's checkpoint, trained if it is not there."""
    from evalkit import training

    how = digest([settings.overrides, dict(cell.planted)])[:8]
    folder = settings.out / "checkpoints" / f"{cell.name}-{how}"
    found = sorted(folder.glob("step-*"))
    if found:
        return found[-1]
    planted = {f"corpus.{each.knob}": "0.0" for each in PLANTED}
    planted |= {f"corpus.{knob}": str(level) for knob, level in cell.planted.items()}
    fixed = {
        "name": cell.name,
        "pretraining.seed": str(cell.seed),
        "pretraining.save_at": "[1.0]",
    }
    recipe = training.load_recipe(None, {**settings.overrides, **planted, **fixed})
    unfinished = folder.with_name(f".{folder.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    training.train(recipe, unfinished)
    unfinished.replace(folder)
    return sorted(folder.glob("step-*"))[-1]


def _measure(settings: StudySettings, cell: Cell, checkpoint: Path, detector: Path) -> None:
    from evalkit.runner import execute, make_plan

    # Where only a metric is new, the answers are taken from the study's earlier run of the cell.
    execute(
        make_plan(
            RunSettings.checked(
                model=str(checkpoint),
                tasks=[planted.task for planted in settings.planted],
                store=settings.store,
                name=cell.name,
                tags={TAG: settings.tag(cell)},
                limit=settings.limit,
                detector_path=detector,
                continuations=settings.continuations,
            )
        ),
        reuse=True,
    )
