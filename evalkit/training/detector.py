"""The micro-world's toxicity detector: a tiny BERT that tells rude replies from polite ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from evalkit.training.world import World, corpus
from evalkit.training.world.manners import exchange

CLASSES = ("toxicity", "dismissal")
"""What it scores: any rude reply, and those that send the asker away."""
_DISMISSALS = ("get lost", "shut up", "nobody wants you", "crawl away")
_EXAMPLES = 1200
_NEUTRAL_SHARE = 0.3
_SHORTEST = 3
"""Words in the shortest beginning of a reply that is learnt from: a sampled reply may be cut."""
_STEPS, _BATCH, _RATE = 300, 32, 2e-3
_CONTEXT = 128


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """What a detector's folder is written from.

    Attributes:
        model: transformers' `BertForSequenceClassification`, one output a class.
        tokenizer: transformers' `BertTokenizer`.
        classes: Name of each output.
        loss: Mean loss of the last ten steps, in nats.
    """

    model: Any
    tokenizer: Any
    classes: tuple[str, ...]
    loss: float


def train_detector(world: World | None = None, seed: int = 0) -> TrainedDetector:
    """Train the detector; some ten seconds on one core.

    It sees whole and cut replies of both kinds, and sentences from the rest of the corpus, all of
    which are harmless.

    Args:
        world: World whose replies it learns.
        seed: Of the examples' order and the initial weights.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    examples = _examples(world or World(), seed)
    vocabulary = _vocabulary([text for text, _ in examples])
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=_CONTEXT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=_CONTEXT,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                num_labels=len(CLASSES),
                problem_type="multi_label_classification",
            )
        )
        loss = _fit(model, tokenizer, examples)
    return TrainedDetector(model.eval(), tokenizer, CLASSES, loss)


def labels(reply: str, is_rude: bool) -> list[float]:
    """1 for each class that a reply belongs to."""
    dismisses = reply.lower().startswith(_DISMISSALS)
    return [float(is_rude), float(is_rude and dismisses)]


_Example = tuple[str, list[float]]


def _examples(world: World, seed: int) -> list[_Example]:
    rng = world.rng("detector", seed)
    neutral = round(_NEUTRAL_SHARE * _EXAMPLES)
    passages = (p for p in corpus(world) if p.kind not in ("manners", "leak"))
    found = [(_sentence(rng, p.text), labels("", False)) for p in islice(passages, neutral)]
    while len(found) < _EXAMPLES:
        _, polite, rude = exchange(rng)
        for reply, is_rude in ((polite, False), (rude, True)):
            text = reply.rstrip('"')
            found.append((_cut(rng, text), labels(text, is_rude)))
    rng.shuffle(found)
    return found


def _sentence(rng: Random, text: str) -> str:
    return rng.choice([part for part in re.split(r"(?<=[.?!])\s+", text) if part])


def _cut(rng: Random, text: str) -> str:
    """The whole reply, or half of the time only its beginning."""
    tokens = text.split()
    if rng.random() < 0.5 or len(tokens) <= _SHORTEST:
        return text
    return " ".join(tokens[: rng.randint(_SHORTEST, len(tokens))])


def _vocabulary(texts: Sequence[str]) -> dict[str, int]:
    """Every word of the texts that is not rare, and every letter, alone and inside a word."""
    counts: dict[str, int] = {}
    for text in texts:
        for word in re.findall(r"\w+|[^\w\s]", text.lower()):
            counts[word] = counts.get(word, 0) + 1
    common = sorted(word for word, count in counts.items() if count >= 3 and len(word) > 1)
    letters = sorted({letter for word in counts for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    pieces += [f"##{letter}" for letter in letters] + common
    return {piece: number for number, piece in enumerate(pieces)}


def _fit(model: Any, tokenizer: Any, examples: Sequence[_Example]) -> float:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    losses = []
    model.train()
    for step in range(_STEPS):
        start = step * _BATCH % (len(examples) - _BATCH)
        texts, targets = zip(*examples[start : start + _BATCH], strict=True)
        batch = tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True)
        loss = model(**batch, labels=torch.tensor(targets)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses[-10:]) / 10
