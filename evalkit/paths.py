"""Where the folders beside the package are, in a checkout and in a wheel, and the user's cache."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def bundled(name: str) -> Path:
    """Path of `tasks` or `dashboard`, from the installed wheel or from the checkout."""
    inside = _PACKAGE / "_bundled" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def cache_folder(kind: str) -> Path:
    """Folder of the user's cache for one kind of what evalkit keeps; it need not be there yet."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "evalkit" / kind
