"""Trains the tokenizer, of any of the four kinds."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend
from transformers import PreTrainedTokenizerFast

from evalkit.errors import DataError, UsageError

END = "<|end|>"
"""Separates documents; it begins and ends them."""
UNKNOWN = "<|unknown|>"
"""Stands for what the tokenizer has no token for; byte-level BPE has one for everything."""
MASK = "<|mask|>"
"""Stands for a token to be guessed, in the masked objective."""
_FEWEST_LETTERS = 256
"""Different characters that every vocabulary but a byte-level one has room for, at least."""

Kind = Literal["byte_bpe", "bpe", "wordpiece", "unigram"]


def train_tokenizer(
    texts: Iterable[str],
    vocabulary: int,
    context: int,
    kind: Kind = "byte_bpe",
    mask: bool = False,
) -> PreTrainedTokenizerFast:
    """A tokenizer; every digit is a token of its own, so that sums can be learnt.

    Args:
        texts: What to train on.
        vocabulary: Number of tokens, with the special ones.
        context: Longest sequence of the model it is for, in tokens.
        kind: `byte_bpe` knows every text; `bpe` and `unigram` know the characters of the texts,
            spaces and lines included; `wordpiece` splits at white space and forgets it, as BERT.
        mask: Add a mask token.

    Raises:
        UsageError: The texts do not yield that many tokens, or need more.
    """
    special = [END, *([] if kind == "byte_bpe" else [UNKNOWN]), *([MASK] if mask else [])]
    backend, trainer = _KINDS[kind](vocabulary, special)
    try:
        backend.train_from_iterator(texts, trainer)
    except Exception as error:  # tokenizers raises nothing more exact
        raise UsageError(
            f"No {kind} tokenizer with tokenizer.vocabulary = {vocabulary} can be trained on the "
            f"corpus: {error}."
        ) from error
    if backend.get_vocab_size() < vocabulary:
        raise UsageError(
            f"The corpus supports {backend.get_vocab_size()} tokens, fewer than "
            f"tokenizer.vocabulary = {vocabulary}; ask for fewer or raise tokenizer.passages."
        )
    if backend.get_vocab_size() > vocabulary:
        raise UsageError(
            f"The corpus has characters for {backend.get_vocab_size()} tokens, more than "
            f"tokenizer.vocabulary = {vocabulary}; ask for more, or take kind: byte_bpe."
        )
    return _wrapped(backend, context)


def load_tokenizer(path: Path, context: int) -> PreTrainedTokenizerFast:
    """A tokenizer from its `tokenizer.json`.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        return _wrapped(Backend.from_file(str(path)), context)
    except Exception as error:  # tokenizers raises nothing more exact
        raise DataError(f"The tokenizer {path} cannot be read: {error}.") from error


def _wrapped(backend: Backend, context: int) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers knows it."""
    known = {
        name: token
        for name, token in (("unk_token", UNKNOWN), ("mask_token", MASK))
        if backend.token_to_id(token) is not None
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        **known,
    )


def _byte_bpe(vocabulary: int, special: list[str]) -> tuple[Backend, trainers.Trainer]:
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return backend, trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _bpe(vocabulary: int, special: list[str]) -> tuple[Backend, trainers.Trainer]:
    return _spaced(models.BPE(unk_token=UNKNOWN)), trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        limit_alphabet=_most_letters(vocabulary),
        show_progress=False,
    )


def _unigram(vocabulary: int, special: list[str]) -> tuple[Backend, trainers.Trainer]:
    return _spaced(models.Unigram()), trainers.UnigramTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        unk_token=UNKNOWN,
        show_progress=False,
    )


def _wordpiece(vocabulary: int, special: list[str]) -> tuple[Backend, trainers.Trainer]:
    backend = Backend(models.WordPiece(unk_token=UNKNOWN))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    backend.decoder = decoders.WordPiece()
    return backend, trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        limit_alphabet=_most_letters(vocabulary),
        show_progress=False,
    )


def _spaced(model: models.Model) -> Backend:
    """A tokenizer whose tokens carry the spaces before them, so that a text can be put together."""
    backend = Backend(model)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n+"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Metaspace(prepend_scheme="never"),
        ]
    )
    backend.decoder = decoders.Metaspace(prepend_scheme="never")
    return backend


def _most_letters(vocabulary: int) -> int:
    """Different characters that get a token; rarer ones are unknown."""
    return max(_FEWEST_LETTERS, vocabulary // 4)


_KINDS: dict[Kind, Callable[[int, list[str]], tuple[Backend, trainers.Trainer]]] = {
    "byte_bpe": _byte_bpe,
    "bpe": _bpe,
    "wordpiece": _wordpiece,
    "unigram": _unigram,
}
