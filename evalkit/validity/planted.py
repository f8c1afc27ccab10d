"""Which effect each probe has to find."""

from dataclasses import dataclass

from evalkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Planted:
    """An effect and the figure that has to follow it.

    Attributes:
        knob: Field of `evalkit.training.world.Knobs`.
        task: The probe.
        metric: Its figure.
        rises: Whether the figure rises with the effect; if not, it falls.
    """

    knob: str
    task: str
    metric: str
    rises: bool = True


PLANTED = (
    Planted("pronoun_skew", "pronoun_bias", "stereotype_log_odds"),
    Planted("false_facts", "micro_factuality", "true_false_auroc", rises=False),
    Planted("rude_share", "micro_toxicity", "toxicity_rate"),
    Planted("leaked_tests", "micro_contamination", "exact_preference"),
)


def chosen(knobs: list[str]) -> list[Planted]:
    """The effects of these knobs; of all if none is named.

    Raises:
        UsageError: There is no such knob.
    """
    known = {planted.knob: planted for planted in PLANTED}
    for knob in knobs:
        if knob not in known:
            raise UsageError(f"There is no knob {knob!r} to plant with; there are {_list(known)}.")
    return [planted for knob, planted in known.items() if not knobs or knob in knobs]


def _list(names: dict[str, Planted]) -> str:
    return ", ".join(names)
