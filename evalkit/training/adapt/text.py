"""From rows to the texts that are learnt: messages rendered, lengths checked."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from evalkit.errors import DataError, UsageError
from evalkit.training.adapt.rows import Row, Rows

_SHOWN = 40
_GENERATED = ("completion", "chosen", "rejected")
"""Columns that are learnt or compared after the prompt."""


def prepare_template(rows: Rows, tokenizer: PreTrainedTokenizerBase, template: Path | None) -> None:
    """Give the tokenizer a chat template where the rows have messages.

    Raises:
        UsageError: The template cannot be read.
    """
    if template is not None:
        try:
            tokenizer.chat_template = template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"Cannot read the chat template {template}: {reason}.") from None
    elif tokenizer.chat_template is None and _has_messages(rows.train[0]):
        plain = files("evalkit.training.adapt").joinpath("templates/plain.jinja")
        tokenizer.chat_template = plain.read_text(encoding="utf-8")


def as_text(rows: Rows, tokenizer: PreTrainedTokenizerBase) -> Rows:
    """The same rows, prompts and replies that are messages rendered as text.

    The layout `messages` is left as it is, because each of its answers is learnt.

    Raises:
        DataError: The chat template cannot render them.
    """
    if rows.layout == "messages":
        return rows
    return replace(
        rows,
        train=[_rendered(row, tokenizer) for row in rows.train],
        held_out=[_rendered(row, tokenizer) for row in rows.held_out],
    )


def last_answer(row: Row, tokenizer: PreTrainedTokenizerBase) -> Row:
    """A conversation as prompt and completion, its last answer."""
    if "messages" not in row:
        return row
    *before, answer = row["messages"]
    return _rendered({"prompt": before, "completion": [answer]}, tokenizer)


def check_lengths(
    rows: Rows,
    tokenizer: PreTrainedTokenizerBase,
    context: int | None,
    *,
    reserved: int = 0,
    drop: bool = False,
) -> Rows:
    """The rows that fit the model's context.

    Args:
        rows: As text, or conversations.
        tokenizer: The model's.
        context: Longest sequence, in tokens; None for no limit.
        reserved: Tokens that something else takes of it: a prefix, or a reply yet to be made.
        drop: Leave out rows that are too long.

    Raises:
        DataError: A row is too long and is not to be left out, or all are.
    """
    if context is None:
        return rows
    kept: dict[str, list[Row]] = {"train": [], "held_out": []}
    for part, chosen in kept.items():
        for row in getattr(rows, part):
            text, length = _longest(row, tokenizer)
            if length + reserved <= context:
                chosen.append(row)
            elif not drop:
                more = f" and {reserved} are reserved" if reserved else ""
                raise DataError(
                    f"A row of {rows.source} is {length} tokens long{more}, but the model's "
                    f"context is {context}: {text[:_SHOWN]!r}...; shorten it, or leave out such "
                    "rows with data.drop_long: true."
                )
        if not chosen:
            raise DataError(
                f"No row of {rows.source} fits the model's context of {context} tokens."
            )
    return replace(rows, train=kept["train"], held_out=kept["held_out"])


def count_tokens(rows: Rows, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens in the rows to learn from, each row's longest text counted."""
    return sum(_longest(row, tokenizer)[1] for row in rows.train)


def _longest(row: Row, tokenizer: PreTrainedTokenizerBase) -> tuple[str, int]:
    """The longest text that is made of a row, and its tokens with the end-of-text token."""
    if "messages" in row:
        texts = [_render(row["messages"], tokenizer)]
    elif "prompt" in row:
        texts = [row["prompt"] + row[name] for name in _GENERATED if name in row] or [row["prompt"]]
    else:
        texts = [row["text"]]
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    longest = max(range(len(texts)), key=lengths.__getitem__)
    return texts[longest], lengths[longest] + 1


def _has_messages(row: Row) -> bool:
    return any(isinstance(value, list) for value in row.values())


def _rendered(row: Row, tokenizer: PreTrainedTokenizerBase) -> Row:
    if not _has_messages(row):
        return row
    prompt = row["prompt"]
    if isinstance(prompt, str):
        raise DataError("A row has a prompt that is text and a reply that is messages; take one.")
    start = _render(prompt, tokenizer, add_generation_prompt=True)
    made: Row = {**row, "prompt": start}
    for name in _GENERATED:
        if name not in row:
            continue
        reply = row[name]
        if isinstance(reply, str):
            reply = [{"role": "assistant", "content": reply}]
        whole = _render([*prompt, *reply], tokenizer)
        if not whole.startswith(start):
            raise DataError(
                "The chat template renders a prompt otherwise when a reply follows it; take one "
                "that does not, with chat_template."
            )
        made[name] = _without_space_after_end(whole[len(start) :], tokenizer)
    return made


def _render(messages: list[Any], tokenizer: PreTrainedTokenizerBase, **settings: Any) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, **settings))
    except (TemplateError, TypeError, ValueError) as error:
        raise DataError(f"The chat template cannot render a row's messages: {error}") from None


def _without_space_after_end(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """So that the trainers see that the end-of-text token is there already."""
    bare = text.rstrip()
    return bare if bare.endswith(str(tokenizer.eos_token)) else text
