"""Optimizers whose learning rate decreases with depth, and a table of the rates they use."""
