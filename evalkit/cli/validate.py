"""`evalkit validate`: every mistake in task files, each with its file and line."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import plain
from evalkit.errors import DataError, UsageError


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("validate")(validate)


def validate(
    files: Annotated[list[Path], typer.Argument(help="Task or suite files, or folders of them.")],
    mirror: options.Mirror = None,
    include_path: options.IncludePath = None,
    trust_functions: options.TrustFunctions = None,
) -> None:
    """Check task files: schema, metrics, templates on one document; exits with 2 at a mistake."""
    from evalkit.cli.quiet import quick_imports, quiet_libraries

    found = _files(files)
    quiet_libraries()
    with quick_imports():
        from evalkit.registry import Registry, Trust
        from evalkit.registry.validate import defined_name
        from evalkit.registry.validate import validate as check

    trust = Trust(tuple(map(Path, trust_functions or [])))
    root = None if mirror is None else Path(mirror)
    registry = Registry([Path(folder) for folder in include_path or []], root, trust)
    names = frozenset(name for name in map(defined_name, found) if name)
    mistakes = [mistake for file in found for mistake in check(file, registry, names)]
    for mistake in mistakes:
        print(plain(mistake))
    if mistakes:
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        raise DataError(f"{count} in {len({m.file for m in mistakes})} of {len(found)} files.")
    print(f"{len(found)} file{'s' if len(found) > 1 else ''} in order.")


def _files(named: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in named:
        if path.is_dir():
            inside = sorted(path.rglob("*.yaml"))
            if not inside:
                raise UsageError(f"The folder {path} holds no .yaml file.")
            found.extend(inside)
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(f"There is no file {path}.")
    return list(dict.fromkeys(found))
