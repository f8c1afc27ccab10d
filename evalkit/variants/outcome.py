"""What came of a comparison of variants: figures, verdicts, and the sentences about them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.results import Comparison, Manifest
from evalkit.results.plots import Point
from evalkit.results.speed import pareto_front
from evalkit.variants.quality import TaskLoss, losses, quality_of, verdict
from evalkit.variants.settings import VariantSettings
from evalkit.variants.speed import Figure
from evalkit.variants.variant import ORIGINAL


@dataclass(frozen=True, slots=True)
class Measured:
    """One variant beside the original.

    Attributes:
        run: Of its tasks.
        profiles: Run ids of the original's profile and of its own, taken in turns.
        bytes: Of its weight files.
        memory: Bytes its process held while it answered; None where the system cannot tell.
        speed: How many times as fast as the original.
    """

    name: str
    run: Manifest
    profiles: tuple[str, str]
    bytes: int
    original_bytes: int
    memory: Figure | None
    original_memory: Figure | None
    speed: Figure

    @property
    def size(self) -> float:
        """Bytes of the weight files as a share of the original's."""
        return self.bytes / self.original_bytes

    @property
    def device(self) -> str:
        """What computed it: the accelerator's model, or `cpu`."""
        return _device(self.run)


@dataclass(frozen=True, slots=True)
class Judged:
    """A variant with its losses.

    Attributes:
        losses: Of each task.
        quality: One figure for all of them, above 0 where the variant is better; None where the
            tasks have none in common.
        verdict: Half a sentence.
        best: Whether no other one is as good in both quality and speed, and better in one.
    """

    measured: Measured
    losses: tuple[TaskLoss, ...]
    quality: Figure | None
    verdict: str
    best: bool

    @property
    def sentence(self) -> str:
        """The variant in one sentence."""
        found = self.measured
        return f"{found.name}: {found.size:.2f} of the size, {_pace(found.speed)}, {self.verdict}."


@dataclass(frozen=True, slots=True)
class Outcome:
    """All variants.

    Attributes:
        folder: Where their weights are.
        original: The original's run.
        variants: Those that were made and measured, in the order asked.
        failed: Name of each of the others -> why.
        notes: Of the comparisons.
    """

    folder: Path
    original: Manifest
    variants: tuple[Judged, ...]
    failed: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def device(self) -> str:
        """What computed the original."""
        return _device(self.original)

    def points(self) -> list[Point]:
        """Speed, size and quality of the original and of each variant, to be drawn."""
        made = [one for one in self.variants if one.quality is not None]
        start = Point(ORIGINAL, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        return [start] + [
            Point(
                one.measured.name,
                _ends(one.measured.speed),
                (one.measured.size,) * 3,
                _ends(one.quality),
            )
            for one in made
            if one.quality is not None
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the samples, ready for JSON."""
        return {
            "original": self.original.run_id,
            "folder": str(self.folder),
            "variants": [_plain(one) for one in self.variants],
            "failed": dict(self.failed),
            "notes": list(self.notes),
        }


def judged(
    folder: Path,
    original: Manifest,
    measured: Sequence[Measured],
    comparisons: Sequence[Comparison],
    failed: Mapping[str, str],
    settings: VariantSettings,
) -> Outcome:
    """Hold every variant to the margin, all together.

    Args:
        folder: Of the variants.
        original: The original's run.
        measured: Each variant.
        comparisons: Each of them against the original, in the same order.
        failed: Name of each variant that there is not -> why.
        settings: What was asked.
    """
    found = losses(comparisons, settings.margin, settings.seed)
    qualities = [quality_of(c, rows) for c, rows in zip(comparisons, found, strict=True)]
    known = [(q.value, m.speed.value) for q, m in zip(qualities, measured, strict=True) if q]
    front = iter(pareto_front([(-a, -b) for a, b in [*known, (0.0, 1.0)]]).tolist())
    notes = dict.fromkeys(note for comparison in comparisons for note in comparison.notes)
    notes |= dict.fromkeys(_elsewhere(original, measured))
    return Outcome(
        folder,
        original,
        tuple(
            Judged(m, tuple(rows), q, verdict(rows, settings.margin), bool(q and next(front)))
            for m, rows, q in zip(measured, found, qualities, strict=True)
        ),
        failed,
        tuple(notes),
    )


def _device(run: Manifest) -> str:
    return str(run.environment["hardware"]["device"])


def _elsewhere(original: Manifest, measured: Sequence[Measured]) -> list[str]:
    """A sentence for each variant that was not computed where the original was."""
    home = _device(original)
    return [
        f"{one.name} was computed on {one.device}, the original on {home}; its speed and memory "
        "are those of another device."
        for one in measured
        if one.device != home
    ]


def _pace(speed: Figure) -> str:
    interval = "" if speed.low is None else f" [{speed.low:.3g}, {speed.high:.3g}]"
    return f"{speed.value:.3g} times as fast{interval}"


def _ends(figure: Figure) -> tuple[float, float, float]:
    value = figure.value
    low, high = (value if end is None else end for end in (figure.low, figure.high))
    return value, low, high


def _plain(one: Judged) -> dict[str, Any]:
    found = one.measured
    return {
        "name": found.name,
        "run": found.run.run_id,
        "device": found.device,
        "profiles": list(found.profiles),
        "bytes": found.bytes,
        "original_bytes": found.original_bytes,
        "size": found.size,
        "memory": found.memory and asdict(found.memory),
        "original_memory": found.original_memory and asdict(found.original_memory),
        "times_as_fast": asdict(found.speed),
        "quality": one.quality and asdict(one.quality),
        "verdict": one.verdict,
        "best": one.best,
        "tasks": [
            asdict(loss.row)
            | {"loss": str(loss.loss), "margin": loss.margin, "p_margin": loss.p}
            | {"n_needed": loss.needed}
            for loss in one.losses
        ],
    }
