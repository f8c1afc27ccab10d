"""Scores texts with Detoxify itself."""

import io
from collections.abc import Sequence
from typing import Any

from evalkit.errors import DataError
from evalkit.probes.detector.folder import WEIGHTS, DetectorFolder

_AT_ONCE = 64


def score_texts(
    detector: DetectorFolder, texts: Sequence[str], device: str = "auto"
) -> dict[str, list[float]]:
    """Each attribute's score of each text, from 0 to 1, by attribute.

    Texts of a length are scored together; padding is masked, so no score depends on its batch
    beyond rounding.

    Raises:
        DataError: The weights do not fit the configuration.
    """
    detoxify = _load(detector, device)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = {name: [0.0] * len(texts) for name in detoxify.class_names}
    for start in range(0, len(order), _AT_ONCE):
        places = order[start : start + _AT_ONCE]
        for name, scores in detoxify.predict([texts[i] for i in places]).items():
            # Detoxify gives a bare number for a list of one.
            values = scores if isinstance(scores, list) else [scores]
            for place, value in zip(places, values, strict=True):
                found[name][place] = float(value)
    return found


def _load(detector: DetectorFolder, device: str) -> Any:
    """Detoxify, unpickling no more than what was pickled a line before."""
    import torch
    from detoxify import Detoxify  # type: ignore[import-untyped]
    from safetensors.torch import load_file
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    arch = {**detector.config["arch"]["args"], "model_type": str(detector.path)}
    config = {**detector.config, "arch": {"args": arch}}
    pickled = io.BytesIO()
    torch.save({"config": config, "state_dict": load_file(detector.path / WEIGHTS)}, pickled)
    pickled.seek(0)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return Detoxify(
            checkpoint=pickled, device=device, huggingface_config_path=str(detector.path)
        )
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"The detector {detector.path} cannot be loaded: {reason}") from error
