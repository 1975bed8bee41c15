"""Fine-tuning, gradual unfreezing, learning-rate search and the losses they use."""
