"""Runs: the folders in which trained classifiers are kept, and the jobs that write and read them."""
