"""The steps of fine-tuning."""
