"""The command that checks a folder of images before training: `check`."""

from pathlib import Path
from typing import Annotated

import typer

from tlkeras.cli.terminal import Directory, Json, load_keras, print_json, say
from tlkeras.errors import InputError
from tlkeras.utils.files import check_folder, check_outside


def check(
    directory: Directory,
    labels: Annotated[bool, typer.Option(help="Also look for wrong labels, which takes longer.")] = True,
    sheets: Annotated[Path | None, typer.Option(help="Folder for contact sheets of the affected images.")] = None,
    fix: Annotated[Path | None, typer.Option(help="Folder to move damaged files and exact copies to.")] = None,
    as_json: Json = False,
):
    """Check a folder of images: files, blank images, duplicates, leaks, class sizes, labels. Nothing is deleted.

    The exit status is 1 if any errors remain that --fix did not resolve by moving files. Warnings and hints do not
    affect the exit status.
    """
    for folder in (sheets, fix):
        if folder is not None:
            check_outside(folder, directory)  # fail before the slow part
            check_folder(folder)
    load_keras()
    from tlkeras.checks.images import check_images

    report = check_images(directory, backbone="efficientnet_lite0" if labels else None)
    if not as_json:
        typer.echo(report)
    try:
        written = [] if sheets is None else report.contact_sheets(sheets)
        moves = [] if fix is None else report.quarantine(fix)
    except OSError as error:
        raise InputError(f"{error.filename!r} cannot be written: {error.strerror}.") from error
    for path in written:
        say(f"Written: {path}")
    for source, target in moves:
        say(f"Moved {source!r} to {target!r}")
    if as_json:
        moved = [{"from": source, "to": target} for source, target in moves]
        print_json({**report.to_json(), "sheets": [str(path) for path in written], "moved": moved})
    moved_away = set() if fix is None else {"unreadable"}
    if any(one.severity == "error" and one.kind not in moved_away for one in report.findings):
        raise typer.Exit(1)
