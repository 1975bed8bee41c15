"""Two networks side by side: one as it was, one with the BatchNorm statistics of another domain."""

import keras
from keras import layers

from tlkeras.models.graph import flatten, graft, graph_of
from tlkeras.pipelines.affine import Affine

#: Suffix of the layer names in the adapted network.
SUFFIX = "_adapted"


def renamed_copy(network: keras.Model) -> keras.Model:
    """Copy a network under new names, so that it can stand beside the original in one model.

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
    """Put networks side by side on one input, and a softmax of an affine map of their features on top.

    Args:
        networks: Functional models of one input of equal shape, whose layers have different names.
        joint: Map from their features, side by side, to one logit per class.
        name: Name of the model.

    Returns:
        A flat `keras.Model` from raw pixels to probabilities, float32 of shape `(N, classes)`.
    """
    inputs = keras.Input(networks[0].input_shape[1:], name="pixels")
    features = [graft(flatten(graph_of(one)), inputs, inputs).outputs[0] for one in networks]
    both = features[0] if len(features) == 1 else layers.Concatenate(name="both_networks")(features)
    head = layers.Dense(joint.matrix.shape[1], "softmax", dtype="float32", name="predictions")
    model = keras.Model(inputs, head(both), name=name)
    head.set_weights([joint.matrix, joint.offset])
    return model
