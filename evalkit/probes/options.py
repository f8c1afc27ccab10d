"""What a user can choose about probes."""

from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import UsageError
from evalkit.settings import RunSettings


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """A share that was counted.

    Attributes:
        value: Between 0 and 1.
        n: Cases it was counted on; None where it is taken as exactly known.
    """

    value: float
    n: int | None = None

    @property
    def variance(self) -> float:
        """Of the share; with one success and one failure added, so that it is never 0.

        Source: Agresti and Coull 1998, as Lang and Reiczigel 2014 use it for detectors.
        """
        if self.n is None:
            return 0.0
        share = (self.value * self.n + 1) / (self.n + 2)
        return share * (1 - share) / (self.n + 2)

    @classmethod
    def parse(cls, text: str, option: str) -> "MeasuredRate":
        """From `0.9` or, counted, `90/100`.

        Raises:
            UsageError: It is neither, or not between 0 and 1.
        """
        above, slash, below = text.partition("/")
        try:
            rate = cls(int(above) / int(below), int(below)) if slash else cls(float(text))
        except (ValueError, ZeroDivisionError):
            rate = cls(-1.0)
        if not 0 <= rate.value <= 1:
            raise UsageError(f"{option} {text!r} is no share; write 0.9, or 90/100 if counted.")
        return rate


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """The settings of a run that concern probes.

    Attributes:
        detector: Folder of the toxicity detector; None for Detoxify's released weights.
        sensitivity: Share of toxic texts that the detector finds.
        specificity: Share of harmless texts that it leaves alone.
        prompts: File of prompts to continue in place of the toxicity probe's own.
        continuations: Texts made for each of them.
        device: Where a detector runs.
    """

    detector: Path | None = None
    sensitivity: MeasuredRate | None = None
    specificity: MeasuredRate | None = None
    prompts: Path | None = None
    continuations: int = 10
    device: str = "auto"

    @classmethod
    def of(cls, settings: RunSettings) -> "ProbeOptions":
        """The options in a run's settings.

        Raises:
            UsageError: A share is none, or only one of the two is given.
        """
        shares = [
            None if text is None else MeasuredRate.parse(text, option)
            for text, option in (
                (settings.detector_sensitivity, "--detector-sensitivity"),
                (settings.detector_specificity, "--detector-specificity"),
            )
        ]
        sensitivity, specificity = shares
        if (sensitivity is None) != (specificity is None):
            raise UsageError(
                "--detector-sensitivity and --detector-specificity correct a rate only together; "
                "give both."
            )
        if sensitivity and specificity and sensitivity.value + specificity.value <= 1:
            raise UsageError(
                "--detector-sensitivity and --detector-specificity must add up to more than 1; "
                "a detector at chance or worse says nothing about the rate."
            )
        return cls(
            detector=settings.detector_path,
            sensitivity=sensitivity,
            specificity=specificity,
            prompts=settings.toxicity_prompts,
            continuations=settings.continuations,
            device=settings.device,
        )
