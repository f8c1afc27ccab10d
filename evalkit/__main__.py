"""`python -m evalkit`, the same as `evalkit`."""

from evalkit.cli import main

main()
