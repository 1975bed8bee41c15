"""Fine-tuning and its parts."""
