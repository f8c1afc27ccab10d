"""Which detector is meant: a folder that was named, or Detoxify's released weights."""

import os
import shutil
import sys
from http.client import HTTPException
from pathlib import Path

from evalkit.errors import DataError, UsageError
from evalkit.paths import cache_folder
from evalkit.probes.detector.convert import convert_detector
from evalkit.probes.detector.folder import WEIGHTS, DetectorFolder, open_detector

RELEASED = "original"
"""Detoxify's name of the weights that are fetched: BERT on the Jigsaw comments of 2018."""


def find_detector(path: Path | None) -> DetectorFolder:
    """The detector in a folder; for None the released one, fetched and converted on first use.

    Raises:
        DataError: The folder is no detector.
        UsageError: The released weights are not on this machine and cannot be fetched.
    """
    if path is not None:
        return open_detector(path)
    folder = cache_folder("detectors") / RELEASED
    if not (folder / WEIGHTS).is_file():
        _fetch(folder)
    return open_detector(folder)


def _fetch(folder: Path) -> None:
    """Download the released checkpoint, check its hash and convert it; whole or not at all."""
    import torch
    from detoxify.detoxify import MODEL_URLS  # type: ignore[import-untyped]

    url = MODEL_URLS[RELEASED]
    # The file's name ends in the first digits of its SHA-256.
    prefix = url.rsplit("-", 1)[1].removesuffix(".ckpt")
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    print(f"Fetching Detoxify's weights from {url}, once ...", file=sys.stderr)
    try:
        unfinished.mkdir(parents=True)
        checkpoint = unfinished / "fetched.ckpt"
        torch.hub.download_url_to_file(url, str(checkpoint), hash_prefix=prefix, progress=False)
        convert_detector(checkpoint, unfinished / "detector")
        (unfinished / "detector").replace(folder)
    except (OSError, RuntimeError, HTTPException, DataError) as error:
        raise UsageError(
            "Toxicity is scored by Detoxify, whose weights are not on this machine and could not "
            f"be fetched; get {url} elsewhere, convert it with 'evalkit detector convert FILE "
            "--out FOLDER', and name it with --detector-path FOLDER."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
