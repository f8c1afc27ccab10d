"""Invented names: pronounceable, distinct, and in no tokenizer's pre-training."""

from random import Random

from evalkit.training.world.lexicon import terms

_ONSETS = terms("b br d dr f g gr h k kl l m n p pr r s st t tr v w z")
_VOWELS = terms("a e i o u ai ea io")
_CODAS = ["", "", "", "l", "m", "n", "r", "s", "th", "nd", "rk"]


def invented(rng: Random, syllables: int) -> str:
    """One lower-case name of so many syllables."""
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + (rng.choice(_CODAS) if last else "")
        for last in (index == syllables - 1 for index in range(syllables))
    )


def distinct(rng: Random, count: int, syllables: int, taken: set[str]) -> list[str]:
    """So many names, none of which begins another; they are added to `taken`."""
    names: list[str] = []
    while len(names) < count:
        name = invented(rng, syllables)
        if not any(name.startswith(other) or other.startswith(name) for other in taken):
            taken.add(name)
            names.append(name)
    return names
