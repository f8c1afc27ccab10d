"""Where a model is served: `openai:URL#MODEL`, or `openai-chat:URL#MODEL`."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from evalkit.errors import UsageError
from evalkit.redact import without_secrets
from evalkit.types import digest

_CHAT = {"openai": False, "openai-chat": True}
EXAMPLE = "openai:http://127.0.0.1:8000/v1#my-model"


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible server; it stands where a checkpoint does.

    What a server's weights are, nobody outside can tell: the hashes are of its address.

    Attributes:
        url: Base URL of the API, usually ending in /v1.
        model: The model's name there.
        chat: Whether prompts are sent as a user's message, instead of as plain text.
    """

    url: str
    model: str
    chat: bool
    architecture: None = None
    parameters: None = None
    max_length: None = None
    training: None = None
    trusts_code: bool = False

    @property
    def path(self) -> str:
        """The address, for people; without credentials."""
        return without_secrets(
            f"{'openai-chat' if self.chat else 'openai'}:{self.url}#{self.model}"
        )

    @property
    def name(self) -> str:
        """The model's name, without what stands before a slash."""
        return self.model.rstrip("/").rsplit("/", 1)[-1]

    @property
    def weights_hash(self) -> str:
        """Hash of the address."""
        return digest(["endpoint", self.url, self.model, self.chat])

    @property
    def tokenizer_hash(self) -> str:
        """Nothing is known of the server's tokenizer."""
        return "unknown"


def is_endpoint(model: str) -> bool:
    """Whether `--model` names an endpoint."""
    return model.partition(":")[0] in _CHAT


def open_endpoint(model: str) -> Endpoint:
    """Read an address; nothing is asked of the server yet.

    Raises:
        UsageError: It is not of the form.
    """
    scheme, _, rest = model.partition(":")
    url, _, name = rest.partition("#")
    try:
        parts: Any = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of a port or an IPv6 address
        is_url = False
    if not is_url or not name:
        raise UsageError(
            f"--model {without_secrets(model)} is no address of an endpoint; write it as {EXAMPLE}."
        )
    if parts.username or parts.password:
        raise UsageError(
            "--model has credentials in its URL; give the key as OPENAI_API_KEY in the environment."
        )
    return Endpoint(url.rstrip("/"), name, _CHAT[scheme])
