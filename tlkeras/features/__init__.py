"""Pretrained networks as fixed feature extractors."""
