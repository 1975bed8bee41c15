"""The training strategies of `fit`, and functions for choosing among them."""
