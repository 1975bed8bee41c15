"""Check the arguments of `fit` before Keras is loaded and before any image is read."""

import os
from pathlib import Path

from tlkeras.augment.policies import augmentation_policy
from tlkeras.backbones.catalog import backbone_info, list_backbones, listed_info
from tlkeras.errors import InputError
from tlkeras.runs.folder import check_run_output
from tlkeras.runs.resuming import Unfinished
from tlkeras.runs.trust import check_trust
from tlkeras.selection.flips import safe_flips
from tlkeras.utils.files import check_outside, check_room
from tlkeras.utils.validation import check_choice, check_integer, check_number, invalid

STRATEGIES = ("features", "finetune", "auto")

#: Largest image side in pixels, above what any network was trained at. TensorFlow crashes at several times this size.
LARGEST_SIDE = 1024


def check_fit(
    source,
    output,
    backbone,
    strategy,
    probe,
    epochs,
    minutes,
    domain,
    tta,
    per_class,
    class_weight,
    image_size,
    resize,
    seed,
    overwrite,
    resume,
    calibrate,
    reject,
    multilabel,
    **others,
):
    """Check the arguments of `fit` before any image is read.

    Returns:
        `(backbone, side)`: the name of the backbone, and the side length of the images in pixels. `side` is None if
        `image_size` is not given and the backbone is not in the catalog. This is allowed only if `source` is already
        loaded.

    Raises:
        InputError: An argument is invalid.
    """
    check_choice("strategy", strategy, STRATEGIES)
    check_choice("probe", probe, ("logistic", "lda"))
    if probe != "logistic" and strategy == "finetune":
        raise invalid(
            "probe", probe, "be 'logistic' with strategy='finetune'", "Fine-tuning starts from a logistic regression."
        )
    check_trust(strategy, calibrate, reject, multilabel)
    check_choice("resize", resize, ("stretch", "crop", "pad"))
    check_choice("class_weight", class_weight, (None, "balanced"))
    check_integer("seed", seed, 0)
    check_integer("epochs", epochs, 0)
    if per_class is not None:
        check_integer("per_class", per_class, 3, advice="With fewer, no images would be left for evaluation.")
    if minutes is not None:
        check_number("minutes", minutes, "(0, inf)")
    if image_size is not None:
        check_integer("image_size", image_size, 1, LARGEST_SIDE)
    if domain is not None:
        augmentation_policy(domain)
    if tta and not safe_flips(domain):
        advice = (
            f"No flips are declared safe for {domain}." if domain else "Pass `domain`, which determines the safe flips."
        )
        raise invalid("tta", tta, f"be False {'for this' if domain else 'without a'} domain", advice)
    if backbone == "auto":
        backbone = max(list_backbones(offline=True), key=lambda name: backbone_info(name).top1 or 0)
    info = listed_info(backbone)
    if info is None and image_size is None and not hasattr(source, "image_size"):
        raise invalid("image_size", None, f"be given for {backbone}, which the catalog does not list")
    if isinstance(source, str | os.PathLike) and not str(source).startswith("tfds:"):
        if not Path(source).exists():
            raise InputError(f"`source` must be an existing file or folder. Received: {str(source)!r}.")
        if Path(source).is_file() and Path(source).suffix == "":
            raise InputError(f"{str(source)!r} is not a folder. Pass a folder with one subfolder per class.")
    if output is not None:
        unfinished = Unfinished(output)
        check_run_output(output, overwrite or resume)  # `resume` returns a finished run
        unfinished.check(resume, overwrite)
        if isinstance(source, str | os.PathLike) and Path(source).is_dir():
            check_outside(output, source)
        if info:
            check_room(output, 2 * 4 * info.parameters)  # float32 weights in model.keras and model.tflite
    return backbone, image_size or (info.default_size if info else None)
