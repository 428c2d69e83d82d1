// Data to train on: the digits that are packed in the page, or files of MNIST's kind.

import { gunzip } from "./packs.js";

const SMALL = 8;
const INK_SIDE = 20;
const SIDE = 28;
const BITS = 22; // of a weight, as Pillow's Resample.c has them

// Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing", with a = -1/2.
function cubic(x) {
  const a = -0.5;
  const distance = Math.abs(x);
  if (distance < 1.0) return ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1;
  if (distance < 2.0) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0.0;
}

// For each of `to` pixels the first of `from` pixels that it is made of, and their weights.
function cubicWeights(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 + 0.5));
    const end = Math.min(from, Math.trunc(centre + 2 + 0.5));
    const parts = [];
    for (let x = first; x < end; x += 1) parts.push(cubic(x - centre + 0.5));
    const sum = parts.reduce((total, part) => total + part, 0);
    const weights = parts.map((part) => {
      const weight = (part * (1 / sum)) * 2 ** BITS;
      return Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    });
    return { first, weights };
  });
}

const clipped = (sum) => Math.min(255, Math.max(0, sum >> BITS));

// One line of `step` apart pixels, into `to`.
function enlargeLine(weights, from, start, step, to, toStart, toStep) {
  weights.forEach((each, place) => {
    let sum = 1 << (BITS - 1);
    each.weights.forEach((weight, k) => (sum += weight * from[start + (each.first + k) * step]));
    to[toStart + place * toStep] = clipped(sum);
  });
}

// 8x8 pictures of 0 to 16 as 28x28 of 0 to 255, as src/lenet/data/published/digits.py makes them.
function enlarge(levels, count) {
  const images = new Uint8Array(count * SIDE * SIDE);
  const weights = cubicWeights(SMALL, INK_SIDE);
  const grey = levels.map((level) => Math.min(255, roundHalfEven(level * (255.0 / 16.0))));
  const wide = new Uint8Array(SMALL * INK_SIDE);
  const border = (SIDE - INK_SIDE) / 2;
  for (let image = 0; image < count; image += 1) {
    for (let row = 0; row < SMALL; row += 1)
      enlargeLine(weights, grey, (image * SMALL + row) * SMALL, 1, wide, row * INK_SIDE, 1);
    for (let column = 0; column < INK_SIDE; column += 1) {
      const start = (image * SIDE + border) * SIDE + border + column;
      enlargeLine(weights, wide, column, INK_SIDE, images, start, SIDE);
    }
  }
  return images;
}

function roundHalfEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

function chosen(images, labels, keep) {
  const size = images.length / labels.length;
  const places = [...labels.keys()].filter(keep);
  const kept = new Uint8Array(places.length * size);
  places.forEach((place, k) => kept.set(images.subarray(place * size, (place + 1) * size), k * size));
  return { images: kept, labels: Uint8Array.from(places, (place) => labels[place]) };
}

// The pack has for each digit its label, with 128 added in the test split; then all 8x8 levels.
export function readDigits(pack, source) {
  const count = pack.length / (1 + SMALL * SMALL);
  const marks = pack.subarray(0, count);
  const labels = marks.map((mark) => mark & 127);
  const images = enlarge(pack.subarray(count), count);
  return {
    source,
    maps: { channels: 1, rows: SIDE, columns: SIDE },
    train: chosen(images, labels, (place) => marks[place] < 128),
    test: chosen(images, labels, (place) => marks[place] >= 128),
  };
}

// ---- files of MNIST's kind ----------------------------------------------------------------------

export class DataError extends Error {
  constructor(word, values = {}) {
    super(word);
    this.word = word;
    this.values = values;
  }
}

// An IDX file of bytes: its shape and its values.
function readIdx(name, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const axes = bytes.length >= 4 && view.getUint16(0) === 0 && bytes[2] === 8 ? bytes[3] : 0;
  if ((axes !== 1 && axes !== 3) || bytes.length < 4 + 4 * axes) throw new DataError("files-not-idx", { name });
  const shape = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  const values = bytes.subarray(4 + 4 * axes);
  if (values.length !== shape.reduce((product, each) => product * each, 1))
    throw new DataError("files-not-whole", { name });
  return { shape, values };
}

const isGzip = (bytes) => bytes[0] === 0x1f && bytes[1] === 0x8b;

// Four files [{name, bytes}] as train and test; `sources` are the data sets that the page knows.
export async function readFiles(files, sources, sha256) {
  const found = {};
  for (const file of files) {
    const payload = isGzip(file.bytes) ? await gunzip(file.bytes) : file.bytes;
    const idx = readIdx(file.name, payload);
    const part = `${/t10k|test/i.test(file.name) ? "test" : "train"} ${idx.shape.length === 1 ? "labels" : "images"}`;
    found[part] = { ...idx, digest: sha256(payload) };
  }
  const parts = ["train images", "train labels", "test images", "test labels"];
  if (!parts.every((part) => part in found)) throw new DataError("files-four");
  const [images, labels, testImages, testLabels] = parts.map((part) => found[part]);
  if (images.shape[0] !== labels.shape[0] || testImages.shape[0] !== testLabels.shape[0])
    throw new DataError("files-lengths");
  const digests = parts.map((part) => found[part].digest);
  return {
    source: sources.find((source) => sameDigests(source, digests)) ?? unknown(digests, labels.values),
    maps: { channels: 1, rows: images.shape[1], columns: images.shape[2] },
    train: { images: images.values, labels: labels.values },
    test: { images: testImages.values, labels: testLabels.values },
  };
}

const NAMES = [
  "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
];

const sameDigests = (source, digests) => NAMES.every((name, k) => source.digests[name] === digests[k]);

function unknown(digests, labels) {
  const classes = labels.reduce((most, label) => Math.max(most, label + 1), 0);
  return {
    name: "files",
    digests: Object.fromEntries(NAMES.map((name, k) => [name, digests[k]])),
    class_names: Array.from({ length: classes }, (_, label) => String(label)),
    convention: { kind: "fit", ink_side: 20, centre: "mass", light_ink: false },
    origin: null,
  };
}
