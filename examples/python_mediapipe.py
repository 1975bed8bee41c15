"""Classify a picture with MediaPipe: pip install mediapipe.

python python_mediapipe.py phone/model.tflite photo.jpg
"""

import sys

import mediapipe
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

model, photo = sys.argv[1:]
options = ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model))
with ImageClassifier.create_from_options(options) as classifier:
    result = classifier.classify(mediapipe.Image.create_from_file(photo))
best = result.classifications[0].categories[0]  # of "probabilities"; the second head of some files is "unknown_score"
print(best.category_name, f"{best.score:.3f}")
