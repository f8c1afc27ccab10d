"""Tasks over any text file: `perplexity/FILE` and `shuffle/FILE`."""

from pathlib import Path
from typing import Any

from evalkit.errors import DataError, UsageError
from evalkit.paths import bundled
from evalkit.registry.index import Entry

TEXT_TASKS = {
    "perplexity": ("language_modelling", "perplexity.yaml"),
    "shuffle": ("fluency", "shuffle.yaml"),
}
# How the `datasets` library reads each kind of file; plain text becomes a row a paragraph.
_READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".txt": ("text", {"sample_by": "paragraph"}),
    ".md": ("text", {"sample_by": "paragraph"}),
    ".jsonl": ("json", {}),
    ".json": ("json", {}),
    ".parquet": ("parquet", {}),
}


def text_entry(name: str) -> Entry | None:
    """The task that a name of the form `perplexity/FILE` stands for; None for other names.

    Raises:
        UsageError: No file is named, it does not exist, or is of a kind that is not read.
        DataError: It is empty, or no UTF-8.
    """
    prefix, _, path = name.partition("/")
    if prefix not in TEXT_TASKS:
        return None
    if not path:
        raise UsageError(f"Task {name} reads a text of yours: name it {name}/FILE.")
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"Task {name} asks for the file {path}, which does not exist.")
    if file.suffix not in _READERS:
        raise UsageError(
            f"Task {name} asks for a file of a kind that is not read; name plain text (.txt, .md), "
            "or .jsonl or .parquet with a field 'text'."
        )
    if file.suffix in (".txt", ".md"):
        _check_text(file)
    reader, options = _READERS[file.suffix]
    family, yaml = TEXT_TASKS[prefix]
    settings = {"data_files": {"test": str(file.resolve())}, **options}
    return Entry(
        name=f"{prefix}/{file.name}",
        kind="task",
        path=bundled("tasks") / family / yaml,
        family=family,
        overrides={"dataset_path": reader, "dataset_kwargs": settings},
    )


def _check_text(file: Path) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8: byte {error.start}.") from error
    if not text.strip():
        raise DataError(f"{file} has no text.")
