// A network that is looked at: its kernels at work, and what they make of the picture at hand.

import { Engine } from "./kernels.js";
import { networkOf, unitsOf } from "./network.js";
import { prepare } from "./picture.js";

export function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

export class Subject {
  constructor(kernels, facts, parameters) {
    this.kernels = kernels;
    this.facts = facts;
    this.network = networkOf(facts.spec);
    this.parameters = parameters;
    this.engine = new Engine(kernels, this.network, parameters);
    this.seen = null;
    this.version = 0;
  }

  close() {
    this.engine.close();
  }

  setParameters(parameters) {
    this.parameters = parameters;
    this.engine.setParameters(parameters);
    this.version += 1;
  }

  // `input` is a picture, or an image in the network's shape {image}; what was seen is kept.
  look(input) {
    const { pixels } = this.network;
    const made =
      "image" in input
        ? { image: input.image, stages: [], notes: input.notes, plain: null, box: null }
        : prepare(this.kernels, input, pixels, this.facts.convention);
    const blank = made.image === null || made.image.every((level) => level === made.image[0]);
    const image = made.image ?? new Uint8Array(unitsOf(pixels));
    this.seen = { ...made, image, blank };
    this.again();
  }

  // The same image with the parameters of now.
  again() {
    const { seen, engine } = this;
    seen.logits = engine.logits(seen.image);
    seen.probabilities = softmax(seen.logits);
    seen.answer = seen.probabilities.indexOf(Math.max(...seen.probabilities));
    seen.activations = engine.activations(seen.image);
    const other = seen.plain ? softmax(engine.logits(seen.plain)) : null;
    const answer = other?.indexOf(Math.max(...other));
    seen.resized = other && { answer, probability: other[answer] };
  }

  // Whether the answer is as likely as Python's `is_sure` asks for.
  isSure() {
    return this.seen.probabilities[this.seen.answer] >= this.facts.sure;
  }

  className(label) {
    return this.facts.class_names[label];
  }

  // What unit `index` of a layer is; -1 is the picture, as the first layer reads it.
  value(layer, index) {
    if (layer >= 0) return this.seen.activations[layer][index];
    const { pixel_scale: scale, pixel_shift: shift } = this.network.spec;
    return Math.fround(Math.fround(this.seen.image[index] * Math.fround(scale)) + Math.fround(shift));
  }

  mapsOf(layer) {
    return layer < 0 ? this.network.pixels : this.network.layers[layer].output;
  }

  // How much the answer's probability falls where a patch hides a place, as Python's explanation.
  occlusion() {
    const { channels, rows, columns } = this.network.pixels;
    const side = Math.max(1, Math.round(0.21 * rows));
    const step = Math.max(1, Math.round(0.07 * rows));
    const places = starts(rows, side, step).flatMap((y) => starts(columns, side, step).map((x) => [y, x]));
    const size = channels * rows * columns;
    const hidden = new Uint8Array((places.length + 1) * size);
    for (let k = 0; k <= places.length; k += 1) hidden.set(this.seen.image, k * size);
    const ground = Array.from({ length: channels }, (_, c) => middle(this.seen.image, c, rows * columns));
    places.forEach(([y, x], k) => {
      for (let c = 0; c < channels; c += 1)
        for (let row = y; row < y + side; row += 1) {
          const start = k * size + (c * rows + row) * columns + x;
          hidden.fill(ground[c], start, start + Math.min(side, columns - x));
        }
    });
    const logits = this.engine.logits(hidden);
    const chance = (k) =>
      softmax(logits.subarray(k * this.network.classes, (k + 1) * this.network.classes))[this.seen.answer];
    const whole = chance(places.length);
    const falls = new Float64Array(rows * columns);
    const counts = new Float64Array(rows * columns);
    places.forEach(([y, x], k) => {
      const fall = whole - chance(k);
      for (let row = y; row < Math.min(rows, y + side); row += 1)
        for (let column = x; column < Math.min(columns, x + side); column += 1) {
          falls[row * columns + column] += fall;
          counts[row * columns + column] += 1;
        }
    });
    return falls.map((fall, k) => fall / counts[k]);
  }
}

function starts(length, side, step) {
  const last = Math.max(0, length - side);
  const found = [];
  for (let place = 0; place < last; place += step) found.push(place);
  return [...found, last];
}

function middle(image, channel, size) {
  const sorted = image.slice(channel * size, (channel + 1) * size).sort();
  return Math.trunc((sorted[(size - 1) >> 1] + sorted[size >> 1]) / 2);
}
