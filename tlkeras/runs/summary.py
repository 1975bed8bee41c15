"""Summary of a run's scores: the table and the sentences that `tlkeras fit` and `tlkeras evaluate` print."""

from html import escape

from tlkeras.runs.trust import trust_text


def summary(metrics):
    """Describe a run's accuracy, the images on which it was measured, and the accuracy to expect on new images.

    Args:
        metrics: Contents of a run's `metrics.json`.

    Returns:
        Text of several lines.
    """
    scores, measured = metrics["scores"], metrics["measured"]
    what = {
        "cross-validation": f"{scores['images']} images in {measured.get('folds')}-fold cross-validation",
        "held-out images": f"{scores['images']} held-out images",
        "test images": f"{scores['images']} test images",
    }[measured["by"]]
    explained = *_explained(scores, measured), *_flips_explained(metrics.get("flips")), *trust_text(metrics)
    return "\n".join([scores_text(scores, what), *explained])


def summary_html(metrics, page):
    """Return the summary as HTML for a notebook, with a link to the run's page if there is one."""
    link = "" if page is None else f'<p><a href="{escape(str(page))}">{escape(page.name)}</a></p>'
    return f"<pre>{escape(summary(metrics))}</pre>{link}"


def scores_text(scores, what):
    """Format scores as a table with one row per class, followed by the overall scores.

    Args:
        scores: Dict returned by `Scores.to_dict` or `LabelScores.to_dict`.
        what: Description of the scored images.
    """
    if "labels" in scores:
        return _labels_text(scores, what)
    width = max(len("class"), *(len(one["name"]) for one in scores["classes"]))
    lines = [f"{'class':<{width}}  images  precision  recall"]
    lines += [
        f"{one['name']:<{width}}  {one['images']:>6}  {_share(one['precision']):>9}  {_share(one['recall']):>6}"
        for one in scores["classes"]
    ]
    lines.append(
        f"Accuracy on {what}: {scores['accuracy']:.3f} ± {scores['standard_error']:.3f} (standard error); "
        f"always predicting {scores['majority_class']!r}: {scores['majority_accuracy']:.3f}"
    )
    return "\n".join(lines)


def _labels_text(scores, what):
    width = max(len("label"), *(len(one["name"]) for one in scores["labels"]))
    lines = [f"{'label':<{width}}  images  threshold  precision  recall    F1    AP"]
    lines += [
        f"{one['name']:<{width}}  {one['images']:>6}  {one['threshold']:>9.2f}  {_share(one['precision']):>9}  "
        f"{_share(one['recall']):>6}  {_share(one['f1']):>4}  {_share(one['average_precision']):>4}"
        for one in scores["labels"]
    ]
    lines.append(
        f"Mean average precision on {what}: {scores['mean_average_precision']:.3f} "
        f"(by chance: {scores['chance']:.3f}); mean F1: {scores['mean_f1']:.3f}"
    )
    lines.append(
        f"Correct labels: {scores['accuracy']:.3f} ± {scores['standard_error']:.3f} (standard error); always "
        f"predicting the more common value of each label: {scores['majority_accuracy']:.3f}"
    )
    return "\n".join(lines)


def _share(value):
    return "-" if value is None else f"{value:.2f}"


def _flips_explained(flips):
    """Yield a sentence on the gain from averaging over flips, and on whether `predict` averages over them."""
    if flips:
        names = " and ".join(name.replace("_", " ") for name in flips["flips"])
        gain = f"{flips['gain']:+.3f} ± {flips['standard_error']:.3f}"
        verdict = "averages" if flips["helps"] else "does not average, since averaging does not help"
        yield f"Averaging over each image and its {names} gains {gain}; `predict --tta` {verdict}."


def _explained(scores, measured):
    """Yield sentences on how the accuracy was measured, and on the accuracy to expect on new images."""
    low, high = measured["expected"]
    learned, by = measured["learned_from"], measured["by"]
    if by == "test images":
        yield f"The delivered model was trained on {learned} images, which include no test images."
    elif by == "held-out images" and not measured["refitted"]:
        yield f"The delivered model was trained on {learned} other images."
    else:
        yield (
            "Each image was classified by a model that had not seen it. The final model was trained on all "
            f"{learned}, so expect slightly better accuracy."
        )
    what = "a fraction of correct labels" if "labels" in scores else "an accuracy"
    yield (
        f"On {scores['images']} new images of the same kind, expect {what} of {low:.2f} to {high:.2f} (95% prediction "
        "interval)."
    )
