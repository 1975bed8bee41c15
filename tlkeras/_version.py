"""The version of tlkeras."""

__version__ = "0.1.0"
