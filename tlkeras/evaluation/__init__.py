"""Metrics, trust, and the figures that show both."""

import lazy_loader

# Matplotlib is loaded with the first figure: `tlkeras predict` reads this room and draws none.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"figures": ["accuracy_bars", "curves", "decision_regions", "standard_error", "with_error"]}
)
