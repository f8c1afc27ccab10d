"""Under which licence a task's data may be used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def licence_of(config: Mapping[str, Any], mirror: Path | None) -> str | None:
    """The licence that a task's metadata name, or its data set's card in the mirror; if any."""
    metadata = config.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    named = metadata.get("licence") or metadata.get("license")
    return str(named) if named else _card_licence(config.get("dataset_path"), mirror) or None


def _card_licence(path: Any, mirror: Path | None) -> str:
    """The licence that the data set's card in the mirror names."""
    if mirror is None or not isinstance(path, str):
        return ""
    card = mirror / "datasets" / path / "README.md"
    if not card.is_file():
        return ""
    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    try:
        header = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except yaml.YAMLError:
        return ""
    licence = header.get("license") if isinstance(header, dict) else None
    return ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence or "")
