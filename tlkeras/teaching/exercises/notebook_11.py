"""Check the exercises in `11_deploy`."""

import numpy as np

from tlkeras.teaching.exercises import require, require_choice, tried

QUIZ = {
    "a": (False, "Training is over. The notebook answers well with the same weights."),
    "b": (
        True,
        "It raises no error, and all images look alike to the network. Feed both the same pixels.",
    ),
    "c": (False, "A slow phone answers later, not differently."),
    "d": (False, "The learning rate plays no part once a model is exported."),
}


def exercise_1(prediction, stays):
    """Compare the guess with the fraction of unchanged predictions. Near a boundary, accept both guesses."""
    places = ("more than 90", "50 to 90", "less than 50")
    require_choice(prediction, places)
    percent = 100 * float(stays)
    holds = {places[0]: percent > 87, places[1]: 47 < percent < 93, places[2]: percent < 53}
    require(holds[prediction], f"{percent:.1f}% of the answers stay. Run the cell above and compare.")
    return f"{percent:.1f}% of the answers stay: many small errors that point in all directions cancel out."


def exercise_2(quantize):
    """Call the learner's function with synthetic weights: columns of very different magnitudes and one of zeros."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 1, (40, 4)) * np.array([1e-3, 1.0, 300.0, 0.0])
    result = tried(quantize, weights.copy())
    require(isinstance(result, tuple | list) and len(result) == 2, "return a pair: integers and scales.")
    integers, scales = (np.asarray(one) for one in result)
    require(integers.dtype == np.int8, f"the integers must have dtype int8. Received: {integers.dtype}.")
    require(integers.shape == weights.shape, "there must be one integer per weight.")
    require(scales.size == 4, f"there must be one scale per column, 4 here. Received: {scales.size}.")
    require((scales > 0).all(), "a column of zeros has a scale that is not positive. Divide by another number there.")
    back = integers * scales.reshape(1, 4)
    require(np.isfinite(back).all(), "the column of zeros became NaN or infinite.")
    error = abs(back - weights).max(axis=0)
    allowed = 0.51 * abs(weights).max(axis=0) / 127
    require(
        (error <= allowed + 1e-15).all(),
        "a column is off by more than half a step. Does its largest weight map to 127?",
    )
    return "Each column has its own ruler, so small columns keep their digits beside large ones."


def exercise_3(export, run):
    """Check the report of the export."""
    require(hasattr(export, "report"), "my_export must be the result of tlkeras.export.")
    require(hasattr(run, "class_names"), "my_run must be the result of tlkeras.fit.")
    weights = 4 * run.model.count_params()
    share, agreement = export.report["bytes"] / weights, export.report["verified"]["agreement"]
    require(share <= 0.6, f"the file is {share:.0%} as large as the float32 weights. Choose a smaller quantization.")
    agrees = f"agrees with Keras on {agreement:.1%} of the answers"
    require(agreement >= 0.95, f"the file {agrees}. Keep more bits.")
    return f"The file is {share:.0%} as large as the float32 weights. It {agrees}."
