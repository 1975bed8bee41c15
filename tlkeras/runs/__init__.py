"""Runs: the folders that store trained classifiers, and the functions that write and read them."""
