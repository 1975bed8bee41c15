// Classifies images in the browser. Needs the runtime (`LiteRt`, `Environment`, `Tensor`) earlier in the same module, and the
// runtime's `ModuleFactory` in an earlier script.
const [height, width] = labels.image_size;

async function unpack(id) {
  const bytes = Uint8Array.from(atob(at(id).textContent), (letter) => letter.charCodeAt(0));
  at(id).remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load() { // like the runtime's `loadLiteRt`, which takes a URL and requests a GPU
  const wasmBinary = await unpack("wasm");
  const runtime = new LiteRt(await ModuleFactory({ wasmBinary, print() {}, printErr() {} }));
  setGlobalLiteRt(runtime);
  runtime.setDefaultEnvironment(await Environment.create({ webGpuDevice: null }));
  const model = await runtime.loadAndCompile(await unpack("model"), { accelerator: "wasm" });
  return (file) => classify(model, file);
}

function draw(image, context) {
  context.imageSmoothingQuality = "high"; // the default changes some answers
  context.fillStyle = "#fff"; // composite transparent pixels over white
  context.fillRect(0, 0, width, height);
  if (labels.resize === "stretch") return context.drawImage(image, 0, 0, width, height);
  const scales = [width / image.width, height / image.height];
  if (labels.resize === "crop") {
    const scale = Math.max(...scales), w = width / scale, h = height / scale;
    return context.drawImage(image, (image.width - w) / 2, (image.height - h) / 2, w, h, 0, 0, width, height);
  }
  const scale = Math.min(...scales), w = Math.round(image.width * scale), h = Math.round(image.height * scale);
  const x = Math.round((width - w) / 2), y = Math.round((height - h) / 2);
  context.drawImage(image, x, y, w, h);
  context.fillStyle = `rgb(${borderColor(context, x, y, w, h).join()})`;
  for (const rest of [[0, 0, width, y], [0, y + h, width, height], [0, 0, x, height], [x + w, 0, width, height]]) {
    context.fillRect(...rest);
  }
}

function borderColor(context, x, y, w, h) {
  const edges = [[x, y, w, 1], [x, y + h - 1, w, 1], [x, y, 1, h], [x + w - 1, y, 1, h]];
  const data = edges.map((edge) => context.getImageData(...edge).data);
  return [0, 1, 2].map((channel) => {
    const values = data.flatMap((edge) => Array.from(edge).filter((_, place) => place % 4 === channel));
    return values.sort((a, b) => a - b)[values.length >> 1];
  });
}

function pixelsOf(image) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  draw(image, context);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    pixels.set(data.subarray(from, from + 3), to);
    to += 3;
  }
  return pixels;
}

async function classify(model, file) {
  const image = await createImageBitmap(file);
  const input = new Tensor(pixelsOf(image), [1, height, width, 3]), begun = performance.now();
  image.close();
  const outputs = Object.values(await model.run(input)), values = [];
  for (const output of outputs) values.push(Array.from(await output.data()));
  const milliseconds = performance.now() - begun;
  [input, ...outputs].forEach((tensor) => tensor.delete());
  const [probabilities, [unknownScore] = []] = values.sort((a, b) => b.length - a.length); // the score has length 1
  return { probabilities, unknownScore, milliseconds };
}

await start(load);
