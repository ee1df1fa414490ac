"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const STATES = ["missing", "done", "failed", "partly done"];
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const at = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const LINED = 8; // pixels of a cell from which on there are lines between cells
let chosen = null; // the layer of the map: its facts, and its arrays once they are unpacked

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toPrecision(2)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 2) return `${Math.round(seconds)} s`;
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// what is not complete never looks so
function percent(part, whole) {
  return part === whole ? 100 : Math.min(99, Math.round((100 * part) / whole));
}

// ---- the arrays of a layer

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load(layer) {
  if (layer.cells) return;
  const cells = {};
  for (const name of ["states", "shares", "seconds", "hosts"]) cells[name] = layer[name] ? await unpacked(layer[name]) : null;
  if (cells.hosts) cells.hosts = new Uint16Array(cells.hosts.buffer);
  const known = cells.seconds.filter((level) => level > 0);
  layer.range = known.reduce(([low, high], level) => [Math.min(low, level), Math.max(high, level)], [255, 1]);
  layer.cells = cells;
}

function secondsOf(level) {
  return data.shortest * 10 ** ((level - 1) / data.levels_per_decade);
}

function boxOf(text) {
  const found = /^(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)/.exec(text);
  return found ? found.slice(1).map(Number) : null;
}

// the voxels [z0, z1, y0, y1, x0, x1] of a cell
function cellBox(layer, index) {
  const bounds = boxOf(layer.bounds);
  return index.flatMap((place, axis) => {
    const side = layer.chunk_shape[axis] * layer.side;
    const [start, stop] = [bounds[2 * axis], bounds[2 * axis + 1]];
    return [start + place * side, Math.min(stop, start + (place + 1) * side)];
  });
}

function textOf(box) {
  return `${box[0]}-${box[1]}_${box[2]}-${box[3]}_${box[4]}-${box[5]}`;
}

function failureIn(layer, box) {
  const inside = (chunk) => chunk && [0, 1, 2].every((axis) => chunk[2 * axis] >= box[2 * axis] && chunk[2 * axis] < box[2 * axis + 1]);
  return data.failures.find((failure) => failure.layer === layer.log_folder &&
    (layer.chunks === 1 || failure.boxes.some(inside)));
}

// ---- the table

function row(layer) {
  const made = element("tr");
  made.append(element("td", layer.layer), element("td", layer.stage || "–"));
  const meter = element("div", undefined, "meter");
  for (const name of ["done", "failed"]) {
    const part = element("i", undefined, name);
    part.style.width = `${(100 * layer[name]) / layer.chunks}%`;
    if (layer[name]) meter.append(part);
  }
  const bar = element("td");
  bar.append(meter);
  made.append(bar);
  const speed = layer.mvoxels_per_second, shards = layer.shards_per_minute;
  const rate = shards !== null ? `${shards.toPrecision(3)} shards/min` : speed === null ? "–" : speed.toPrecision(3);
  const texts = [number(layer.chunks), number(layer.done), number(layer.failed), number(layer.missing), layer.working || "–",
    rate, layer.seconds_left === null ? "–" : duration(layer.seconds_left)];
  texts.forEach((text, place) => {
    const wrong = place === 2 && layer.failed > 0;
    made.append(element("td", text, wrong ? "wrong" : /^[0–]$/.test(String(text)) ? "none" : ""));
  });
  made.title = layer.voxels || layer.bounds;
  made.onclick = () => choose(layer);
  layer.row = made;
  return made;
}

// ---- the map

async function choose(layer) {
  if (!window.DecompressionStream) {
    at("hint").textContent = "This browser is too old to unpack the map (it has no DecompressionStream).";
    return;
  }
  await load(layer);
  chosen = layer;
  for (const other of data.layers) other.row.classList.toggle("chosen", other === layer);
  at("name").textContent = `${layer.layer}: ${layer.stage || "no recipe"}`;
  at("z").max = layer.shape[0] - 1;
  at("z").value = firstOfInterest(layer);
  at("slider").hidden = layer.shape[0] === 1;
  drawStrip(layer);
  draw();
}

// the slice with the first failure, else with the first chunk that is not done, else the middle
function firstOfInterest(layer) {
  const { states } = layer.cells;
  const slice = layer.shape[1] * layer.shape[2];
  const failed = states.indexOf(2);
  const open = failed >= 0 ? failed : states.findIndex((state) => state !== 1);
  return open >= 0 ? Math.floor(open / slice) : Math.floor(layer.shape[0] / 2);
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  return ["--missing", "--done", "--failed", "--partly"].map((name) => {
    canvas.fillStyle = style.getPropertyValue(name);
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  });
}

function ramp(share) {
  const place = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((value, channel) => value + (place - low) * (RAMP[low + 1][channel] - value));
}

function colourOf(layer, index, palette) {
  const { states, shares, seconds } = layer.cells;
  const state = states[index];
  if (at("colour").value === "seconds" && seconds[index]) {
    const [low, high] = layer.range;
    return ramp((seconds[index] - low) / Math.max(1, high - low));
  }
  if (at("colour").value === "seconds" && state !== 2) return palette[0];
  if (state !== 3) return palette[state];
  return palette[0].map((value, channel) => value + (shares[index] / 255) * (palette[1][channel] - value));
}

