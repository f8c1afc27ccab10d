"""Keeps libraries from talking over the result."""

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Silence the libraries' own bars and chatter; call before they are imported."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", module="lm_eval|transformers|datasets|torch")
    for name in ("lm_eval", "transformers", "datasets", "huggingface_hub", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
