"""What a response depends on besides its request."""

from importlib.metadata import version

from evalkit.engine.loading import pick_device
from evalkit.runner.environment import device_name
from evalkit.runner.plan import Plan

_COMPUTING = ("evalkit", "torch", "transformers", "tokenizers")


def answered_by(plan: Plan) -> dict[str, str]:
    """Name -> value of everything that could change a response; equal only if all of it is.

    Raises:
        UsageError: The device is not available.
    """
    return {
        "weights_hash": plan.checkpoint.weights_hash,
        "tokenizer_hash": plan.checkpoint.tokenizer_hash,
        "dtype": plan.settings.dtype,
        "device": device_name(pick_device(plan.settings.device)),
        **{name: version(name) for name in _COMPUTING},
    }
