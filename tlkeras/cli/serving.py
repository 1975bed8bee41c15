"""The command that serves a run over HTTP: `serve`."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from tlkeras.cli.terminal import open_run, say
from tlkeras.errors import InputError


def serve(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder written by `tlkeras fit`, or an exported file.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1, or 0 for any free port.")] = 8000,
    max_megabytes: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Largest accepted image file in megabytes.")
    ] = 20,
    max_megapixels: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Largest accepted image in megapixels.")
    ] = 50,
):
    """Serve a run on this computer: a page that classifies images, and a JSON endpoint."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"`tlkeras serve` needs {' and '.join(missing)}. Run: pip install 'tlkeras[serve]'.")
    opened = open_run(run)
    from tlkeras.serving.requests import Limits
    from tlkeras.serving.server import serve

    limits = Limits(bytes=int(max_megabytes * 1e6), pixels=int(max_megapixels * 1e6))

    def announce(url):
        say(f"Serving {run} at {url} (Ctrl+C to stop). To send an image from a program:")
        say(f"curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {url}predict")

    serve(opened, port, limits, announce)
    say("Stopped.")
