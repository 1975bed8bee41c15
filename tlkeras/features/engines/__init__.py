"""Engines that run a feature network: Keras itself, or an inference runtime."""
