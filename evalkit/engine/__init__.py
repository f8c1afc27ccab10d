"""The engine: what answers requests.

Importing it makes the engine known to lm-eval as the model `evalkit`, without loading torch.
"""

# The built-in models have to be registered first, or lm-eval would never register them.
import lm_eval.models  # noqa: F401
from lm_eval.api.registry import model_registry

if "evalkit" not in model_registry:
    model_registry.register("evalkit", target="evalkit.engine.lm:EvalkitLM")
