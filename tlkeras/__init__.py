"""Transfer learning for Keras 3 that is right by default.

Names are loaded when they are first used, so `import tlkeras` takes almost no time. The list of public names is in
`__init__.pyi`, which both the lazy loader and type checkers read.
"""

import lazy_loader

from tlkeras._registration import register_with_keras
from tlkeras._version import __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]

register_with_keras()
del register_with_keras
