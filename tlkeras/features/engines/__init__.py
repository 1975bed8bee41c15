"""Engines that run a feature network: Keras itself, or a runtime made only for inference."""
