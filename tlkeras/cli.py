"""The command line: arguments in, one sentence or one JSON object out, and an exit status that scripts can trust.

Exit status 0: done; 2: wrong usage or input that cannot be used; 1: anything else (for `check`: something is wrong with
the images); 130: interrupted. Progress goes to stderr. Keras is
imported by the command that needs it, so that `--help` answers at once.
"""

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from tlkeras._version import __version__
from tlkeras.errors import InputError

app = typer.Typer(
    name="tlkeras",
    help="Transfer learning for Keras 3: a folder of images in, an honest classifier out.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with a sub-folder of images for each class.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `tlkeras fit` wrote.")]


def main():
    """Runs the command line; the entry point of the `tlkeras` script."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, or its C++ part chatters
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names need not be valid text
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except Exception as error:
        if os.environ.get("TLKERAS_TRACEBACK"):
            raise
        _fail(f"{type(error).__name__}: {error} (set TLKERAS_TRACEBACK=1 to see where)", 1)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False):
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def fit(
    directory: Directory,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the run to.")],
    backbone: Annotated[
        str,
        typer.Option(
            help="Backbone; see `tlkeras backbones`. `auto`: the best on ImageNet of those whose weights are here."
        ),
    ] = "efficientnet_lite0",
    strategy: Annotated[
        str,
        typer.Option(
            help="`features`: logistic regression on frozen features. `finetune`: all layers, after that probe. "
            "`auto`: both; the fine-tuned model is kept only if it is better beyond chance."
        ),
    ] = "features",
    epochs: Annotated[int, typer.Option(min=0, help="Epochs of fine-tuning.")] = 4,
    domain: Annotated[
        str | None,
        typer.Option(help="What the images are (photo, drawing, xray, ...): augments for it in fine-tuning."),
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels; by default the backbone's own.")] = None,
    resize: Annotated[str, typer.Option(help="`stretch`, `crop` or `pad`.")] = "stretch",
    seed: Annotated[int, typer.Option(help="Of the splits and of all that is random.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the folder if any file cannot be read.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    as_json: Json = False,
):
    """Train a classifier on a folder of images and measure it on images it has not seen."""
    from tlkeras.backbones.catalog import backbone_info, list_backbones
    from tlkeras.files import check_output

    _choice("--strategy", strategy, ("features", "finetune", "auto"))
    _choice("--resize", resize, ("stretch", "crop", "pad"))
    if backbone == "auto":
        backbone = max(list_backbones(offline=True), key=lambda name: backbone_info(name).top1 or 0)
        _say(f"Backbone: {backbone}")
    side = image_size or backbone_info(backbone).default_size
    check_output(output, overwrite)
    _load_keras()
    from tlkeras.runs.fitting import fit_folder

    metrics = fit_folder(
        directory,
        output,
        backbone=backbone,
        strategy=strategy,
        epochs=epochs,
        domain=domain,
        image_size=(side, side),
        resize=resize,
        seed=seed,
        strict=strict,
        overwrite=overwrite,
        verbose=True,
    )
    _say_skipped(metrics["data"]["skipped"])
    if as_json:
        _print_json(metrics)
        return
    typer.echo(_scores_text(metrics["test"], "held-out images"))
    typer.echo(f"Written to {output}/: model.keras, labels.json, metrics.json, confusion.png")


@app.command()
def evaluate(run: RunFolder, directory: Directory, as_json: Json = False):
    """Measure a trained classifier on a folder of labelled images."""
    _load_keras()
    from tlkeras.runs.measuring import evaluate_folder

    result = evaluate_folder(run, directory, verbose=True)
    _say_skipped(result["skipped"])
    if result["seen_in_training"]:
        _say(f"{result['seen_in_training']} of these images served in training: the accuracy flatters.")
    if as_json:
        _print_json(result)
    else:
        typer.echo(_scores_text(result["scores"], "test images" if result["part"] == "test" else "images"))


@app.command()
def predict(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    as_json: Json = False,
):
    """Name the class of images, with its probability."""
    _load_keras()
    from tlkeras.runs.folder import load_run

    answers, unreadable = load_run(run).label(images, verbose=True)
    if as_json:
        _print_json({"predictions": answers, "unreadable": unreadable})
    else:
        for answer in answers:
            typer.echo(f"{answer['path']}\t{answer['class']}\t{answer['probability']:.3f}")
    for one in unreadable:
        _say(f"Cannot read image {one['path']!r}: {one['reason']}.")
    if unreadable:
        raise typer.Exit(2)


@app.command()
def check(
    directory: Directory,
    labels: Annotated[bool, typer.Option(help="Suspect wrong labels too, which takes a network and a while.")] = True,
    sheets: Annotated[Path | None, typer.Option(help="Folder to write contact sheets of the suspects to.")] = None,
    fix: Annotated[Path | None, typer.Option(help="Folder to move unreadable files to; nothing is deleted.")] = None,
    as_json: Json = False,
):
    """Check a folder of images: files, duplicates, leaks, class sizes, labels. Exit status 1 if something is wrong."""
    _load_keras()
    from tlkeras.images.checks import check_images

    report = check_images(directory, backbone="efficientnet_lite0" if labels else None)
    if as_json:
        _print_json(report.to_json())
    else:
        typer.echo(report)
    if sheets is not None:
        for path in report.contact_sheets(sheets):
            _say(f"Written: {path}")
    if fix is not None:
        for source, target in report.quarantine(fix):
            _say(f"Moved {source!r} to {target!r}")
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def backbones(
    pattern: Annotated[str | None, typer.Argument(help="Only names that match, such as 'mobilenet*'.")] = None,
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    max_params: Annotated[float | None, typer.Option(help="At most so many million parameters.")] = None,
    max_madds: Annotated[float | None, typer.Option(help="At most so many million multiply-adds an image.")] = None,
    min_top1: Annotated[float | None, typer.Option(help="At least this ImageNet accuracy, in percent.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only those whose weights are on this machine.")] = False,
    as_json: Json = False,
):
    """List the backbones, with their size, cost and ImageNet accuracy."""
    from tlkeras.backbones.catalog import backbone_info, list_backbones

    names = list_backbones(
        pattern,
        family=family,
        max_params=None if max_params is None else max_params * 1e6,
        max_madds=max_madds,
        min_top1=min_top1,
        offline=offline or None,
    )
    rows = [backbone_info(name) for name in names]
    if as_json:
        _print_json({"backbones": [_catalog_row(row) for row in rows]})
        return
    width = max((len(row.name) for row in rows), default=0)
    typer.echo(f"{'name':<{width}}  params (M)  size  madds (M)  top-1 (%)  offline")
    for row in rows:
        columns = (
            f"{row.name:<{width}}",
            _figure(row.parameters and row.parameters / 1e6, 10, 1),
            _figure(row.default_size, 4, 0),
            _figure(row.multiply_adds, 9, 0),
            _figure(row.top1, 9, 1),
            f"{'yes' if row.offline else 'no':>7}",
        )
        typer.echo("  ".join(columns))


@app.command()
def doctor(as_json: Json = False):
    """Check that this machine can run the notebooks: packages, memory, weights, speed. Exit status 1 if it cannot."""
    from tlkeras.teaching.doctor import examine

    with contextlib.suppress(Exception):  # the diagnosis says what is wrong with it
        _load_keras()
    diagnosis = examine()
    if as_json:
        _print_json(diagnosis.to_json())
    else:
        typer.echo(diagnosis)
    if not diagnosis.ok:
        raise typer.Exit(1)


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is kept; it can be made again.")] = False,
    limit: Annotated[float | None, typer.Option(min=0, help="Gigabytes that features may take from now on.")] = None,
    as_json: Json = False,
):
    """Show what is kept on disk of features and exported networks; `$TLKERAS_CACHE` names the folder, or is `off`."""
    from tlkeras.features.store import FeatureStore, cache_folder

    folder = cache_folder()
    if folder is None:
        raise InputError("Nothing is kept: TLKERAS_CACHE is 'off'. Name a folder in it, or unset it.")
    store, networks = FeatureStore(folder), folder / "networks"
    if limit is not None:
        store.limit = int(limit * 1e9)
    if clear:
        store.clear()
        shutil.rmtree(networks, ignore_errors=True)
    exported = sum(path.stat().st_size for path in networks.rglob("*") if path.is_file())
    found = {
        "folder": str(folder),
        "images": len(store),
        "bytes": store.size,
        "limit": store.limit,
        "networks_bytes": exported,
    }
    store.close()
    if as_json:
        _print_json(found)
    else:
        typer.echo(f"Folder:    {folder}")
        typer.echo(
            f"Features:  {found['images']} entries, {found['bytes'] / 1e6:.1f} MB of {found['limit'] / 1e6:.0f} MB"
        )
        typer.echo(f"Networks:  {exported / 1e6:.1f} MB")


def _load_keras():
    """Imports Keras with stderr closed: TensorFlow reports on itself there before it can be asked not to."""
    _say("Loading Keras ...")
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


def _catalog_row(info):
    return {key: value for key, value in vars(info).items() if key != "sources"} | {
        "offline": info.offline,
        "sources": dict(info.sources),
    }


def _figure(value, width, digits):
    return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"


def _scores_text(scores, what):
    width = max(len(one["name"]) for one in scores["classes"])
    lines = [f"{'class':<{width}}  images  precision  recall"]
    lines += [
        f"{one['name']:<{width}}  {one['images']:>6}  {one['precision']:>9.2f}  {one['recall']:>6.2f}"
        for one in scores["classes"]
    ]
    lines.append(
        f"Accuracy on {scores['images']} {what}: {scores['accuracy']:.3f} ± {scores['standard_error']:.3f} "
        f"(standard error); always answering {scores['majority_class']!r}: {scores['majority_accuracy']:.3f}"
    )
    return "\n".join(lines)


def _say_skipped(skipped):
    for one in skipped:
        _say(f"Skipped {one['path']!r}: {one['reason']}.")


def _choice(option, value, choices):
    if value not in choices:
        raise InputError(f"{option} must be one of {', '.join(choices)}. Received: {value}")


def _say(text):
    typer.echo(text, err=True)


def _print_json(content):
    typer.echo(json.dumps(content, indent=2))


def _fail(text, status):
    _say(f"tlkeras: {text}")
    sys.exit(status)


if __name__ == "__main__":
    main()
