"""Fine-tuning and what it is made of."""
