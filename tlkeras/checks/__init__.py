"""Faults of image folders and of augmentations."""
