"""`python -m tlkeras`: the command line, for where the `tlkeras` script is not on the path."""

from tlkeras.cli import main

main()
