"""Run the command line with `python -m tlkeras`, in case the `tlkeras` script is not on the path."""

from tlkeras.cli import main

main()
