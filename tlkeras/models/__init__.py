"""Inspect the structure of Keras models and modify it."""
