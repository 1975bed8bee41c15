"""What all commands share: arguments of the same name and meaning, and who speaks where."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with a sub-folder of images for each class.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `tlkeras fit` wrote.")]


def say(text):
    """Writes a line to stderr, where progress and complaints go."""
    typer.echo(text, err=True)


def print_json(content):
    """Writes what `--json` asks for to stdout."""
    typer.echo(json.dumps(content, indent=2))


def load_keras():
    """Imports Keras with stderr closed: TensorFlow reports on itself there before it can be asked not to."""
    say("Loading Keras ...")
    sys.stderr.flush()
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        import keras  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
