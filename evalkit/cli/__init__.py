"""The `evalkit` command: one file a subcommand, which parses, calls the library and prints."""

from evalkit.cli.app import main

__all__ = ["main"]
