"""Optimizers whose learning rate falls with depth, and a table of the rates they use."""
