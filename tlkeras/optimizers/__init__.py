"""Optimizers with learning rates that get smaller toward the input, and a table of these rates."""
