"""Classify a picture with an ONNX file: pip install onnxruntime numpy pillow.

python python_onnx.py web/model.onnx photo.jpg
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, photo = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
names = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
height, width = session.get_inputs()[0].shape[1:3]
picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
probabilities = session.run(["probabilities"], {"image": np.asarray(picture, "uint8")[None]})[0][0]
print(names[probabilities.argmax()], f"{probabilities.max():.3f}")
