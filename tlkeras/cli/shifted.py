"""`tlkeras evaluate RUN --shifted SOURCE`: accuracy on clean, corrupted and shifted images in one table."""

import typer

from tlkeras.cli.terminal import load_keras, print_json, say


def print_comparison(folder, source, shifted, options, as_json):
    """Compare accuracy across domains, and print a table or one JSON object.

    Args:
        folder: `pathlib.Path` of the run.
        source: Clean labeled images, or None for the training images.
        shifted: Labeled images from the new domain.
        options: Dict with the keys `columns`, `root`, `label_separator` and `verbose`.
        as_json: Whether to print one JSON object instead of a table.
    """
    load_keras()
    from tlkeras.data.sources import TableOptions
    from tlkeras.runs.run import load_run
    from tlkeras.runs.shifted import evaluate_shifted

    table = TableOptions(options["columns"], options["root"], options["label_separator"], None)
    comparison, seen = evaluate_shifted(load_run(folder), source, shifted, table, options["verbose"])
    if seen:
        say(
            f"The model was trained on {seen} of the clean images, so the table shows the accuracy that `fit` measured "
            "on held-out images, without corruptions. To measure corruptions, pass a SOURCE that the model was not "
            "trained on."
        )
    for row in comparison.rows:
        if row.skipped:
            say(f"Skipped {row.skipped} unreadable images of {row.name!r}.")
    if as_json:
        print_json({**comparison.to_dict(), "seen_in_training": seen})
        return
    typer.echo(comparison)
    typer.echo(
        "Distance: proxy A-distance from the features of the clean images, from 0 (same) to 2 (fully separable)."
    )
