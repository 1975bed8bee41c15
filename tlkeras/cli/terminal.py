"""What all commands share: arguments of the same name and meaning, and who speaks where."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tlkeras.utils.stderr import silent_stderr

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
    """Imports Keras, which takes seconds, without TensorFlow's report on itself."""
    say("Loading Keras ...")
    with silent_stderr():
        import keras  # noqa: F401
