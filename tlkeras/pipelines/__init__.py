"""Probes on features, and the way back into one Keras model."""
