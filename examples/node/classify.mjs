// Classify a picture with an ONNX file in Node: npm install --ignore-scripts onnxruntime-node pngjs
//   node classify.mjs web/model.onnx web/labels.json photo.png      (a PNG of the model's size)
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const ort = require("onnxruntime-node");
const { PNG } = require("pngjs");

const [model, labels, photo] = process.argv.slice(2);
const { class_names: names, image_size: [height, width] } = JSON.parse(readFileSync(labels));
const picture = PNG.sync.read(readFileSync(photo));
const pixels = Uint8Array.from(picture.data.filter((_, place) => place % 4 !== 3)); // RGBA to RGB
const session = await ort.InferenceSession.create(model);
const image = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
const { probabilities } = await session.run({ image });
const best = probabilities.data.indexOf(Math.max(...probabilities.data));
console.log(names[best], probabilities.data[best].toFixed(3));
