"""Models behind OpenAI-compatible servers, asked like a checkpoint in this process."""

from evalkit.engine.endpoint.address import Endpoint, is_endpoint, open_endpoint
from evalkit.engine.endpoint.engine import EndpointEngine, ServerError

__all__ = ["Endpoint", "EndpointEngine", "ServerError", "is_endpoint", "open_endpoint"]
