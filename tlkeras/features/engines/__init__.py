"""What runs a feature network: Keras itself, or a runtime made for inference only."""
