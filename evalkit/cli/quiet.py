"""Keeps libraries from talking over the result, and from holding it up."""

import gc
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_TALKATIVE = (
    "lm_eval",
    "transformers",
    "datasets",
    "huggingface_hub",
    "httpx",
    "torch.utils._pytree",
    "torchao",
)


def quiet_libraries() -> None:
    """Silence the libraries' own bars and chatter; call before they are imported."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", module="lm_eval|transformers|datasets|torch")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in this block without garbage collection.

    The libraries make hundreds of thousands of objects that stay; to look for garbage among them
    again and again takes a quarter of the seconds that importing them does.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
