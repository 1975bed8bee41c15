"""Augmentation layers, the policies that choose them, and corruptions."""
