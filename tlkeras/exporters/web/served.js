// Classifies images on the server that sent this page.
async function classify(file) {
  const headers = { "Content-Type": "application/octet-stream" }, begun = performance.now();
  const response = await fetch("predict?probabilities=true", { method: "POST", body: file, headers });
  const answer = await response.json(), milliseconds = performance.now() - begun;
  if (!response.ok) throw Object.assign(new Error(answer.error), { answer: answer.error });
  const probabilities = labels.class_names.map((name) => answer.probabilities[name]);
  return { probabilities, unknownScore: answer.unknown_score, milliseconds };
}

await start(() => classify);
