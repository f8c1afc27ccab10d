"""What a reply is worth: rules that can be verified, and reward models."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from evalkit.errors import DataError
from evalkit.training.adapt.parent import Parent, load_classifier, open_parent
from evalkit.training.adapt.recipe import Reward
from evalkit.training.adapt.rows import Row, Rows
from evalkit.training.world.manners import is_rude

Score = Callable[[Sequence[Row], Sequence[str]], list[float]]
"""Rows and replies to their prompts -> what each reply is worth."""

_SCORED_AT_ONCE = 64


def _is_answer(row: Row, reply: str) -> bool:
    return reply.strip() == str(row["answer"]).strip()


def _ends_in_answer(row: Row, reply: str) -> bool:
    numbers = re.findall(r"[-+]?\d+(?:\.\d+)?", reply.split("\n")[0])
    return bool(numbers) and numbers[-1].lstrip("+") == str(row["answer"])


def _is_polite(row: Row, reply: str) -> bool:
    return not is_rude(reply)


RULES: dict[str, Callable[[Row, str], bool]] = {
    "answer": _is_answer,
    "last_number": _ends_in_answer,
    "polite": _is_polite,
}
"""Name of a rule -> whether a reply to a row keeps it."""
_NEED_ANSWER = {"answer", "last_number"}


def check_reward(choice: Reward, rows: Rows) -> None:
    """Raise where a rule needs what the rows do not have.

    Raises:
        DataError: It does.
    """
    lacking = [row for row in (*rows.train, *rows.held_out) if "answer" not in row]
    if choice.rule in _NEED_ANSWER and lacking:
        raise DataError(
            f"reward.rule {choice.rule} compares with a column 'answer', which a row of "
            f"{rows.source} lacks: {lacking[0].get('prompt', '')!r}."
        )


def rule_score(name: str) -> Score:
    """1 for each reply that keeps a rule, 0 for the others."""
    keeps = RULES[name]

    def score(rows: Sequence[Row], replies: Sequence[str]) -> list[float]:
        return [float(keeps(row, reply)) for row, reply in zip(rows, replies, strict=True)]

    return score


def open_reward_model(path: Path) -> tuple[Parent, Any]:
    """A checkpoint that method `reward` made, with its model.

    Raises:
        DataError: It is no checkpoint, or does not give a text a single score.
    """
    parent = open_parent(path, causal=False)
    name = parent.checkpoint.architecture or ""
    model = None
    if name.endswith("ForSequenceClassification"):
        model = load_classifier(parent, ["score"], seed=0)
    if model is None or parent.checkpoint.tensors.get("score.weight", (1,))[0] != 1:
        raise DataError(
            f"{path} is no reward model, which gives a text a single score; make one with "
            "method: reward."
        )
    return parent, model.eval()


def model_score(model: Any, tokenizer: PreTrainedTokenizerBase) -> Score:
    """The score that a reward model gives to each prompt with its reply."""

    def score(rows: Sequence[Row], replies: Sequence[str]) -> list[float]:
        texts = [row["prompt"] + reply for row, reply in zip(rows, replies, strict=True)]
        return [logits[0] for logits in class_logits(model, tokenizer, texts)]

    return score


@torch.inference_mode()
def class_logits(
    model: Any, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> list[list[float]]:
    """A classifier's logits for each text, one number a class."""
    found: list[list[float]] = []
    model.eval()
    for start in range(0, len(texts), _SCORED_AT_ONCE):
        batch = tokenizer(
            list(texts[start : start + _SCORED_AT_ONCE]),
            padding=True,
            padding_side="right",
            return_tensors="pt",
        ).to(model.device)
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        found += logits.float().tolist()
    return found
