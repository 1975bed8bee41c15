"""Metrics, calibration, detection of unknown classes, and figures of the results."""

import lazy_loader

# Matplotlib is loaded with the first figure, since `tlkeras predict` imports this package and draws none.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"figures": ["accuracy_bars", "curves", "decision_regions", "standard_error", "with_error"]}
)
