"""Classify a picture with a LiteRT file: pip install ai-edge-litert numpy pillow.

python python_litert.py phone/model.tflite photo.jpg
"""

import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

model, photo = sys.argv[1:]
names = zipfile.ZipFile(model).read("labels.txt").decode().splitlines()
run = Interpreter(model_path=model).get_signature_runner("serving_default")
height, width = run.get_input_details()["image"]["shape"][1:3]
picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
probabilities = run(image=np.asarray(picture, "uint8")[None])["probabilities"][0]
print(names[probabilities.argmax()], f"{probabilities.max() / (255 if probabilities.dtype == np.uint8 else 1):.3f}")
