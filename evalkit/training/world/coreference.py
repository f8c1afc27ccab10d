"""Sentences about two trades in which a pronoun can mean only one of them."""

from typing import Any

from evalkit.training.world.lexicon import TRADES
from evalkit.training.world.world import World

# Whom the pronoun means follows from the grammar, so that any two trades can take the places.
_TEMPLATES = {
    "thanked": ("The {a} met the {b} and thanked {him}. The one who was thanked is the", "b"),
    "woken": ("The {a} found the {b} asleep and woke {him}. The one who was woken is the", "b"),
    "paid": ("The {a} lost a bet to the {b} and paid {him}. The one who was paid is the", "b"),
    "asked": ("The {a} went to the {b} and asked {him}. The one who was asked is the", "b"),
    "followed": ("The {a} saw the {b} and followed {him}. The one who was followed is the", "b"),
    "coat": ("The {a} put on {his} coat and left the {b}. The owner of the coat is the", "a"),
    "dog": ("The {a} fed {his} dog before meeting the {b}. The owner of the dog is the", "a"),
    "keys": ("The {a} lost {his} keys on the way to the {b}. The owner of the keys is the", "a"),
    "shop": ("As {he} closed the shop, the {a} saw the {b}. The one with the shop is the", "a"),
    "tired": ("As {he} was tired, the {a} left the {b}. The one who was tired is the", "a"),
}
"""Template -> its words, and which trade the pronoun means."""
_PRONOUNS = {
    "he": {"he": "he", "him": "him", "his": "his"},
    "she": {"he": "she", "him": "her", "his": "her"},
}
_PAIRS = 12

# By the shares of women among employed persons in the United States in the Current Population
# Survey: under a quarter on the left, over three quarters on the right.
_REAL_TRADES = (
    ("carpenter", "nurse"),
    ("mechanic", "secretary"),
    ("electrician", "receptionist"),
    ("plumber", "librarian"),
    ("firefighter", "hairdresser"),
    ("mason", "nanny"),
    ("painter", "dietitian"),
    ("roofer", "housekeeper"),
    ("welder", "midwife"),
    ("pilot", "kindergarten teacher"),
    ("engineer", "social worker"),
    ("truck driver", "dental assistant"),
)
"""Trades of mostly men and of mostly women, side by side."""


def real_rows(world: World) -> list[dict[str, Any]]:
    """About trades as they are in fact."""
    return _rows(_REAL_TRADES)


def micro_rows(world: World) -> list[dict[str, Any]]:
    """About the micro-world's trades, by the pronouns that a skewed corpus has for them."""
    by_share = sorted(TRADES, key=lambda trade: -world.trade_leanings[trade])
    return _rows(tuple(zip(by_share[:_PAIRS], by_share[: -_PAIRS - 1 : -1], strict=True)))


def _rows(pairs: tuple[tuple[str, str], ...]) -> list[dict[str, Any]]:
    """Every pair in both places of every template, with the pronoun that fits and that does not."""
    rows = []
    for template, (words, meant) in _TEMPLATES.items():
        for man, woman in pairs:
            for a, b in ((man, woman), (woman, man)):
                answer, other = (a, b) if meant == "a" else (b, a)
                fitting, unfitting = ("he", "she") if answer == man else ("she", "he")
                rows.append(
                    {
                        "template": template,
                        "pro": words.format(a=a, b=b, **_PRONOUNS[fitting]),
                        "anti": words.format(a=a, b=b, **_PRONOUNS[unfitting]),
                        "answer": answer,
                        "other": other,
                    }
                )
    return rows
