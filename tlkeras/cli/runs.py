"""The commands that train a classifier and use it: `fit`, `evaluate`, `predict`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tlkeras.cli.shifted import print_comparison
from tlkeras.cli.terminal import Json, RunFolder, load_keras, open_run, print_json, say
from tlkeras.errors import InputError
from tlkeras.runs.checks import LARGEST_SIDE, check_fit
from tlkeras.runs.trust import UNKNOWN


def fit(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder with one subfolder of images per class, optionally inside train, val and test; a table (CSV) "
            "of paths and labels; or tfds:NAME.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the run to.")],
    backbone: Annotated[
        str,
        typer.Option(help="Backbone; see `tlkeras backbones`. `auto`: the local one with the best ImageNet accuracy."),
    ] = "efficientnet_lite0",
    strategy: Annotated[
        str,
        typer.Option(
            help="`features`: a linear probe on frozen features, in seconds. `finetune`: all layers, after that probe, "
            "in minutes. `auto`: the advice of `tlkeras advise`; a fine-tuned model is kept only if its "
            "lead is larger than chance would explain."
        ),
    ] = "features",
    probe: Annotated[
        str, typer.Option(help="Classifier that `features` fits: `logistic` regression, or `lda`, which is faster.")
    ] = "logistic",
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Calibrate the probabilities by temperature scaling.")
    ] = False,
    reject: Annotated[
        bool, typer.Option("--reject", help="Recognize images that belong to none of the classes as `unknown`.")
    ] = False,
    refit: Annotated[
        bool, typer.Option(help="Train the final model on all images after measuring, except on a given test split.")
    ] = True,
    epochs: Annotated[int, typer.Option(min=0, help="Epochs of fine-tuning.")] = 4,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time limit for fine-tuning in minutes. Epochs, blocks and image size are chosen to fit."),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(help="Kind of images (photo, drawing, xray, ...), which determines the augmentation."),
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Measure the gain from averaging over the flips that are safe for --domain.")
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=NAME", help="Name of a table column that differs from the default, such as path=file."
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that the paths of a table are relative to.")] = None,
    label_separator: Annotated[str | None, typer.Option(help="Text between several labels in one cell.")] = None,
    multilabel: Annotated[
        bool | None, typer.Option(help="Whether an image may have several labels. Default: inferred from the labels.")
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX|COLUMN",
            help="Images to keep in one split, such as those of one patient: a regular expression with one capture "
            "group, matched in each path, or a column.",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Use only this class; repeat for several.")
    ] = None,
    per_class: Annotated[int | None, typer.Option(help="Use at most this many images per class.")] = None,
    class_weight: Annotated[
        str | None, typer.Option(help="`balanced`: give all classes the same total weight.")
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option(help="Keep near-duplicates in one split. Turn this off for frames of a fixed camera.")
    ] = True,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=LARGEST_SIDE, help="Side in pixels. Default: the backbone's own size.")
    ] = None,
    resize: Annotated[str, typer.Option(help="`stretch`, `crop` or `pad`.")] = "stretch",
    seed: Annotated[int, typer.Option(min=0, help="Seed for the splits and all other randomness.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop if any file cannot be read.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a run that was killed.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose/--quiet", help="Show progress on stderr.")] = True,
    as_json: Json = False,
):
    """Train a classifier on labeled images and measure its accuracy on held-out images."""
    arguments = {name: value for name, value in locals().items() if name != "as_json"}
    arguments["columns"] = _columns(columns)
    arguments["classes"] = classes or None
    # Check all arguments before loading Keras or any image, so errors appear right away.
    chosen, _ = check_fit(**arguments)
    if backbone == "auto":
        say(f"Backbone: {chosen}")
    load_keras()
    from tlkeras.runs import fitting

    run = fitting.fit(**arguments)
    _say_skipped(run.metrics["data"]["skipped"])
    if as_json:
        print_json(run.metrics)
        return
    typer.echo(run)
    typer.echo(f"Written to {output}/: {', '.join(sorted(path.name for path in output.iterdir()))}")


def _columns(pairs):
    """Parse pairs such as `label=diagnosis` into a dict; a key that occurs several times gets a list of columns."""
    columns = {}
    for pair in pairs or ():
        kind, separator, name = pair.partition("=")
        if not (separator and name):
            raise InputError(f"`--columns` must be KIND=NAME, such as label=diagnosis. Received: {pair!r}.")
        columns[kind] = name if kind not in columns else [*_listed(columns[kind]), name]
    return columns or None


def _listed(value):
    return [value] if isinstance(value, str) else value


def evaluate(
    run: RunFolder,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Labeled images in any form that `tlkeras fit` accepts. Default with --shifted: the training images."
        ),
    ] = None,
    shifted: Annotated[
        str | None,
        typer.Option(help="Labeled images from a new domain, to compare with clean and corrupted images."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=NAME", help="Name of a table column that differs from the default, such as path=file."
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that the paths of a table are relative to.")] = None,
    label_separator: Annotated[str | None, typer.Option(help="Text between several labels in one cell.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Measure only images of this class; repeat for several.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose/--quiet", help="Show progress on stderr.")] = True,
    as_json: Json = False,
):
    """Measure the accuracy of a trained classifier on labeled images."""
    options = {"columns": _columns(columns), "root": root, "label_separator": label_separator, "verbose": verbose}
    if shifted is not None:
        print_comparison(run, source, shifted, options, as_json)
        return
    if source is None:
        raise InputError(
            "`SOURCE` must be given unless `--shifted` is used. Pass a folder of labeled images or a table."
        )
    load_keras()
    result = open_run(run).evaluate(source, classes=classes or None, **options)
    _say_skipped(result["skipped"])
    if result["seen_in_training"]:
        say(
            f"{result['seen_in_training']} of these images were used to train or choose the model, so expect lower "
            "accuracy on new images."
        )
    elif result["seen_in_training"] is None:
        say("The run does not record its training images. If they include these, expect lower accuracy on new images.")
    if as_json:
        print_json(result)
    else:
        from tlkeras.runs.summary import scores_text

        words = "images" if result["part"] == "all" else f"{result['part']} images"
        typer.echo(scores_text(result["scores"], f"{result['scores']['images']} {words}"))


def predict(
    run: RunFolder,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Image files, folders (with subfolders) or patterns; `-` for a list on stdin."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File for the answers, .csv, .jsonl or .parquet, instead of stdout."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the same command after it was killed.")] = False,
    top_k: Annotated[int, typer.Option(min=1, help="Number of most probable classes per image.")] = 1,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Print the probabilities of all classes.")
    ] = False,
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over the flips that `fit --tta` found to help on held-out images.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass in Keras.")] = 32,
    verbose: Annotated[bool, typer.Option("--verbose/--quiet", help="Show progress on stderr.")] = True,
    as_json: Json = False,
):
    """Predict the class of each image, and the probability of that class.

    Predictions are in the same order as the images. Unreadable images are listed. The exit status is 2 if no image
    could be read.
    """
    from tlkeras.runs.answers import check_answer_file
    from tlkeras.runs.bulk import predict_to_file

    if output is not None:
        check_answer_file(output)
    elif resume:
        raise InputError("`--resume` requires `--output`, the file to continue.")
    paths = [one for path in images for one in (_stdin_lines() if path == "-" else [path])]
    if not paths:
        raise InputError("The list of images on stdin is empty.")
    options = {"top_k": top_k, "probabilities": probabilities, "tta": tta, "batch_size": batch_size, "verbose": verbose}
    opened, kept = open_run(run), []
    if output is not None:
        result = predict_to_file(opened, paths, output, resume=resume, **options)
        if result.resumed:
            say(f"Resumed after {result.resumed} predictions.")
    else:
        result = _predict_to_stdout(opened, paths, kept.append if as_json else _print_answer, options)
    unreadable = [{"path": one["path"], "reason": one["error"]} for one in result.unreadable]
    if as_json:
        answers = {"predictions": kept} if output is None else {"output": str(output), "images": result.count}
        print_json({**answers, "unreadable": unreadable})
    for one in unreadable:
        say(f"Cannot read image {one['path']!r}: {one['reason']}.")
    if result.other_files:
        kinds = ", ".join(sorted({Path(file).suffix for file in result.other_files}))
        count = len(result.other_files)
        say(f"Skipped {count} {'file that is not an image' if count == 1 else 'files that are not images'} ({kinds}).")
    if output is not None:
        say(f"Written to {output}: predictions for {result.count - len(unreadable)} of {result.count} images.")
    if len(unreadable) == result.count:
        raise typer.Exit(2)


def _predict_to_stdout(run, paths, write, options):
    """Print the prediction for each image as soon as it is computed, and return a `Bulk`."""
    from tlkeras.runs.bulk import Bulk
    from tlkeras.runs.predicting import list_images, predict_each

    images, other_files = list_images(paths)
    result = Bulk(len(images), other_files=other_files)
    for answer in predict_each(run, images, **options):
        if "error" in answer:
            result.unreadable.append(answer)
        else:
            write(answer)
    return result


def _stdin_lines():
    """Read paths from stdin, one per line."""
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")  # file names may not be valid text
    return [line.rstrip("\r\n") for line in sys.stdin if line.strip()]


def _print_answer(answer):
    """Print a prediction as one tab-separated line: the path, then pairs of class and probability.

    `unknown` is printed with the image's unknown score. If the most probable classes are requested, they follow the
    unknown score.
    """
    if "labels" in answer:
        given = answer.get("probabilities") or dict(zip(answer["labels"], answer["label_probabilities"], strict=True))
        typer.echo(f"{answer['path']}\t{', '.join(f'{name} {share:.3f}' for name, share in given.items())}")
        return
    best = [(one["class"], one["probability"]) for one in answer.get("top", [answer])]
    if answer["class"] == UNKNOWN and "unknown_score" in answer:
        best = [(UNKNOWN, answer["unknown_score"]), *(best if "top" in answer else ())]
    if "probabilities" in answer:
        best = sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])
    typer.echo("\t".join([answer["path"], *(f"{name}\t{share:.3f}" for name, share in best)]))


def _say_skipped(skipped):
    for one in skipped:
        say(f"Skipped {one['path']!r}: {one['reason']}.")
