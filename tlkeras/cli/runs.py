"""The commands that make a classifier and use it: `fit`, `evaluate`, `predict`."""

from pathlib import Path
from typing import Annotated

import typer

from tlkeras.cli.terminal import Directory, Json, RunFolder, load_keras, print_json, say
from tlkeras.errors import InputError
from tlkeras.utils.files import check_outside, check_room

# Pixels a side, beyond what any network was made for. At several times this TensorFlow ends in a segmentation fault.
_LARGEST = 1024


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
    image_size: Annotated[
        int | None, typer.Option(min=1, max=_LARGEST, help="Side in pixels; by default the backbone's own.")
    ] = None,
    resize: Annotated[str, typer.Option(help="`stretch`, `crop` or `pad`.")] = "stretch",
    seed: Annotated[int, typer.Option(min=0, help="Of the splits and of all that is random.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the folder if any file cannot be read.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    as_json: Json = False,
):
    """Train a classifier on a folder of images and measure it on images it has not seen."""
    from tlkeras.augment.policies import augmentation_policy
    from tlkeras.backbones.catalog import backbone_info, list_backbones, listed_info
    from tlkeras.runs.folder import check_run_output

    # What can be refused is refused before Keras is loaded, let alone an image.
    _choice("--strategy", strategy, ("features", "finetune", "auto"))
    _choice("--resize", resize, ("stretch", "crop", "pad"))
    if domain is not None:
        augmentation_policy(domain)
    if backbone == "auto":
        backbone = max(list_backbones(offline=True), key=lambda name: backbone_info(name).top1 or 0)
        say(f"Backbone: {backbone}")
    side = _side(backbone, image_size)
    check_run_output(output, overwrite)
    check_outside(output, directory)
    if info := listed_info(backbone):
        check_room(output, 4 * info.parameters)  # bytes of its weights, which the run holds
    load_keras()
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
        print_json(metrics)
        return
    typer.echo(_scores_text(metrics["test"], "held-out images"))
    typer.echo(f"Written to {output}/: model.keras, labels.json, metrics.json, confusion.png")


def evaluate(run: RunFolder, directory: Directory, as_json: Json = False):
    """Measure a trained classifier on a folder of labeled images."""
    load_keras()
    from tlkeras.runs.measuring import evaluate_folder

    result = evaluate_folder(run, directory, verbose=True)
    _say_skipped(result["skipped"])
    if result["seen_in_training"]:
        say(f"{result['seen_in_training']} of these images served in training: the accuracy flatters.")
    if as_json:
        print_json(result)
    else:
        typer.echo(_scores_text(result["scores"], "images" if result["part"] == "all" else f"{result['part']} images"))


def predict(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.")],
    as_json: Json = False,
):
    """Name the class of images, with its probability."""
    load_keras()
    from tlkeras.runs.folder import load_run

    answers, unreadable = load_run(run).label(images, verbose=True)
    if as_json:
        print_json({"predictions": answers, "unreadable": unreadable})
    else:
        for answer in answers:
            typer.echo(f"{answer['path']}\t{answer['class']}\t{answer['probability']:.3f}")
    for one in unreadable:
        say(f"Cannot read image {one['path']!r}: {one['reason']}.")
    if unreadable:
        raise typer.Exit(2)


def _side(backbone, image_size):
    """The side of the images in pixels, as asked for or else as the catalog says."""
    from tlkeras.backbones.catalog import listed_info

    info = listed_info(backbone)
    if info is None and image_size is None:
        raise InputError(f"The catalog does not list {backbone}; say by --image-size what it takes.")
    return image_size or info.default_size


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
        say(f"Skipped {one['path']!r}: {one['reason']}.")


def _choice(option, value, choices):
    if value not in choices:
        raise InputError(f"{option} must be one of {', '.join(choices)}. Received: {value}")
