"""`python -m evalkit.training.world --out tasks` writes the data files of the micro-world."""

import argparse
from pathlib import Path

from evalkit.training.world import DEFAULT_SEED, World, write_tasks
from evalkit.training.world.probing import write_probe_files


def main() -> None:
    """Write the files and name them."""
    parser = argparse.ArgumentParser(prog="python -m evalkit.training.world", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("tasks"), help="folder of the families")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="seed of the world")
    options = parser.parse_args()
    world = World(options.seed)
    for path in [*write_tasks(options.out, world), *write_probe_files(options.out, world)]:
        print(path)


if __name__ == "__main__":
    main()
