"""The headline of the report: the main score, its interval, and a baseline."""

from tlkeras.report.wording import count, independence, measured_on, percent, seconds, size


def headline(facts):
    """Return a dict with the main score, its name and interval, the images it was measured on, and a baseline."""
    scores, (low, high) = facts.scores, facts.metrics["measured"]["expected"]
    images, wrong = count(scores["images"], "image"), int((~facts.right).sum())
    shared = {
        "of": measured_on(facts.metrics),
        "why": independence(facts.metrics),
        "low": low,
        "high": high,
        "expected": f"{percent(low, 0)} to {percent(high, 0)}",
        "images": images,
        "error": f"{100 * scores['standard_error']:.1f}",
        "accuracy": scores["accuracy"],
        "baseline": scores["majority_accuracy"],
        "half": 1.96 * scores["standard_error"],
    }
    if facts.multilabel:
        return shared | {
            "name": "Mean average precision",
            "value": percent(scores["mean_average_precision"]),
            "scale_name": "Correct decisions over all images and labels",
            "baseline_name": "always predicting the more common value of each label",
            "facts": [
                ("By chance", percent(scores["chance"])),
                ("Mean F1", percent(scores["mean_f1"])),
                ("Images with a wrong prediction", f"{wrong:,} of {scores['images']:,}"),
                *_at_a_glance(facts),
            ],
        }
    return shared | {
        "name": "Accuracy",
        "value": percent(scores["accuracy"]),
        "scale_name": "Accuracy",
        "baseline_name": f"always predicting “{scores['majority_class']}”",
        "facts": [
            ("Wrong predictions", f"{wrong:,} of {scores['images']:,}"),
            *_at_a_glance(facts),
        ],
    }


def _at_a_glance(facts):
    """Yield other key facts as `(name, value)` pairs."""
    taken = facts.metrics.get("seconds", {})
    yield "Trained on", count(facts.metrics["measured"]["learned_from"], "image")
    if taken:
        yield "Training took", seconds(sum(taken.values()))
    if "model.keras" in facts.files:
        yield "Model file", size(facts.files["model.keras"])
