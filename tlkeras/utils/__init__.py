"""Helpers that have nothing to do with images or models."""
