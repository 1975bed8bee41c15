"""Measures and figures of what a classifier gets right and wrong."""

from tlkeras.report.figures import accuracy_bars, curves, decision_regions, standard_error, with_error

__all__ = ["accuracy_bars", "curves", "decision_regions", "standard_error", "with_error"]
