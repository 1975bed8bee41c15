"""Augmentation layers, policies that choose the layers for a domain, and corruptions."""
