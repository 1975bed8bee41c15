"""Makes the classes of tlkeras that files may hold known to Keras, without importing Keras before its time."""

import importlib.util
import sys


def register_with_keras():
    """Registers differential optimizers, augmentation layers and losses now, or as soon as Keras is imported.

    So `keras.models.load_model` finds them wherever tlkeras is imported at all, before or after Keras, while
    `import tlkeras` alone costs next to nothing.
    """
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _register():
    import tlkeras.augment.layers
    import tlkeras.optimizers.classes
    import tlkeras.training.losses  # noqa: F401 (they register their classes)


class _AfterKeras:
    """An import hook that serves once: it finds Keras as Python does, and registers when it has been executed."""

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
