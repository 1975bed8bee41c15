"""Adapt a model to images that differ from its training images, or train a model with few labels."""
