"""Pretrained backbones that include their own preprocessing."""
