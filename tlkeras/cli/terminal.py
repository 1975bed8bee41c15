"""Code that all commands share: common arguments, number formats, and output to stdout and stderr."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tlkeras.utils.stderr import silent_stderr

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, and nothing else.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with one subfolder of images per class.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder written by `tlkeras fit`.")]


#: Multiplier for each suffix of a number.
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}


def count(text):
    """Parse a count such as `5M`, `1.2G` or `400000`.

    Example:

    >>> count("5M"), count("400000")
    (5000000.0, 400000.0)
    """
    number = text.strip().upper().rstrip("KMGB")
    try:
        return float(number) * _UNITS[text.strip().upper().removeprefix(number)]
    except (ValueError, KeyError):
        raise typer.BadParameter(f"{text!r} is not a count such as 5M, 1.2G or 400000.") from None


def short_count(number):
    """Format a count in at most five characters.

    Example:

    >>> short_count(3_413_024), short_count(383_900_000), short_count(17_580_000_000)
    ('3.4M', '384M', '17.6G')
    """
    value, unit = next((number / _UNITS[unit], unit) for unit in "GMK" if number >= _UNITS[unit] or unit == "K")
    return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}"


def say(text):
    """Print a line to stderr, where progress and warnings go."""
    typer.echo(text, err=True)


def print_json(content):
    """Print JSON to stdout."""
    typer.echo(json.dumps(content, indent=2))


def load_keras():
    """Import Keras, which takes several seconds, and hide TensorFlow's startup messages."""
    say("Loading Keras ...")
    with silent_stderr():
        import keras  # noqa: F401


def open_run(run):
    """Open a run or an exported file. If the run has no LiteRT file, load Keras first and print a message."""
    from tlkeras.exporters.opening import exported_file, load_export
    from tlkeras.runs.folder import LITERT, MODEL
    from tlkeras.runs.run import load_run

    if exported_file(run):
        return load_export(run)
    if (run / MODEL).is_file() and not (run / LITERT).is_file():
        load_keras()
    return load_run(run)
