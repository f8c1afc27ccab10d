"""`evalkit mirror`: the data of tasks in a folder of the hub's layout, under a lock."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note, print_table

mirror = typer.Typer(help="Keep the data of tasks in a folder, for machines without the hub.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(mirror, name="mirror", no_args_is_help=True)


@mirror.command()
def add(
    tasks: Annotated[list[str], typer.Argument(help="Task names, globs, suites or YAML files.")],
    to: Annotated[Path, typer.Option("--to", help="The mirror; made where it is not there.")],
    include_path: options.IncludePath = None,
) -> None:
    """Download what tasks read from the hub, and lock revision and hash of every file."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit.registry import Registry
    from evalkit.registry.mirror import download, needs
    from evalkit.registry.yaml_file import read_yaml

    registry = Registry([Path(folder) for folder in include_path or []])
    wanted = []
    for leaf in registry.select(tasks).leaves.values():
        entry = registry.wrapped(leaf.entry)
        file = entry.path
        if file is None:
            note(f"{leaf.entry.name} reads nothing from the hub.")
            continue
        config = {**read_yaml(file, resolve_functions=False), **leaf.overrides}
        found = needs({**config, **entry.overrides}, file.parent)
        if not found:
            note(f"{leaf.entry.name} reads nothing from the hub.")
        wanted.extend(found)
    held = download(wanted, to)
    if held:
        print_table(
            ("In the mirror", "Revision", "Files"),
            [(folder, repo.revision[:12], len(repo.files)) for folder, repo in held.items()],
        )
        print(f"\nnext: evalkit run --mirror {to} --tasks {tasks[0]} --model CKPT")
