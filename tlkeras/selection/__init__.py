"""Strategies of `fit`, and how to choose between them."""