function draw() {
  const layer = chosen, [, height, width] = layer.shape, z = Number(at("z").value);
  const canvas = at("canvas"), scale = Math.max(1, Math.min(40, Math.floor(1160 / width), Math.floor(500 / height)));
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height), palette = colours();
  const wanted = STATES.indexOf(at("state").value);
  for (let place = 0; place < width * height; place++) {
    const index = z * width * height + place, state = layer.cells.states[index];
    const shown = wanted < 0 || state === wanted || state === 3;
    image.data.set([...colourOf(layer, index, palette), shown ? 255 : 40], 4 * place);
  }
  if (scale < LINED) context.putImageData(image, 0, 0);
  else { // cells with lines between them
    canvas.width = width * scale + 1;
    canvas.height = height * scale + 1;
    for (let place = 0; place < width * height; place++) {
      const [red, green, blue, alpha] = image.data.subarray(4 * place, 4 * place + 4);
      context.fillStyle = `rgb(${red} ${green} ${blue} / ${alpha / 255})`;
      context.fillRect((place % width) * scale + 1, Math.floor(place / width) * scale + 1, scale - 1, scale - 1);
    }
  }
  canvas.style.width = `${width * scale + (scale < LINED ? 2 : 3)}px`; // with its border
  canvas.scale = scale;
  canvas.classList.toggle("linked", Boolean(data.viewer));
  const box = cellBox(layer, [z, 0, 0]);
  at("where").textContent = `${z + 1} of ${layer.shape[0]}: voxels ${box[0]} to ${box[1]}`;
  legend(layer);
}

// a column per slice, above the slider: its share of done chunks, and red below where some failed
function drawStrip(layer) {
  const [depth, height, width] = layer.shape, slice = height * width, { states, shares } = layer.cells;
  const canvas = at("strip"), context = canvas.getContext("2d"), palette = colours();
  canvas.width = depth;
  canvas.height = 2;
  for (let z = 0; z < depth; z++) {
    let done = 0, failed = false;
    for (let index = z * slice; index < (z + 1) * slice; index++) {
      done += shares ? shares[index] / 255 : states[index] === 1;
      failed ||= states[index] === 2;
    }
    const mixed = palette[0].map((value, channel) => value + (done / slice) * (palette[1][channel] - value));
    context.fillStyle = `rgb(${mixed.join(" ")})`;
    context.fillRect(z, 0, 1, 2);
    if (failed) {
      context.fillStyle = `rgb(${palette[2].join(" ")})`;
      context.fillRect(z, 1, 1, 1);
    }
  }
}

function legend(layer) {
  const parts = [];
  const swatch = (background, text) => {
    const mark = element("i");
    mark.style.background = background;
    parts.push(mark, document.createTextNode(text));
    return mark;
  };
  if (at("colour").value === "seconds" && layer.range[0] <= layer.range[1]) {
    const stops = RAMP.map((colour) => `rgb(${colour.join(" ")})`).join(", ");
    swatch(`linear-gradient(to right, ${stops})`, layer.range.map((level) => duration(secondsOf(level))).join(" to ")).className = "ramp";
    swatch("var(--failed)", "failed");
    swatch("var(--missing)", "not known");
  } else {
    for (const name of ["done", "failed", "missing"]) swatch(`var(--${name})`, `${name} ${number(layer[name])}`);
  }
  at("legend").replaceChildren(...parts);
  const size = layer.side > 1 ? `A cell is ${layer.side}×${layer.side}×${layer.side} chunks.` : "A cell is a chunk.";
  const trace = layer.failed ? " A click on a failed one opens its error below." : "";
  const click = trace + (data.viewer ? ` A click opens its middle in ${data.viewer}.` : "");
  at("hint").textContent = `${size} x is to the right, y is down. Chunks of ${layer.chunk_shape.join("×")} voxels (zyx).${click}`;
}

function cellUnder(event) {
  const canvas = at("canvas"), [, height, width] = chosen.shape;
  const x = Math.floor(event.offsetX / canvas.scale), y = Math.floor(event.offsetY / canvas.scale);
  return x >= 0 && y >= 0 && x < width && y < height ? [Number(at("z").value), y, x] : null;
}

function indexOf(layer, place) {
  return (place[0] * layer.shape[1] + place[1]) * layer.shape[2] + place[2];
}

function failureAt(place) {
  return chosen.cells.states[indexOf(chosen, place)] === 2 ? failureIn(chosen, cellBox(chosen, place)) : null;
}

