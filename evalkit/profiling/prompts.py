"""Prompts of an exact length, all different, so that no two of a batch share their work."""

from collections.abc import Callable

import numpy as np
from transformers import PreTrainedTokenizerBase

from evalkit.errors import DataError

_TRIES = 200
_COMMON_WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or "
    "had an they which one you were all her she there would their we him been has when who will no "
    "more if out so up said what about than into them can only other time new some could these two "
    "may first then do any like my now over such our man me even most made after also well"
)


def random_prompts(
    tokenizer: PreTrainedTokenizerBase,
    length: Callable[[str], int],
    count: int,
    tokens: int,
    seed: int,
) -> list[str]:
    """Texts of exactly so many tokens, drawn from the tokenizer's own words.

    Args:
        tokenizer: The model's.
        length: Tokens of a text, as the engine counts them.
        count: How many.
        tokens: Length of each.
        seed: Of the draws.

    Raises:
        DataError: No text of this length was found.
    """
    random = np.random.default_rng([seed, tokens])
    words = _words(tokenizer)
    return [_text(length, words, tokens, random) for _ in range(count)]


def plain_prompts(count: int, words: int, seed: int) -> list[str]:
    """Texts of so many common English words, most of which are one token to most tokenizers."""
    random = np.random.default_rng([seed, words])
    return [" ".join(random.choice(_COMMON_WORDS.split(), words)) for _ in range(count)]


def _words(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Plain words that are one token each in the middle of a text."""
    found = {str(tokenizer.decode([i])) for i in range(len(tokenizer))}
    words = [w for w in sorted(found) if w.strip().isascii() and w.strip().isalpha()]
    return [w for w in words if w.startswith(" ")] or [f" {w}" for w in words] or [" a"]


def _text(
    length: Callable[[str], int], words: list[str], tokens: int, random: np.random.Generator
) -> str:
    chosen = [str(word) for word in random.choice(words, tokens)]
    for _ in range(_TRIES):
        text = "".join(chosen).lstrip()
        excess = length(text) - tokens
        if not excess:
            return text
        if excess > 0:
            del chosen[-max(1, excess // 2) :]
        chosen += [str(random.choice(words)) for _ in range(-excess)]
    raise DataError(
        f"No text of exactly {tokens} tokens was found for this tokenizer; choose another "
        "--prompt-tokens."
    )
