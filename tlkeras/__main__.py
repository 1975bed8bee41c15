"""Support `python -m tlkeras`, for when the `tlkeras` script is not on the path."""

from tlkeras.cli import main

main()
