"""Makes a variant's checkpoint, or finds it where it was made before."""

import json
from pathlib import Path

from evalkit.engine.checkpoint import Checkpoint
from evalkit.errors import EvalkitError, EvaluationError, UsageError
from evalkit.extras import how_to_install
from evalkit.training.compress import CompressRecipe, compress
from evalkit.training.manifest import read_manifest
from evalkit.variants.variant import Variant

_MARK = "variants.json"


def claim_folder(out: Path, checkpoint: Checkpoint) -> None:
    """Take a folder for the variants of one checkpoint.

    Raises:
        UsageError: It holds those of another, or something else, or cannot be written.
    """
    mark = out / _MARK
    known = {"model": str(checkpoint.path), "weights_hash": checkpoint.weights_hash}
    try:
        if mark.is_file():
            held = json.loads(mark.read_text(encoding="utf-8"))
            if held.get("weights_hash") != checkpoint.weights_hash:
                raise UsageError(
                    f"{out} holds the variants of other weights, {held.get('model')}; choose "
                    "another folder with --out, or delete it."
                )
            return
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out} already holds files; choose another folder with --out.")
        out.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write to {out}: {error.strerror}.") from None
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{mark} is damaged; delete {out} and start anew.") from error


def make(variant: Variant, checkpoint: Checkpoint, out: Path) -> Path:
    """The folder of a variant; that of the original where its weights are the same.

    Args:
        variant: What to make.
        checkpoint: Of what.
        out: A folder that was claimed.

    Raises:
        UsageError: This checkpoint or this machine cannot make it.
        EvaluationError: A library failed in making it.
    """
    if variant.recipe is None:
        return checkpoint.path
    folder = out / variant.name
    recipe = CompressRecipe.model_validate(
        {"name": variant.name, "parent": checkpoint.path, **variant.recipe}
    )
    made = read_manifest(folder) if folder.is_dir() else None
    if made is not None and made.recipe == recipe.model_dump(mode="json"):
        return folder
    try:
        compress(recipe, folder, progress=False)
    except EvalkitError:
        raise
    except ModuleNotFoundError as error:
        missing = how_to_install(error) or f"the package {error.name}: pip install {error.name}"
        raise UsageError(f"it needs {missing}") from error
    except Exception as error:  # whatever a library raises, the other variants go on
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise EvaluationError(f"{type(error).__name__}: {reason}") from error
    return folder
