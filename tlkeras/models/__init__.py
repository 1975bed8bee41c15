"""What a Keras model is made of, and surgery on it."""
