"""Choose a quantization: the smallest that preserves the predictions and is about as fast as the fastest."""

from tlkeras.exporters.processor import has_int8_dot_products
from tlkeras.exporters.verification import failure

#: Files that are slower than the fastest by up to this factor are considered equally fast.
_EQUAL = 1.15

#: Smallest fraction of unchanged answers, and of unchanged decisions on "none of these", at which `auto` accepts a
#: quantization.
_AGREEMENT = 0.97


def choose(measured, max_drop, threads=1):
    """Choose among measured quantizations.

    Args:
        measured: Dict that maps quantizations to measurements, as in `tlkeras.exporters.candidates.Candidates`.
        max_drop: As in `tlkeras.exporters.verification.failure`.
        threads: Number of threads at which to compare times. Defaults to 1.

    Returns:
        `(quantization, reason)`: a name and a sentence. `quantization` is None if even the file without quantization is
        not accurate enough.

    Example:

    >>> plain = {"agreement": 1.0, "largest_difference": 0.0, "bytes": 100, "milliseconds": {1: 10.0}}
    >>> small = {"agreement": 0.98, "largest_difference": 0.2, "bytes": 30, "milliseconds": {1: 5.0}}
    >>> name, reason = choose({"none": plain, "int8": small}, None)
    >>> name, reason.partition(",")[0]
    ('int8', 'int8 takes 30% of the space and 50% of the time of float32')
    """
    good = {
        name: result
        for name, result in measured.items()
        if failure(result, max_drop) is None and (name == "none" or _agrees(result))
    }
    if not good:
        return None, "no quantization preserves the answers"
    fastest = min(result["milliseconds"][threads] for result in good.values())
    fast = {name: result for name, result in good.items() if result["milliseconds"][threads] <= _EQUAL * fastest}
    name = min(fast, key=lambda name: fast[name]["bytes"])
    return name, reason(name, measured, threads)


def _agrees(result):
    """Return whether enough of the predicted classes, and of the decisions on unknown classes, are unchanged."""
    return min(result["agreement"], result.get("unknown_agreement", 1.0)) >= _AGREEMENT


def reason(name, measured, threads=1):
    """Return a sentence that compares a quantized file with the float32 file in size, time and predictions."""
    result, plain = measured[name], measured.get("none")
    if name == "none" and len(measured) == 1:
        return "Plain float32, because nothing smaller was measured."
    if name == "none" or plain is None:
        return "Plain float32, because nothing smaller is as fast and preserves the answers."
    time = result["milliseconds"][threads] / plain["milliseconds"][threads]
    text = (
        f"{name} takes {result['bytes'] / plain['bytes']:.0%} of the space and {time:.0%} of the time of float32, and "
        f"gives the same answer for {result['agreement']:.1%} of the images."
    )
    if "int8" in name and time > 0.8 and not has_int8_dot_products():
        text += " This processor has no 8-bit dot products (VNNI); int8 is faster on one that has them."
    return text
