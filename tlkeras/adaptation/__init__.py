"""Adaptation: use a model on images that differ from its training images, or train one with few labels."""
