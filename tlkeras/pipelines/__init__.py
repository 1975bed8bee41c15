"""Train probes on features, and fold each one with its backbone into a single Keras model."""
