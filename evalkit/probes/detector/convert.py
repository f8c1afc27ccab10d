"""From Detoxify's pickled checkpoint to a detector's folder, running nothing that is in it."""

import pickle
from pathlib import Path

from evalkit.errors import DataError
from evalkit.probes.detector.folder import checked_config, write_detector


def convert_detector(checkpoint: Path, out: Path, encoder: Path | None = None) -> None:
    """Convert a checkpoint in Detoxify's format.

    Only tensors and plain values are read from the pickle; anything else in it is refused.

    Args:
        checkpoint: The `.ckpt` file.
        out: Folder to write.
        encoder: Folder with the configuration and tokenizer of the encoder; by default they are
            fetched from the hub by the name in the checkpoint.

    Raises:
        DataError: The file is no such checkpoint, or holds more than tensors and plain values; or
            the encoder's files cannot be had.
    """
    import torch
    import transformers

    try:
        loaded = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"There is no checkpoint {checkpoint}.") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(
            f"{checkpoint} is damaged or holds more than tensors and plain values, and is not read."
        ) from error
    if not isinstance(loaded, dict) or not {"config", "state_dict"} <= set(loaded):
        raise DataError(f"{checkpoint} is no Detoxify checkpoint: no config and state_dict in it.")
    config = checked_config(loaded["config"], checkpoint)
    arch = config["arch"]["args"]
    home = str(encoder or arch["model_type"])
    try:
        model_class = getattr(transformers, arch["model_name"])
        settings = model_class.config_class.from_pretrained(home, num_labels=arch["num_classes"])
        tokenizer = getattr(transformers, arch["tokenizer_name"]).from_pretrained(home)
    except (OSError, AttributeError, ValueError) as error:
        raise DataError(
            f"The configuration and tokenizer of {home} cannot be had; name a folder that holds "
            "them with --encoder."
        ) from error
    write_detector(out, loaded["state_dict"], config, settings, tokenizer)
