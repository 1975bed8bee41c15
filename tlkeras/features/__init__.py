"""Use pretrained networks as fixed feature extractors."""
