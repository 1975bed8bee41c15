"""Helpers for the notebooks: a quiet start, the drawings, stored measurements, and checks of exercises."""

from tlkeras.teaching.exercises import NotYet, check
from tlkeras.teaching.materials import clipart10, measured
from tlkeras.teaching.session import finding, start

__all__ = ["NotYet", "check", "clipart10", "finding", "measured", "start"]
