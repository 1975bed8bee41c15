"""Pretrained backbones with their preprocessing inside."""
