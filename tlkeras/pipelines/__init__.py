"""Train probes on features, and fold a probe and its backbone into a single Keras model."""
