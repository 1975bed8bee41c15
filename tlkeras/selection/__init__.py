"""Choosing a strategy."""
