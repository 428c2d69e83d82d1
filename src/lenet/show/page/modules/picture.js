// A picture made into what a network was trained on, by the engine's own preparation.

export const MOST_PIXELS = 50_000_000;
const LONGEST_SIDE = 1024;

export class PictureError extends Error {
  constructor(word, values = {}) {
    super(word);
    Object.assign(this, { word, values });
  }
}

// A file as red, green, blue and alpha, upright, and reduced by a whole number where it is large.
export async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new PictureError("not-a-picture");
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS)
    throw new PictureError("too-large", { pixels: width * height, most: MOST_PIXELS });
  const factor = Math.ceil(Math.max(width, height) / LONGEST_SIDE);
  const [columns, rows] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const context = new OffscreenCanvas(columns, rows).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, columns, rows);
  bitmap.close();
  return { rows, columns, rgba: context.getImageData(0, 0, columns, rows).data };
}

// Red, green and blue in turn, each made of its level and of how much of it is painted (0 to 1).
function coloursOf(rgba, made) {
  const colours = new Uint8Array((rgba.length / 4) * 3);
  for (let k = 0; 4 * k < rgba.length; k += 1)
    for (let c = 0; c < 3; c += 1) colours[3 * k + c] = made(rgba[4 * k + c], rgba[4 * k + 3] / 255);
  return colours;
}

// Laid over white; over black where what is painted is light, as chalk on nothing.
function groundOf(kernels, { rows, columns, rgba }) {
  let [sum, alpha, least] = [0, 0, 255];
  for (let k = 3; k < rgba.length; k += 4) least = Math.min(least, rgba[k]);
  if (least === 255) return { level: 255, notes: [] };
  const paint = kernels.grey(coloursOf(rgba, (level) => level), rows, columns).values;
  for (let k = 0; k < paint.length; k += 1) {
    sum += paint[k] * rgba[4 * k + 3];
    alpha += rgba[4 * k + 3];
  }
  const light = least < 128 && alpha > 0 && sum / alpha > 127.5;
  return { level: light ? 0 : 255, notes: [{ word: light ? "note-black" : "note-white" }] };
}

// Planes in one channel or in three, without transparency: {planes, notes}.
function flatten(kernels, picture, channels) {
  const { rows, columns, rgba } = picture;
  const { level, notes } = groundOf(kernels, picture);
  const colours = coloursOf(rgba, (own, share) => Math.round(own * share + level * (1 - share)));
  if (channels === 1) return { planes: [kernels.grey(colours, rows, columns)], notes };
  const plane = (c) => ({ rows, columns, values: colours.filter((_, k) => k % 3 === c) });
  return { planes: [0, 1, 2].map(plane), notes };
}

function edge({ rows, columns, values }) {
  const found = [];
  for (let c = 0; c < columns; c += 1) found.push(values[c], values[(rows - 1) * columns + c]);
  for (let r = 0; r < rows; r += 1) found.push(values[r * columns], values[(r + 1) * columns - 1]);
  return found.sort((a, b) => a - b);
}

function median(sorted) {
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

const turned = (plane) => ({ ...plane, values: plane.values.map((value) => 255 - value) });

function even(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

// As Pillow's ImageOps.pad: fitted with its proportions, filled up with the ground at its edge.
function padded(kernels, plane, rows, columns) {
  let [high, wide] = [rows, columns];
  const [own, wanted] = [plane.columns / plane.rows, columns / rows];
  if (own > wanted) high = even((plane.rows / plane.columns) * columns);
  else if (own < wanted) wide = even((plane.columns / plane.rows) * rows);
  const fitted = kernels.resize(plane, high, wide);
  const values = new Uint8Array(rows * columns).fill(Math.trunc(median(edge(plane))));
  const [top, left] = [even((rows - high) / 2), even((columns - wide) / 2)];
  for (let r = 0; r < high; r += 1)
    values.set(fitted.values.subarray(r * wide, (r + 1) * wide), (top + r) * columns + left);
  return { rows, columns, values };
}

function joined(planes) {
  const [{ values }] = planes;
  const all = new Uint8Array(planes.length * values.length);
  planes.forEach((plane, c) => all.set(plane.values, c * values.length));
  return all;
}

const stage = (word, ...planes) => ({ word, planes });

function prepareWhole(kernels, { planes, notes }, maps, convention) {
  const { rows, columns } = maps;
  const stages = [stage("stage-as-given", ...planes)];
  const inverted =
    convention.light_ink && planes.length === 1 && median(edge(planes[0])) > 127.5;
  const used = inverted ? planes.map(turned) : planes;
  if (inverted) {
    stages.push(stage("stage-turned", ...used));
    notes = [...notes, { word: "note-turned" }];
  }
  const fit = convention.kind === "stretch" ? (plane) => kernels.resize(plane, rows, columns) : null;
  const made = used.map(fit ?? ((plane) => padded(kernels, plane, rows, columns)));
  stages.push(stage("stage-resized", ...made));
  return { image: joined(made), stages, notes, box: null };
}

function prepareInk(kernels, { planes, notes }, maps, convention) {
  const byMass = convention.centre === "mass";
  const found = kernels.readCharacters(planes[0], maps.rows, maps.columns, convention.ink_side, byMass);
  const given = stage("stage-as-given", ...planes);
  if (found.count === 0)
    return { image: null, stages: [given], notes: [...notes, { word: "note-blank" }], box: null };
  const more = [{ word: found.dark ? "note-dark" : "note-light" }];
  if (found.rules) more.push({ word: "note-rules", values: { count: found.rules } });
  if (found.count > 1) more.push({ word: "note-several", values: { count: found.count } });
  const names = ["ground", "ink", "kept", "cropped", "fitted", "image"];
  const stages = names.filter((name) => found[name]).map((name) => stage(`stage-${name}`, found[name]));
  return { image: found.image.values, stages: [given, ...stages], notes: [...notes, ...more], box: found.box };
}

// A picture as a network gets it, with its stages, and `plain`: the whole of it, resized and no more.
export function prepare(kernels, picture, maps, convention) {
  const flat = flatten(kernels, picture, maps.channels);
  const isInk = convention.kind === "ink" && maps.channels === 1;
  const made = (isInk ? prepareInk : prepareWhole)(kernels, flat, maps, convention);
  const plain = flat.planes.map((plane) => kernels.resize(plane, maps.rows, maps.columns));
  return { ...made, plain: joined(plain) };
}
