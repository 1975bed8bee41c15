"""The commands that handle domain shift and small labeling budgets: `adapt` and `label-order`."""

from pathlib import Path
from typing import Annotated

import typer

from tlkeras.cli.terminal import Json, RunFolder, load_keras, print_json, say
from tlkeras.errors import InputError
from tlkeras.runs.folder import check_run_output
from tlkeras.utils.files import check_folder, save_picture


def adapt(
    run: RunFolder,
    images: Annotated[Path, typer.Option(help="Folder of at least 100 unlabeled images of the new domain.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the new run to.")],
    source: Annotated[
        str | None, typer.Option(help="Images that the run learned from, if they have been moved.")
    ] = None,
    labeled: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Labeled images of the new domain, on which the new run must not be worse."),
    ] = None,
    batchnorm: Annotated[
        bool, typer.Option(help="Add a copy of the network with adapted BatchNorm statistics.")
    ] = True,
    self_training: Annotated[
        bool, typer.Option("--self-training", help="Fit the head a second time, with its own predictions as labels.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose/--quiet", help="Show progress on stderr.")] = True,
    as_json: Json = False,
):
    """Adapt a run to a new domain, such as a new camera or style, using unlabeled images from that domain."""
    check_run_output(output, overwrite)
    if not images.is_dir():
        raise InputError(f"`--images` must be an existing folder. Received: {str(images)!r}.")
    load_keras()
    from tlkeras.runs import adapting

    adapted = adapting.adapt(
        run,
        images,
        output,
        source=source,
        labeled=labeled,
        batchnorm=batchnorm,
        self_training=self_training,
        overwrite=overwrite,
        verbose=verbose,
    )
    facts = adapted.metrics["adaptation"]
    if as_json:
        print_json(facts)
        return
    typer.echo(adapting.adaptation_text(facts))
    say(f"Written to {output}/")


def label_order(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of images; subfolder names are ignored.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Table to write (.csv). A contact sheet of the first 20 is saved next to it."
        ),
    ],
    labels: Annotated[Path | None, typer.Option(metavar="TABLE", help="Filled-in table from an earlier round.")] = None,
    backbone: Annotated[str, typer.Option(help="Backbone whose features measure image similarity.")] = (
        "efficientnet_lite0"
    ),
    count: Annotated[int | None, typer.Option(min=1, help="Number of images to order. Default: 100.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed for the clustering.")] = 0,
    as_json: Json = False,
):
    """Write a table of the images to label next. Fill in the labels and pass the table to `tlkeras fit`."""
    if output.suffix.lower() != ".csv":
        raise InputError(f"`--output` must end in .csv. Received: {str(output)!r}.")
    if output.exists() and (labels is None or output.resolve() != labels.resolve()):
        raise InputError(
            f"`--output` must not be an existing file. Received: {str(output)!r}. "
            f"To continue with this table, pass --labels {output}."
        )
    check_folder(output.parent)
    load_keras()
    from tlkeras.adaptation import label_order as room

    order = room.label_order(directory, backbone, labels=labels, count=count, seed=seed)
    order.to_csv(output)
    sheet = output.with_suffix(".png")
    save_picture(order.contact_sheet().save, sheet)
    if as_json:
        first = [str(order.paths[one]) for one in order.order]
        print_json({"order": first, "table": str(output), "sheet": str(sheet), "reason": order.reason})
        return
    typer.echo(f"{order}\nFill in the column `label` of {output}, then run: tlkeras fit {output} --output RUN")
    say(f"Written: {output}, {sheet}")
