"""Check the exercises in `12_decisions`."""

from tlkeras.teaching.exercises import require, tried

QUIZ = {
    "a": (False, "Without a check and a baseline you will not know whether those fifty epochs were worth anything."),
    "b": (
        False,
        "A larger network does not repair wrong labels, and size may not be what is missing.",
    ),
    "c": (
        True,
        "It takes minutes, shows what is wrong with the data, and gives the number that everything else must beat.",
    ),
    "d": (False, "Perhaps later: the learning curve of the probe tells whether they would help. Ask it first."),
}


def exercise_1(prediction):
    """Compare the answer with the rule of `tlkeras.advise`, and with what the course measured."""
    pair = isinstance(prediction, tuple | list) and len(prediction) == 2
    require(pair, f"the answer must be a pair, such as ('head', True). Received: {prediction!r}")
    layers, measured = prediction
    require(layers in ("head", "last", "all"), f"the first must be 'head', 'last' or 'all'. Received: {layers!r}")
    require(isinstance(measured, bool), f"the second must be True or False. Received: {measured!r}")
    require(layers == "last", "thirty times 427 images is between 1,000 and 100,000.")
    require(not measured, "what does the row of this rule in the table *Freezing and training* say?")
    return "The rule says: the last blocks. The course has not measured it, so `strategy='auto'` compares both."


def exercise_2(strategy):
    """Call the learner's function at and around the boundaries."""
    cases = {
        (1000, 10, 0.9): "finetune",
        (999, 10, 0.9): "features",
        (1000, 9, 0.9): "features",
        (1000, 10, 0.95): "features",
        (50_000, 400, 0.6): "finetune",
        (50_000, 400, 0.99): "features",
        (100, 3, 0.3): "features",
    }
    for case, expected in cases.items():
        result = tried(strategy, *case)
        require(result in ("finetune", "features"), f"return 'finetune' or 'features'. Received: {result!r}")
        images, smallest, probe = case
        said = f"{images:,} images, {smallest} in the smallest class, probe {probe:.0%}"
        require(result == expected, f"{said}: {result!r} is not what the rule says.")
    return "A rule written as a function can be tested, and changed when someone has better measurements."


def exercise_3(run, export):
    """Check the scores of the run, and the verification of the exported file."""
    require(hasattr(run, "metrics"), "my_run must be the result of tlkeras.fit.")
    require(hasattr(export, "report"), "my_export must be the result of tlkeras.export.")
    scores, agreement = run.metrics["scores"], export.report["verified"]["agreement"]
    accuracy, majority = scores["accuracy"], scores["majority_accuracy"]
    require(
        accuracy > majority, f"{accuracy:.1%} does not beat the majority class, {majority:.1%}. Check the data first."
    )
    return (
        f"{accuracy:.1%} of {scores['images']} unseen images are right, majority {majority:.1%} (few images: look at "
        f"the interval before you compare); the file "
        f"agrees on {agreement:.1%}. That was transfer learning. Now use it."
    )
