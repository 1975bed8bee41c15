"""Metrics, and the figures that show them."""

from tlkeras.evaluation.figures import accuracy_bars, curves, decision_regions, standard_error, with_error

__all__ = ["accuracy_bars", "curves", "decision_regions", "standard_error", "with_error"]
