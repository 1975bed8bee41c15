"""Find the layers that quantization changes most, by comparing a float32 file with a quantized one layer by layer."""

import numpy as np

from tlkeras.exporters.litert_editing import opened, run_all
from tlkeras.exporters.options import OUTPUTS


def layer_errors(content, quantized, images, count=3):
    """Find the layers whose outputs are changed most by quantization.

    Args:
        content: Contents of the float32 file, as bytes.
        quantized: Contents of the quantized file, as bytes.
        images: A few uint8 images on which the files are compared.
        count: Number of layers to return. Defaults to 3.

    Returns:
        List of `(layer, error)`, largest error first. The error is the root mean square of the change, divided by the
        root mean square of the float32 values.
    """
    plain, other = _computed(content), _computed(quantized)
    names = [name for name in plain if name in other and not name.startswith(OUTPUTS[1])]  # always in float
    errors = dict.fromkeys(names, 0.0)
    before = run_all(content, images, [plain[name] for name in names])
    after = run_all(quantized, images, [other[name] for name in names])
    for first, second in zip(before, after, strict=True):
        for name in names:
            values, changed = first.get(plain[name]), second.get(other[name])
            if values is not None and changed is not None and values.shape == changed.shape:
                errors[name] += _change(values, changed) / len(images)
    worst = {}
    for name in sorted(errors, key=errors.get, reverse=True):
        worst.setdefault(name.partition(";")[0].partition(":")[0], errors[name])
    return list(worst.items())[:count]


def _computed(content):
    """Return a dict that maps the names of computed (not constant) tensors to their indices."""
    model, graph = opened(content)
    tensors = enumerate(graph.tensors)
    return {one.name.decode(): number for number, one in tensors if model.buffers[one.buffer].data is None}


def _change(values, changed):
    """Return the root mean square of a change, divided by the root mean square of the values."""
    size = np.sqrt(np.mean(np.square(values, dtype="float64"))) or 1.0
    return float(np.sqrt(np.mean(np.square(changed.astype("float64") - values))) / size)
