"""The commands that export a run to other runtimes and compare the results: `export` and `benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from tlkeras.cli.terminal import Json, RunFolder, load_keras, print_json, say
from tlkeras.errors import InputError
from tlkeras.utils.files import save_picture

_Batch = Annotated[str, typer.Option(metavar="N|any", help="Images per call, or `any` for any number.")]
_Images = Annotated[
    Path | None,
    typer.Option(help="Labeled images to verify with. Default: images of the run that were not used in training."),
]


def export(
    run: RunFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the exported file and its report.")],
    format: Annotated[str, typer.Option(help="`litert`, `onnx`, `openvino`, `saved_model` or `web`.")] = "litert",
    quantize: Annotated[
        str,
        typer.Option(help="`none`, `float16`, `int8`, `dynamic_int8`, `full_int8`, or `auto` to measure and choose."),
    ] = "auto",
    batch: _Batch = "1",
    images: _Images = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Largest loss of accuracy, such as 0.01. Default: one percentage point, or more if the loss is not "
            "significant."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing export.")] = False,
    as_json: Json = False,
):
    """Export a run to a file for phones, browsers or servers, and verify that the predictions stay the same."""
    from tlkeras.exporters.options import check_options

    number = _number(batch)
    check_options(format, quantize, number, max_drop, output, overwrite)
    _check_run(run)
    load_keras()
    from tlkeras.exporters.exporting import export

    say("Exporting and verifying ...")
    options = {"format": format, "quantize": quantize, "batch": number, "images": images, "max_drop": max_drop}
    done = export(run, output, **options, overwrite=overwrite)
    if as_json:
        print_json(done.report)
        return
    typer.echo(done)
    typer.echo(f"Written to {output}/: {', '.join(sorted(path.name for path in output.iterdir()))}")


def benchmark(
    run: RunFolder,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="Compare only this format; repeat for several.")
    ] = None,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="Number of threads; repeat for several.")] = None,
    images: _Images = None,
    chart: Annotated[
        Path | None, typer.Option(help="Image file for a chart of the comparison, such as comparison.png.")
    ] = None,
    as_json: Json = False,
):
    """Compare the accuracy, size and speed of all formats and quantizations that a run can be exported to."""
    from tlkeras.exporters.comparing import check_comparison

    wanted, counts = check_comparison(formats, threads, chart)
    _check_run(run)
    load_keras()
    from tlkeras.exporters.comparing import compare_exports

    rows = compare_exports(run, wanted, counts, images=images, on_format=lambda name: say(f"{name} ..."))
    if chart is not None:
        from tlkeras.exporters.comparison_figure import comparison_figure

        save_picture(comparison_figure(rows).savefig, chart, dpi=150)
    if as_json:
        print_json(rows)
        return
    typer.echo(rows)
    if chart is not None:
        typer.echo(f"Chart written to {chart}")


def _number(batch):
    """Parse a number of images, or `any`, which becomes None."""
    if batch == "any":
        return None
    if not batch.isdecimal() or int(batch) < 1:
        raise InputError(f"`--batch` must be a number of images or `any`. Received: {batch!r}.")
    return int(batch)


def _check_run(run):
    """Reject a folder that is not a run, before Keras is loaded."""
    from tlkeras.runs.folder import LABELS, MODEL

    if not (run / MODEL).is_file() or not (run / LABELS).is_file():
        raise InputError(f"{str(run)!r} is not a run: it lacks {MODEL} or {LABELS}. Create one with `tlkeras fit`.")
