"""Probes on features, and folding them back into one Keras model."""
