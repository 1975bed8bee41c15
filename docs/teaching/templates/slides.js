const slides = [...document.querySelectorAll(".slide")];
let now = 0, speaker = null;
document.documentElement.classList.add("js");

function show(number) {
  slides[now].classList.remove("on");
  now = Math.min(Math.max(number, 0), slides.length - 1);
  slides[now].classList.add("on");
  slides[now].querySelectorAll(".table").forEach(fit);
  document.getElementById("at").textContent = `${now + 1} / ${slides.length}`;
  history.replaceState(null, "", `#${now + 1}`);
  tell();
}

function fit(table) {
  table.dataset.size ??= parseFloat(table.style.fontSize);
  const cut = () => table.scrollHeight > table.clientHeight + 1 || table.scrollWidth > table.clientWidth + 1;
  for (let size = +table.dataset.size; size > 0.5; size -= 0.04) {
    table.style.fontSize = `${size}em`;
    if (!cut()) return;
  }
}

function tell() {
  if (!speaker || speaker.closed) return;
  const heading = slides[now].querySelector("h1, h2, .kicker");
  speaker.document.title = `Notes ${now + 1} / ${slides.length}`;
  speaker.document.body.innerHTML = slides[now].querySelector(".notes").innerHTML;
  const top = speaker.document.createElement("h2");
  top.textContent = `${now + 1} / ${slides.length} · ${heading ? heading.textContent : ""}`;
  speaker.document.body.prepend(top);
}

function openSpeaker() {
  speaker = window.open("", "notes", "width=700,height=800");
  if (!speaker) return;
  speaker.document.body.style.cssText = "font: 1.15rem/1.5 system-ui, sans-serif; margin: 2rem; max-width: 40rem";
  speaker.document.addEventListener("keydown", key);
  tell();
}

function notes() {
  const on = document.documentElement.classList.toggle("with-notes");
  document.getElementById("notes").setAttribute("aria-pressed", on);
}

function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const onButton = event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter");
  const actions = {
    ArrowRight: () => show(now + 1), ArrowDown: () => show(now + 1), PageDown: () => show(now + 1),
    Enter: () => show(now + 1), " ": () => show(now + (event.shiftKey ? -1 : 1)),
    ArrowLeft: () => show(now - 1), ArrowUp: () => show(now - 1), PageUp: () => show(now - 1),
    Home: () => show(0), End: () => show(slides.length - 1),
    n: notes, w: openSpeaker,
    f: () => document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen(),
  };
  if (!onButton && actions[event.key]) {
    event.preventDefault();
    actions[event.key]();
  }
}

document.addEventListener("keydown", key);
document.getElementById("back").onclick = () => show(now - 1);
document.getElementById("on").onclick = () => show(now + 1);
document.getElementById("notes").onclick = notes;
window.addEventListener("resize", () => slides[now].querySelectorAll(".table").forEach(fit));
window.addEventListener("hashchange", () => show((parseInt(location.hash.slice(1)) || 1) - 1));
show((parseInt(location.hash.slice(1)) || 1) - 1);
