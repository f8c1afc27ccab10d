"""Trains the tokenizer."""

from collections.abc import Iterable

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from evalkit.errors import UsageError

END = "<|end|>"
"""Separates documents; it begins and ends them."""


def train_tokenizer(texts: Iterable[str], vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer; every digit is a token of its own, so that sums can be learnt.

    Args:
        texts: What to train on.
        vocabulary: Number of tokens, with the end-of-document token.
        context: Longest sequence of the model it is for, in tokens.

    Raises:
        UsageError: The texts do not yield that many tokens.
    """
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    if backend.get_vocab_size() < vocabulary:
        raise UsageError(
            f"The corpus supports {backend.get_vocab_size()} tokens, fewer than "
            f"tokenizer.vocabulary = {vocabulary}; ask for fewer or raise tokenizer.passages."
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
