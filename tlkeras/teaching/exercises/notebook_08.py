"""Check the exercises in `08_choosing_a_backbone`."""

from tlkeras.teaching.exercises import require, require_choice, tried

QUIZ = {
    "a": (False, "Within one standard error, these images cannot tell which of the two is better."),
    "b": (False, "Capacity that does not show in accuracy costs time and space on every image, for years."),
    "c": (True, "Your images cannot tell them apart, but your users notice time and space."),
    "d": (False, "That costs as much as both together. It may gain a little, but must be measured first."),
}

_NAMES = (
    "vgg16",
    "resnet50",
    "efficientnet_lite0",
    "efficientnet_lite2",
    "convnext_tiny",
    "hub:siglip_base_patch16_224",
)


def exercise_1(prediction, comparison):
    """Compare the guess with the verdict of the comparison."""
    places = ("block6", "output", "not told apart")
    require_choice(prediction, places)
    truth = comparison.better or "not told apart"
    low, high = (100 * end for end in comparison.interval)
    said = f"the difference is {100 * comparison.difference:.1f} points, with an interval of {low:.1f} to {high:.1f}"
    require(prediction == truth, f"{said}. Is zero inside?")
    lesson = {
        "block6": "On these images an earlier block is better",
        "output": "On these images the output is better",
    }.get(truth, "With this many images the earlier block shows no advantage")
    return f"{said[0].upper()}{said[1:]}. {lesson}: rank the blocks on yours."


def exercise_2(affordable):
    """Call the learner's function with several budgets."""
    from tlkeras.backbones.catalog import backbone_info

    for budget in (400e6, 900e6, 5e9, 16e9):
        known = [backbone_info(name) for name in _NAMES]
        expected = max((one for one in known if one.top1 and one.multiply_adds <= budget), key=lambda one: one.top1)
        result = tried(affordable, list(_NAMES), budget)
        require(isinstance(result, str), f"return a name. Received: {result!r}")
        require(result in _NAMES, f"{result!r} is not one of the given names.")
        info = backbone_info(result)
        require(
            info.multiply_adds <= budget, f"{result} needs {info.multiply_adds:.3g} multiply-adds, not {budget:.3g}."
        )
        require(
            info.name == expected.name, f"with a budget of {budget:.3g}, another one is more accurate than {result}."
        )
    return "Your list of ImageNet accuracies is a strong first guess. Measure its top two or three on your images."


def exercise_3(choice, ranking):
    """Require the choice to be among the candidates tied for best."""
    require(hasattr(ranking, "ties"), "my_ranking must be the result of tlkeras.rank.")
    require(len(ranking.rows) > 1, "rank at least two candidates: backbones, or blocks of a backbone.")
    require(hasattr(choice, "candidate"), "my_choice must be a row of my_ranking, such as my_ranking.recommended.")
    require(choice in ranking.rows, "my_choice is not a row of my_ranking.")
    require(choice.tied, f"{choice.candidate.label} is behind the best by more than one standard error.")
    return (
        f"{choice.candidate.label}, {choice.accuracy:.1%} of {ranking.images} images, one of {len(ranking.ties)} ties."
    )
