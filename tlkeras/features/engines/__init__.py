"""What runs a network of features: Keras itself, or a runtime made for inference only."""
