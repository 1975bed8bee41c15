// The page's user interface. The next script in the same module classifies the images: `local.js` in the browser, or
// `served.js` on a server.
const at = (id) => document.getElementById(id);
const labels = JSON.parse(at("labels").textContent);
const LISTED = 5;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;

function card(name, blob, { probabilities, unknownScore, milliseconds }) {
  const order = probabilities.map((_, place) => place).sort((a, b) => probabilities[b] - probabilities[a]);
  const best = order[0], { thresholds, unknown_threshold: limit } = labels;
  const unknown = limit !== undefined && unknownScore >= limit;
  const isChosen = (place) => (thresholds ? probabilities[place] >= thresholds[place] : place === best);
  const chosen = unknown ? [] : order.filter(isChosen);
  const rows = order.slice(0, Math.max(LISTED, chosen.length)).map((place) => {
    const bar = make("div", { className: "bar" }), share = probabilities[place];
    bar.style.width = percent(share);
    const track = make("div", { className: "track", ariaHidden: "true" }, bar);
    const texts = [make("bdi", { textContent: labels.class_names[place] }), make("span", { textContent: percent(share) })];
    return make("li", { className: chosen.includes(place) ? "chosen" : "" }, ...texts, track);
  });
  const answer = unknown ? "none of these" : chosen.map((place) => labels.class_names[place]).join(", ") || "no label";
  const picture = make("img", { src: URL.createObjectURL(blob), alt: name });
  picture.onload = () => URL.revokeObjectURL(picture.src);
  const farther = unknown ? `, farther from the training images than ${percent(unknownScore)} of the known images` : "";
  const note = make("p", { className: "soft", textContent: `${name}, ${milliseconds.toFixed(0)} ms${farther}` });
  const said = make("div", {}, make("h2", {}, make("bdi", { textContent: answer })), make("ul", {}, ...rows), note);
  at("answers").prepend(make("article", {}, make("div", {}, picture), said));
  return `${name}: ${answer}`;
}

async function answer(classify, files) {
  for (const file of files) {
    const name = file.name || "Image";
    try {
      at("status").textContent = card(name, file, await classify(file));
    } catch (error) {
      at("status").textContent = `${name}: ${error.answer ?? "this browser cannot read it as an image."}`;
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
      at("status").textContent = "No camera was found, or this page may not use it.";
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

async function start(load) { // `load` returns a function from a file to its probabilities and unknown score
  try {
    const classify = await load();
    let last = Promise.resolve();
    const ask = (files) => (last = last.then(() => answer(classify, files)));
    listen(ask);
    useCamera(ask);
    at("status").textContent = "Ready.";
  } catch (error) {
    at("status").textContent = `This browser cannot run the classifier. A newer browser may work. (${error})`;
  }
}
