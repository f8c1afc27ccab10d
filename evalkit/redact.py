"""Secrets do not leave the process: they are cut from whatever is written or said."""

import os
import re
from collections.abc import Mapping
from typing import Any

_MASK = "***"
# A path made of a URL has lost one of its slashes.
_IN_URL = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]*:/)(?P<slash>/)?(?(slash)[^/\s@?#]+|[^/\s@?#:]*:[^/\s@?#]+)@",
    re.IGNORECASE,
)
_IN_QUERY = re.compile(
    r"(?P<name>[?&;](?:[^=&;\s#]*(?:token|key|secret|signature|password|passwd|credential|sig|auth)"
    r"[^=&;\s#]*)=)[^&;\s#]+",
    re.IGNORECASE,
)
# Tokens that say by their shape what they are: of the hub, of cloud stores, of forges, of APIs.
_BY_SHAPE = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|gh[opsur]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}"
    r"|sk-[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abprs]-[\w-]{10,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,})"
)
_SECRET_NAME = re.compile(
    r"token|secret|password|passwd|credential|api_?key|access_?key|authorization", re.IGNORECASE
)
# Their names hold one of the words above, their values are none.
_HARMLESS = re.compile(r"tokenizer|tokens|max_new_token|token_budget", re.IGNORECASE)


# Shorter ones are switches and numbers, which other texts hold too.
_SHORTEST = 8


def without_secrets(text: str) -> str:
    """The text with credentials masked: in URLs, tokens known by shape, the environment's own."""
    text = _IN_URL.sub(lambda found: f"{found['scheme']}{found['slash'] or ''}{_MASK}@", text)
    text = _IN_QUERY.sub(rf"\g<name>{_MASK}", text)
    text = _BY_SHAPE.sub(_MASK, text)
    for secret in _of_environment():
        text = text.replace(secret, _MASK)
    return text


def redacted(value: Any) -> Any:
    """A JSON value in which every text is without secrets, and fields named as secrets are masked.

    A field counts as a secret by its name only where its value is a text.
    """
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {
            key: _MASK if _is_secret(str(key), inner) else redacted(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return value


def _of_environment() -> list[str]:
    """Values of the variables that are named as secrets; a file that holds one is none."""
    return [
        value
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST and _is_secret(name, value) and not os.path.exists(value)  # noqa: PTH110 - Path's own raises where a name is too long
    ]


def _is_secret(name: str, value: Any) -> bool:
    named = _SECRET_NAME.search(name) and not _HARMLESS.search(name)
    return bool(named) and isinstance(value, str) and bool(value)
