"""`python -m evalkit.training.world --out tasks` writes the data files of the micro-world."""

import argparse
from pathlib import Path

from evalkit.training.world import DEFAULT_SEED, World, write_tasks


def main() -> None:
    """Write the files and name them."""
    parser = argparse.ArgumentParser(prog="python -m evalkit.training.world", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("tasks"), help="folder of the families")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="seed of the world")
    options = parser.parse_args()
    for path in write_tasks(options.out, World(options.seed)):
        print(path)


if __name__ == "__main__":
    main()
