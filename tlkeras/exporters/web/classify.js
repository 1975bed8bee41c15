// The page's own program. The runtime comes before it (`LiteRt`, `Environment`, `Tensor`), and its `ModuleFactory` before
// that.
const at = (id) => document.getElementById(id);
const labels = JSON.parse(at("labels").textContent);
const [height, width] = labels.image_size;
const LISTED = 5;

async function unpack(id) {
  const bytes = Uint8Array.from(atob(at(id).textContent), (letter) => letter.charCodeAt(0));
  at(id).remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load() { // as the runtime's own `loadLiteRt`, which takes an address, and asks for a GPU
  const wasmBinary = await unpack("wasm");
  const runtime = new LiteRt(await ModuleFactory({ wasmBinary, print() {}, printErr() {} }));
  setGlobalLiteRt(runtime);
  runtime.setDefaultEnvironment(await Environment.create({ webGpuDevice: null }));
  return runtime.loadAndCompile(await unpack("model"), { accelerator: "wasm" });
}

function draw(image, context) {
  context.imageSmoothingQuality = "high"; // the default changes some answers
  context.fillStyle = "#fff"; // what is transparent is laid over white
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

async function classify(model, image) {
  const input = new Tensor(pixelsOf(image), [1, height, width, 3]), begun = performance.now();
  const output = Object.values(await model.run(input))[0];
  const probabilities = Array.from(await output.data()), milliseconds = performance.now() - begun;
  input.delete();
  output.delete();
  return { probabilities, milliseconds };
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function card(name, blob, { probabilities, milliseconds }) {
  const order = probabilities.map((_, place) => place).sort((a, b) => probabilities[b] - probabilities[a]);
  const best = order[0], { thresholds } = labels;
  const chosen = order.filter((place) => (thresholds ? probabilities[place] >= thresholds[place] : place === best));
  const rows = order.slice(0, Math.max(LISTED, chosen.length)).map((place) => {
    const bar = make("div", { className: "bar" }), share = 100 * probabilities[place];
    bar.style.width = `${share}%`;
    const track = make("div", { className: "track", ariaHidden: "true" }, bar);
    const texts = [make("bdi", { textContent: labels.class_names[place] }), make("span", { textContent: `${share.toFixed(1)}%` })];
    return make("li", { className: chosen.includes(place) ? "chosen" : "" }, ...texts, track);
  });
  const answer = chosen.map((place) => labels.class_names[place]).join(", ") || "no label";
  const picture = make("img", { src: URL.createObjectURL(blob), alt: name });
  picture.onload = () => URL.revokeObjectURL(picture.src);
  const note = make("p", { className: "soft", textContent: `${name}, ${milliseconds.toFixed(0)} ms` });
  const said = make("div", {}, make("h2", {}, make("bdi", { textContent: answer })), make("ul", {}, ...rows), note);
  at("answers").prepend(make("article", {}, make("div", {}, picture), said));
  return `${name}: ${answer}`;
}

async function answer(model, files) {
  for (const file of files) {
    const name = file.name || "Image";
    try {
      const image = await createImageBitmap(file);
      at("status").textContent = card(name, file, await classify(model, image));
      image.close();
    } catch {
      at("status").textContent = `${name} cannot be read as an image by this browser.`;
    }
  }
}

function listen(ask) {
  at("files").onchange = ({ target }) => {
    ask([...target.files]);
    target.value = "";
  };
  document.ondragover = (event) => {
    event.preventDefault();
    at("drop").className = "over";
  };
  document.ondragleave = () => (at("drop").className = "");
  document.ondrop = (event) => {
    event.preventDefault();
    at("drop").className = "";
    ask([...event.dataTransfer.files]);
  };
  document.onpaste = (event) => ask([...event.clipboardData.files]);
}

function useCamera(ask) {
  const video = at("video");
  at("camera").hidden = !navigator.mediaDevices?.getUserMedia;
  at("camera").onclick = async () => {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      await video.play();
    } catch {
      at("status").textContent = "There is no camera, or this page may not use it.";
      return;
    }
    at("camera").hidden = !(at("viewfinder").hidden = false);
    at("shoot").focus();
  };
  at("stop").onclick = () => {
    video.srcObject.getTracks().forEach((track) => track.stop());
    at("viewfinder").hidden = !(at("camera").hidden = false);
    at("camera").focus();
  };
  at("shoot").onclick = () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => ask([new File([blob], "Camera")]));
  };
}

try {
  const model = await load();
  let last = Promise.resolve();
  const ask = (files) => (last = last.then(() => answer(model, files)));
  listen(ask);
  useCamera(ask);
  at("status").textContent = "Ready.";
} catch (error) {
  at("status").textContent = `This browser cannot run the classifier; a newer one may. (${error})`;
}
