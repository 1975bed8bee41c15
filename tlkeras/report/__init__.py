"""Measures and figures of what a classifier gets right and wrong."""
