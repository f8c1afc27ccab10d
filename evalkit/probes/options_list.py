"""Answer options that a prompt lists under letters, one a line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LINE = re.compile(r"^(\s*\(?)([A-J])([.):]\s*)(.*?)(\s*)$")
_LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True, slots=True)
class OptionsList:
    """A prompt taken apart at its options.

    Attributes:
        before: Lines before the options.
        marks: What stands before the text of each option, such as `A. `.
        texts: The options' texts.
        after: Lines after them.
    """

    before: tuple[str, ...]
    marks: tuple[str, ...]
    texts: tuple[str, ...]
    after: tuple[str, ...]

    def block(self, order: Sequence[int]) -> str:
        """The options alone, in another order under the same letters."""
        return "\n".join(
            mark + self.texts[place] for mark, place in zip(self.marks, order, strict=True)
        )

    def prompt(self, order: Sequence[int]) -> str:
        """The whole prompt with the options in another order."""
        return "\n".join([*self.before, self.block(order), *self.after])


def find_options(prompt: str) -> OptionsList | None:
    """The last list of two or more options, lettered from A without a gap; None where none is."""
    lines = prompt.split("\n")
    found = [_LINE.match(line) for line in lines]
    for start in reversed(range(len(lines))):
        end = start
        while end < len(lines) and _is_letter(found[end], end - start):
            end += 1
        if end - start >= 2:
            matches = [match for match in found[start:end] if match]
            return OptionsList(
                tuple(lines[:start]),
                tuple(match[1] + match[2] + match[3] for match in matches),
                tuple(match[4] for match in matches),
                tuple(lines[end:]),
            )
    return None


def _is_letter(match: re.Match[str] | None, place: int) -> bool:
    return match is not None and place < len(_LETTERS) and match[2] == _LETTERS[place]
