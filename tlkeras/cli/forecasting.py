"""The command that forecasts the gain from additional images: `learning-curve`."""

from pathlib import Path
from typing import Annotated

import typer

from tlkeras.cli.choosing import ImageSize, Seed, Source, Verbose
from tlkeras.cli.terminal import Json, load_keras, print_json, say
from tlkeras.errors import InputError
from tlkeras.utils.files import check_folder, save_picture
from tlkeras.utils.validation import check_number


def learning_curve(
    source: Source,
    more: Annotated[
        float | None,
        typer.Option(help="Additional images per class to forecast for. Default: about the current number."),
    ] = None,
    backbone: Annotated[str, typer.Option(help="Backbone; see `tlkeras backbones`.")] = "efficientnet_lite0",
    repeats: Annotated[int, typer.Option(min=1, help="Rounds of cross-validation.")] = 5,
    figure: Annotated[Path | None, typer.Option(help="File for a figure: .png, .svg or .pdf.")] = None,
    image_size: ImageSize = None,
    seed: Seed = 0,
    verbose: Verbose = True,
    as_json: Json = False,
):
    """Forecast the gain in accuracy from additional images per class, using a learning curve."""
    from tlkeras.selection.checks import check_choosing

    check_choosing(source, [backbone], None, {}, image_size, seed)
    if more is not None:
        check_number("more", more, "(0, inf)")
    if figure is not None:
        if figure.suffix not in (".png", ".svg", ".pdf"):
            raise InputError(f"`--figure` must end in .png, .svg or .pdf. Received: {str(figure)!r}.")
        check_folder(figure.parent)
    load_keras()
    from tlkeras.selection.learning_curve import learning_curve

    options = {"image_size": image_size, "repeats": repeats, "seed": seed, "verbose": verbose}
    curve = learning_curve(source, backbone=backbone, **options)
    sentences = curve.sentences(more)
    if figure is not None:
        figure.parent.mkdir(parents=True, exist_ok=True)
        save_picture(curve.figure().savefig, figure, dpi=150)
        say(f"Written: {figure}")
    if as_json:
        print_json(curve.to_json(more))
    else:
        typer.echo("\n".join([curve.table(), "", *sentences]))
