"""MixUp and CutMix in the data pipeline: images and their labels blended within a batch."""

import keras
import numpy as np

from tlkeras.errors import InputError
from tlkeras.images.batches import ImageBatches
from tlkeras.training.data import class_numbers


class MixedBatches(keras.utils.PyDataset):
    """Batches whose images and labels are blended by Keras' own `MixUp` or `CutMix` layer, drawn by lot.

    Args:
        batches: `ImageBatches` of images and class numbers or one-hot rows.
        classes: Number of classes.
        mixup: Parameter of the beta distribution of MixUp (Zhang et al., 2018); 0 for none.
        cutmix: The same of CutMix (Yun et al., 2019).
        seed: Of what is blended with what.
    """

    def __init__(self, batches, classes, *, mixup=0.0, cutmix=0.0, seed=0):
        if not isinstance(batches, ImageBatches):
            raise InputError(
                "mixup and cutmix need arrays or a split of load_images; mix other data in its own pipeline."
            )
        super().__init__(workers=batches.workers)
        self.batches, self.classes, self.seed = batches, classes, seed
        self.layers = [keras.layers.MixUp(mixup, seed=seed)] if mixup else []
        self.layers += [keras.layers.CutMix(cutmix, seed=seed)] if cutmix else []

    @property
    def num_batches(self):
        return self.batches.num_batches

    def __len__(self):
        return self.num_batches

    def __getitem__(self, index):
        images, labels = self.batches[index]
        one_hot = np.eye(self.classes, dtype="float32")[class_numbers(labels)]
        layer = self.layers[np.random.default_rng([self.seed, self.batches.epoch, index]).integers(len(self.layers))]
        mixed = layer({"images": images.astype("float32"), "labels": one_hot}, training=True)
        return keras.ops.convert_to_numpy(mixed["images"]), keras.ops.convert_to_numpy(mixed["labels"])

    def on_epoch_end(self):
        self.batches.on_epoch_end()
