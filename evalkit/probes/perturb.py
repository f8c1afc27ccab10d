"""Small changes to a prompt that leave its meaning alone."""

import re
from collections.abc import Callable
from random import Random

from evalkit.types import digest

_TYPO_SHARE = 0.15
_SHORTEST = 4
"""Letters in the shortest word that gets a typo."""
_CUES = {
    "Question:": "Q:",
    "Q:": "Question:",
    "Answer:": "A:",
    "A:": "Answer:",
    "Review:": "This is what a customer wrote:",
    "Verdict:": "The customer found it",
    "Passage:": "Text:",
    "Context:": "Text:",
    "Text:": "Passage:",
    "Sentence:": "Text:",
    "Premise:": "Given:",
    "Hypothesis:": "Claim:",
    "True, False, or Neither?": "Is that true, false, or neither?",
    "True or False?": "Is that true or false?",
}
"""Words that prompts are built with, and others for them."""
_PREFACE = "Here is the next one.\n"


def typos(text: str) -> str:
    """Two neighbouring inner letters change places in about every seventh longer word."""
    random = Random(digest(text))  # noqa: S311

    def spoil(found: re.Match[str]) -> str:
        word = found[0]
        if random.random() >= _TYPO_SHARE:
            return word
        place = random.randrange(1, len(word) - 2)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    # What a colon follows is a cue of the prompt, not a word of the question.
    return re.sub(rf"[^\W\d_]{{{_SHORTEST},}}(?![\w:])", spoil, text)


def case(text: str) -> str:
    """Everything in small letters; in capitals where it was small already."""
    return text.lower() if text != text.lower() else text.upper()


def spacing(text: str) -> str:
    """Two blanks for every one between words."""
    return re.sub(r"(?<=\S) (?=\S)", "  ", text)


def paraphrase(text: str) -> str:
    """Other cue words; where the prompt has none that are known, a sentence before it."""
    known = sorted(_CUES, key=len, reverse=True)
    pattern = "|".join(rf"(?:(?<=\s)|^){re.escape(cue)}" for cue in known)
    changed = re.sub(pattern, lambda found: _CUES[found[0]], text)
    return changed if changed != text else _PREFACE + text


PERTURBATIONS: dict[str, Callable[[str], str]] = {
    "typos": typos,
    "case": case,
    "spacing": spacing,
    "paraphrase": paraphrase,
}
"""Name -> change of the last question of a prompt."""


def perturbed(prompt: str, change: Callable[[str], str]) -> str:
    """The prompt with its last question changed, few-shot examples before it left alone."""
    examples, blank, question = prompt.rpartition("\n\n")
    return examples + blank + change(question) if question.strip() else prompt
