"""The public function `adapt`: adapt a run to a new domain using unlabeled images from that domain."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tlkeras.adaptation.domain_probe import Domains, adapt_to_domain
from tlkeras.adaptation.unlabeled import Unlabeled, unlabeled_images
from tlkeras.errors import InputError
from tlkeras.models.heads import find_head
from tlkeras.report.adapted_page import render_adapted_page
from tlkeras.runs.command import command_of
from tlkeras.runs.folder import REPORT, check_run_output, write_report, written_run
from tlkeras.runs.images import digest, source_files
from tlkeras.runs.run import Run, load_run, use_files


def adapt(
    run: Run | str | os.PathLike,
    images: Any,
    output: str | os.PathLike | None = None,
    *,
    source: Any = None,
    labeled: Any = None,
    batchnorm: bool = True,
    self_training: bool = False,
    overwrite: bool = False,
    verbose: bool = False,
) -> Run:
    """Adapt a run to a new domain, such as a new camera or style, using unlabeled images from that domain.

    Each feature is rescaled so that its mean and standard deviation on the new images match those on the images that
    the run was trained on. This transformation is folded into the head. A copy of the network with BatchNorm statistics
    from the new domain is added, which doubles the prediction time. A probe is then fitted to the labeled images that
    the run was trained on. The command `tlkeras adapt` does the same as this function.

    Rescaling can reduce accuracy if the shift is small and the class proportions of the two domains differ. The logits
    are therefore averaged with those of a probe without adaptation. The probe without adaptation accounts for half of
    this average (80% without a copy of the network) if the two probes predict the same class for at least 80% of the
    new images, for less if they agree on fewer images, and for none of it if they agree on less than 40%.

    The class proportions should be similar in both domains. Only labeled images from the new domain can show how
    accurate the new run is: call `run.evaluate(folder)`. The `metrics` of the new run contain the scores of the
    original run on the original domain.

    Args:
        run: A `Run`, or its folder.
        images: At least 100 unlabeled images of the new domain: a folder (subfolder names are ignored); paths; pixels;
            or a split from `tlkeras.load_images`.
        output: Folder to write the new run to. Defaults to None, which writes nothing.
        source: The labeled images that the run was trained on, in any form that `tlkeras.fit` accepts. Defaults to
            None, which means the source recorded in the run.
        labeled: Labeled images of the new domain, in any form that `Run.evaluate` accepts. If given, the new run must
            be at least as accurate on them as the original run. Defaults to None.
        batchnorm: Whether to add a copy of the network with adapted BatchNorm statistics. The copy is omitted for
            networks without BatchNorm and for fewer than 100 source images. Defaults to True.
        self_training: Whether to fit the probe a second time, with the new images added to the training data, labeled
            with the probe's own predictions. This improves accuracy slightly on average, but not in every case.
            Defaults to False.
        overwrite: Whether to replace an existing run in `output`. Defaults to False.
        verbose: Whether to show progress on stderr. Defaults to False.

    Returns:
        The adapted `Run`, with details of the adaptation in `metrics["adaptation"]`.

    Raises:
        InputError: There are too few images, the images do not differ from those that the run was trained on, an image
            cannot be read, the run's training images no longer exist, the predictions collapse to a few classes, or the
            new run is less accurate on `labeled` than the original. Nothing is written in these cases.

    Example:

    >>> import tlkeras
    >>> run = tlkeras.fit("data/emoji4/noto", per_class=5, verbose=False)
    >>> tlkeras.adapt(run, "data/emoji4/noto/bug")
    Traceback (most recent call last):
    tlkeras.errors.InputError: `images` must contain at least 100 images of the new domain. Received: 16 images.
    """
    if output is not None:
        check_run_output(output, overwrite)
    arguments = {"run": run.path or run if isinstance(run, Run) else run, "images": images, "output": output}
    arguments |= {"source": source, "labeled": labeled, "batchnorm": batchnorm, "self_training": self_training}
    run = run if isinstance(run, Run) else load_run(run)
    head = _softmax_head(run)
    network = keras.Model(run.model.inputs[0], head.features, name=run.model.name)
    target = unlabeled_images(images, "images")
    known, labels = _learned_images(run, source)
    domains = Domains(network, known, labels, target, run.resize, verbose)
    adaptation = adapt_to_domain(domains, batchnorm, self_training)
    metrics = {**run.metrics, "adaptation": adaptation.facts}
    adapted = Run(
        adaptation.model,
        run.class_names,
        run.image_size,
        run.resize,
        path=None if output is None else Path(output),
        metrics=metrics,
        log=run.log,
    )
    if labeled is not None:
        metrics["adaptation"]["labeled"] = _compared(run, adapted, labeled)
    if output is not None:
        with written_run(output, adapted, overwrite) as folder:
            write_report(folder, metrics, None, run.log)
            lines, command = adaptation_text(adaptation.facts).splitlines(), command_of(arguments, adapt, "run")
            page = render_adapted_page(Path(output).resolve().name, run.class_names, metrics, lines, command)
            (folder / REPORT).write_text(page, "utf-8")
        use_files(adapted)
    return adapted


def adaptation_text(facts: dict) -> str:
    """Explain an adaptation in several lines of text.

    Args:
        facts: The dict `metrics["adaptation"]` of an adapted run.
    """
    before, after = facts["classes_in_use"]
    lines = [
        f"Adapted to {facts['images']} unlabeled images. A classifier tells them apart from the run's images with an "
        f"accuracy of {facts['domains_told_apart']:.2f} (chance: 0.50).",
        f"{facts['answers_changed']:.0%} of the predictions for these images changed. Classes in use: {before:.1f} "
        f"before, {after:.1f} now.",
    ]
    if facts["weight_of_former"]:
        lines.append(
            f"Without adaptation, {facts['agreement']:.0%} of the predictions would be the same. The logits are "
            f"therefore averaged, with a weight of {facts['weight_of_former']:.0%} for those without adaptation."
        )
    if facts["self_training"]:
        lines.append(f"Self-training changed {facts['changed_by_self_training']:.0%} of the predictions.")
    if facts["batchnorm"]:
        lines.append(
            "The model contains two copies of the network, so predictions take twice as long. Use `--no-batchnorm` to "
            "avoid this."
        )
    if "labeled" in facts:
        old, new = facts["labeled"]["accuracy"]
        lines.append(f"Accuracy on {facts['labeled']['images']} labeled images: {old:.3f} before, {new:.3f} now.")
    else:
        lines.append(
            "The new accuracy can only be measured with labels: run `tlkeras evaluate` on some labeled images."
        )
    return "\n".join(lines)


def _softmax_head(run):
    """Return the head of a run with one class per image. Raise an error if images may have several labels."""
    head = find_head(run.model) if run.thresholds is None else None
    if head is None or head.task != "multiclass":
        raise InputError("`run` must predict one class per image. Received: a run with several labels per image.")
    return head


def _learned_images(run, source):
    """Return the images that a run was trained on, and their class indices."""
    data = run.metrics.get("data", {})
    where = data.get("source") if source is None else source
    learned = set(data.get("learned", {}).values())
    files = [file for file in source_files(run, source) if digest(file.source) in learned]
    missing = set(run.class_names) - {file.label for file in files}
    if missing:
        raise InputError(
            f"`source` must contain the images that the run was trained on. Received: {str(where)!r}, which has no "
            f"images of class {sorted(missing)[0]!r}."
        )
    labels = np.array([run.class_names.index(file.label) for file in files])
    return Unlabeled([file.source for file in files], np.array([file.path for file in files])), labels


def _compared(run, adapted, labeled):
    """Evaluate both runs on labeled images. Raise an error if the adapted run is less accurate than the original."""
    scores = [one.evaluate(labeled)["scores"] for one in (run, adapted)]
    accuracy = [one["accuracy"] for one in scores]
    if accuracy[1] < accuracy[0]:
        raise InputError(
            f"Adaptation lowers the accuracy on the labeled images from {accuracy[0]:.3f} to {accuracy[1]:.3f}. "
            f"Received: labeled={str(labeled)!r}. Keep the original run."
        )
    return {"images": scores[0]["images"], "accuracy": accuracy}
