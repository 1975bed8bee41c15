"""The command that looks at a folder of images before anything is trained on it: `check`."""

from pathlib import Path
from typing import Annotated

import typer

from tlkeras.cli.terminal import Directory, Json, load_keras, print_json, say
from tlkeras.errors import InputError


def check(
    directory: Directory,
    labels: Annotated[bool, typer.Option(help="Suspect wrong labels too, which takes a network and a while.")] = True,
    sheets: Annotated[Path | None, typer.Option(help="Folder to write contact sheets of the suspects to.")] = None,
    fix: Annotated[Path | None, typer.Option(help="Folder to move unreadable files to; nothing is deleted.")] = None,
    as_json: Json = False,
):
    """Check a folder of images: files, duplicates, leaks, class sizes, labels. Exit status 1 if something is wrong."""
    load_keras()
    from tlkeras.images.checks import check_images

    report = check_images(directory, backbone="efficientnet_lite0" if labels else None)
    if as_json:
        print_json(report.to_json())
    else:
        typer.echo(report)
    try:
        for path in report.contact_sheets(sheets) if sheets is not None else ():
            say(f"Written: {path}")
        for source, target in report.quarantine(fix) if fix is not None else ():
            say(f"Moved {source!r} to {target!r}")
    except OSError as error:
        raise InputError(f"{error.filename!r} cannot be written: {error.strerror}.") from error
    if not report.ok:
        raise typer.Exit(1)
