"""Metrics, calibration, detection of unknown classes, and figures of the results."""
