"""Register with Keras the classes that a `.keras` file may contain, without importing Keras too early.

`keras.models.load_model` must find differential optimizers, augmentation layers and losses whenever tlkeras is
imported, before or after Keras. Yet `import tlkeras` must not import Keras, which takes several seconds. Keras has no
hook for this: it looks classes up in a plain dict. Therefore this module, and no other, puts a finder on
`sys.meta_path` that waits for the import of Keras and then removes itself.
"""

import importlib.util
import sys


def register_with_keras() -> None:
    """Register the classes now if Keras has been imported; otherwise, as soon as it is imported."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _register() -> None:
    import tlkeras.augment.layers
    import tlkeras.optimizers.differential_classes
    import tlkeras.training.losses  # noqa: F401 (each registers its classes)


class _AfterKeras:
    """A finder that lets Python find Keras as usual and registers the classes once Keras has been loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                _register()

            spec.loader.exec_module = execute_and_register
        return spec
