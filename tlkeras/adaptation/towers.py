"""Two networks side by side: the original, and a copy with the BatchNorm statistics of a new domain."""

import keras
from keras import layers

from tlkeras.models.graph import flatten, graft, graph_of
from tlkeras.pipelines.affine import Affine

#: Suffix of the layer names in the adapted network.
SUFFIX = "_adapted"


def renamed_copy(network: keras.Model) -> keras.Model:
    """Copy a network with new layer names, so that one model can contain both the copy and the original.

    Args:
        network: A functional model.

    Example:

    >>> network = keras.Sequential([keras.Input((2,)), layers.Dense(1, name="dense")])
    >>> [layer.name for layer in renamed_copy(network).layers][-1]
    'dense_adapted'
    """
    flat = flatten(graph_of(network))

    def renamed(operation):
        return type(operation).from_config({**operation.get_config(), "name": f"{operation.name}{SUFFIX}"})

    copy = keras.models.clone_model(flat, clone_function=renamed)
    copy.set_weights(flat.get_weights())
    return copy


def with_readout(networks: list[keras.Model], joint: Affine, name: str) -> keras.Model:
    """Build one model from several networks that share an input, with a softmax over an affine map of their features.

    Args:
        networks: Functional models with one input each, all of the same shape. No two layers of these models may have
            the same name.
        joint: Affine map from the concatenated features of the networks to one logit per class.
        name: Name of the model.

    Returns:
        A flat `keras.Model` that maps raw pixels to probabilities, float32 of shape `(N, classes)`.
    """
    inputs = keras.Input(networks[0].input_shape[1:], name="pixels")
    features = [graft(flatten(graph_of(one)), inputs, inputs).outputs[0] for one in networks]
    both = features[0] if len(features) == 1 else layers.Concatenate(name="both_networks")(features)
    head = layers.Dense(joint.matrix.shape[1], "softmax", dtype="float32", name="predictions")
    model = keras.Model(inputs, head(both), name=name)
    head.set_weights([joint.matrix, joint.offset])
    return model
