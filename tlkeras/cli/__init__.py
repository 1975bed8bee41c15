"""The command line: arguments in, one sentence or one JSON object out, and an exit status that scripts can rely on.

The exit status is 0 for success, 2 for incorrect usage or invalid input, 1 for any other error (`check` and `doctor`
also return 1 when they find a problem), and 130 after an interrupt. Progress goes to stderr. Each command imports Keras
only when it is needed, so `--help` responds immediately.
"""

import os
import sys
import warnings
from typing import Annotated

import typer

from tlkeras._version import __version__
from tlkeras.cli.adapting import adapt, label_order
from tlkeras.cli.checking import check
from tlkeras.cli.choosing import advise, rank
from tlkeras.cli.exporting import benchmark, export
from tlkeras.cli.forecasting import learning_curve
from tlkeras.cli.machine import backbones, cache, doctor
from tlkeras.cli.runs import evaluate, fit, predict
from tlkeras.cli.serving import serve
from tlkeras.cli.terminal import say
from tlkeras.errors import InputError

app = typer.Typer(
    name="tlkeras",
    help="Transfer learning for Keras 3: train an image classifier from a folder of images, and measure it reliably.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for _command in (
    fit,
    evaluate,
    predict,
    adapt,
    label_order,
    export,
    benchmark,
    serve,
    check,
    rank,
    advise,
    learning_curve,
    backbones,
    doctor,
    cache,
):
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False):
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main():
    """Run the command line. This is the entry point of the `tlkeras` script."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # set before TensorFlow is imported, to silence its C++ logs
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names may not be valid text
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app()
    except InputError as error:
        _fail(str(error), 2)
    except Exception as error:
        if os.environ.get("TLKERAS_TRACEBACK"):
            raise
        notes = " ".join(["", *getattr(error, "__notes__", ())])
        _fail(f"{type(error).__name__}: {error}{notes} (set TLKERAS_TRACEBACK=1 to see the traceback)", 1)


def _show_warning(message, category, filename, lineno, file=None, line=None):
    """Print a warning on one line, without the source location that Python adds, since users have no use for it."""
    say(f"Warning: {' '.join(str(message).split())}")


def _fail(text, status):
    """Print an error on one line and exit."""
    say(f"tlkeras: {text}")
    sys.exit(status)
