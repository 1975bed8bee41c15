"""Recompute BatchNorm statistics for weights that did not come from training, such as an average of two models."""

import keras

from tlkeras.training.steps.data import each_batch


def recompute_statistics(model, batches):
    """Set the moving statistics of trainable BatchNorm layers to the mean of the batch statistics over one pass.

    Every batch counts equally, as in `torch.optim.swa_utils.update_bn`. Frozen layers keep their statistics.

    Args:
        model: A built Keras model.
        batches: Training batches; see `tlkeras.training.steps.data.as_batches`.

    Reference: Izmailov et al., 2018, section 3.2, https://arxiv.org/abs/1803.05407
    """
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    momenta = [layer.momentum for layer in norms]
    try:
        for seen, (images, _) in enumerate(each_batch(batches)):
            for layer in norms:
                layer.momentum = seen / (seen + 1)
            model(images, training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