function described(layer, place) {
  const { states, shares, seconds, hosts } = layer.cells;
  const index = indexOf(layer, place), failure = failureAt(place);
  const share = shares ? `, ${percent(shares[index], 255)} % of the chunks done` : "";
  const lines = [textOf(cellBox(layer, place)), STATES[states[index]] + share];
  if (seconds[index]) lines.push(`about ${duration(secondsOf(seconds[index]))}${shares ? " per chunk" : ""}`);
  if (hosts && hosts[index]) lines.push(`on ${data.hosts[hosts[index]]}`);
  if (failure) lines.push(`${failure.process}: ${failure.reason.slice(0, 400)}`);
  return lines.join("\n");
}

at("canvas").onmousemove = (event) => {
  const place = chosen && cellUnder(event), tip = at("tip");
  tip.hidden = !place;
  at("canvas").style.cursor = place && failureAt(place) ? "pointer" : "";
  if (!place) return;
  tip.textContent = described(chosen, place);
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8)}px`;
};
at("canvas").onmouseleave = () => { at("tip").hidden = true; };

// the middle of a cell in shares of the volume, zyx, as the server of `lchunk view` takes it
function linkOf(layer, place) {
  const bounds = boxOf(layer.bounds), box = cellBox(layer, place);
  const shares = [0, 1, 2].map((axis) => {
    const [start, stop] = [bounds[2 * axis], bounds[2 * axis + 1]];
    return Number((((box[2 * axis] + box[2 * axis + 1]) / 2 - start) / (stop - start)).toPrecision(6));
  });
  return `${data.viewer}/?at=${shares.join(",")}`;
}

at("canvas").onclick = (event) => {
  const place = chosen && cellUnder(event), failure = place && failureAt(place);
  if (failure) {
    failure.row.hidden = false;
    failure.row.open = true;
    failure.row.scrollIntoView({behavior: "smooth", block: "center"});
  }
  if (place && data.viewer) window.open(linkOf(chosen, place), "_blank", "noopener");
};

// ---- failures

function failureRow(failure) {
  const made = element("details"), head = element("summary");
  const line = element("span", failure.reason.split("\n")[0], "reason");
  head.append(element("b", `${failure.stage} ${failure.region} `), element("i", `${failure.when} on ${failure.process}${failure.fault && ` (${failure.fault})`}`), line);
  made.append(head, element("pre", failure.reason));
  const again = element("div", undefined, "command"), copy = element("button", "copy");
  copy.onclick = () => navigator.clipboard.writeText(failure.command).then(() => { copy.textContent = "copied"; });
  again.append(element("pre", failure.command), copy);
  made.append(again);
  if (failure.chunks.length > 1) made.append(element("pre", `chunks: ${failure.chunks.join(", ")}`));
  if (failure.traceback) made.append(element("pre", data.traces[failure.traceback]));
  failure.row = made;
  return made;
}

// ---- filters

function filter() {
  const stage = at("stage").value, state = at("state").value, text = at("text").value.toLowerCase();
  const holds = (...texts) => !text || texts.join(" ").toLowerCase().includes(text);
  let shown = 0;
  for (const failure of data.failures) {
    const hit = (!stage || failure.stage === stage) && ["", "failed"].includes(state) && holds(
      failure.stage, failure.layer, failure.region, failure.process, failure.fault, failure.reason, ...failure.chunks, data.traces[failure.traceback]);
    failure.row.hidden = !hit;
    shown += hit;
  }
  for (const layer of data.layers) {
    const errors = data.failures.filter((failure) => failure.layer === layer.log_folder && !failure.row.hidden);
    layer.row.hidden = (stage && layer.stage !== stage) || (state && !layer[state]) ||
      !(holds(layer.layer, layer.stage) || errors.length);
  }
  const more = data.more_failures ? `, and ${number(data.more_failures)} more are not in this page` : "";
  at("failed").textContent = `${number(shown)} of ${number(data.failures.length)} failed regions${more}`;
  at("errors").hidden = !data.failures.length;
  const left = data.layers.filter((layer) => !layer.row.hidden);
  if (left.length && !left.includes(chosen)) choose(left[0]);
  else if (chosen) draw();
}

// ---- start

for (const failure of data.failures) {
  failure.boxes = (failure.chunks.length ? failure.chunks : [failure.region]).map(boxOf);
  at("list").append(failureRow(failure));
}
at("rows").append(...data.layers.map(row));
at("told").append(...data.workers.map((line) => element("li", line)));
at("workers").hidden = !data.workers.length;
at("stage").append(...["", ...new Set(data.layers.map((layer) => layer.stage))].map((name) => {
  const option = element("option", name || "all");
  option.value = name;
  return option;
}));
document.title = `lchunk status: ${data.root}`;
at("root").textContent = data.root;
at("summary").textContent = `${number(data.done)} of ${number(data.chunks)} chunks done (${percent(data.done, data.chunks)} %), ` +
  `${number(data.failed)} failed, ${number(data.missing)} missing, at ${data.time}`;
for (const id of ["stage", "state", "text"]) at(id).oninput = filter;
for (const id of ["z", "colour"]) at(id).oninput = () => { if (chosen) draw(); };
const first = data.layers.find((layer) => layer.failed) || data.layers.find((layer) => layer.missing) || data.layers[0];
choose(first).then(filter);
