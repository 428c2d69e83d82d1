// The compiled kernels (native/wasm.cpp): what goes into their memory, and what comes out.

import { unitsOf } from "./network.js";

const NOT_HERE = 52; // WASI's word for a call that there is not

export class Refusal extends Error {}

export function hasWebAssembly() {
  // An empty module with one function of vectors: WebAssembly without SIMD refuses it.
  const vectors = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65,
    0, 253, 15, 253, 98, 11];
  return typeof WebAssembly === "object" && WebAssembly.validate(Uint8Array.from(vectors));
}

export async function openKernels(bytes) {
  const module = await WebAssembly.compile(bytes);
  const imports = {};
  for (const { module: room, name } of WebAssembly.Module.imports(module))
    (imports[room] ??= {})[name] = () => NOT_HERE;
  let kernels = null;
  (imports.lenet ??= {}).refuse = (place) => {
    throw new Refusal(kernels.textAt(place));
  };
  const { exports } = await WebAssembly.instantiate(module, imports);
  exports._initialize();
  kernels = new Kernels(exports);
  return kernels;
}

class Kernels {
  constructor(exports) {
    this.native = exports;
    this.kinds = this.#names(exports.kind_name);
    this.activations = this.#names(exports.activation_name);
  }

  // Views of the memory as it is now: it may move whenever something is allocated.
  view(Kind, place, count) {
    return new Kind(this.native.memory.buffer, place, count);
  }

  copy(Kind, place, count) {
    return this.view(Kind, place, count).slice();
  }

  allocate(bytes) {
    const place = this.native.allocate(Math.max(bytes, 1)) >>> 0;
    if (place === 0) throw new Refusal("there is not enough memory");
    return place;
  }

  release(...places) {
    for (const place of places) this.native.release(place);
  }

  // A copy of an array in the kernels' memory, to be released.
  put(values) {
    const place = this.allocate(values.byteLength);
    this.view(values.constructor, place, values.length).set(values);
    return place;
  }

  textAt(place) {
    const bytes = this.view(Uint8Array, place >>> 0);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  #names(nameOf) {
    const names = [];
    for (let place = nameOf(0); place !== 0; place = nameOf(names.length)) names.push(this.textAt(place));
    return names;
  }

  sha256(bytes) {
    const [from, to] = [this.put(bytes), this.allocate(32)];
    this.native.sha256(from, bytes.length, to);
    const digest = this.copy(Uint8Array, to, 32);
    this.release(from, to);
    return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // The order of a stream's name, in the kernels' memory (int64), to be released.
  permutation(count, name) {
    const text = new TextEncoder().encode(name);
    const [place, order] = [this.put(text), this.allocate(8 * count)];
    this.native.permutation(count, place, text.length, order);
    this.release(place);
    return order;
  }

  uniform(count, bound, name) {
    const text = new TextEncoder().encode(name);
    const [place, to] = [this.put(text), this.allocate(4 * count)];
    this.native.uniform(count, bound, place, text.length, to);
    const values = this.copy(Float32Array, to, count);
    this.release(place, to);
    return values;
  }

  // Images and labels in the kernels' memory for as long as they are trained on or scored.
  place({ images, labels }) {
    const wide = BigInt64Array.from(labels, (label) => BigInt(label));
    return { pixels: this.put(images), labels: this.put(wide), count: labels.length };
  }

  // A plane {rows, columns, values} in another size.
  resize(plane, rows, columns) {
    const from = this.put(plane.values);
    const made = this.native.resize(from, plane.rows, plane.columns, rows, columns);
    const result = this.#plane(made);
    this.native.close_plane(made);
    this.release(from);
    return result;
  }

  // The grey plane of red, green and blue in turn, three bytes a pixel.
  grey(colours, rows, columns) {
    const from = this.put(colours);
    const made = this.native.grey(from, rows, columns);
    const result = this.#plane(made);
    this.native.close_plane(made);
    this.release(from);
    return result;
  }

  // The characters of a grey plane, as native/picture.hpp has them; the planes of the first of them.
  readCharacters(plane, rows, columns, inkSide, byMass) {
    const from = this.put(plane.values);
    const facts = this.put(new Int32Array(7));
    const reading = this.native.read_characters(
      from, plane.rows, plane.columns, rows, columns, inkSide, byMass,
    );
    this.native.describe_reading(reading, facts);
    const [dark, rules, count, top, left, bottom, right] = this.copy(Int32Array, facts, 7);
    const names = ["ground", "ink", "kept", "cropped", "fitted", "image"];
    const planes = names.map((name, k) => [name, this.#plane(this.native.plane_of_reading(reading, k))]);
    this.native.close_reading(reading);
    this.release(from, facts);
    const box = { top, left, bottom, right };
    return { dark: dark === 1, rules, count, box, ...Object.fromEntries(planes) };
  }

  #plane(place) {
    if (place === 0) return null;
    const rows = this.native.plane_rows(place);
    const columns = this.native.plane_columns(place);
    const values = this.copy(Uint8Array, this.native.plane_values(place) >>> 0, rows * columns);
    return values.length ? { rows, columns, values } : null;
  }
}

const NO_OPTIMIZER = {
  optimizer: "sgd", momentum: 0, nesterov: false, weight_decay: 0, beta1: 0, beta2: 0, epsilon: 1,
  label_smoothing: 0, clip_norm: 0,
};

// A network with its parameters, and an optimizer where it is trained.
export class Engine {
  constructor(kernels, network, parameters, recipe = NO_OPTIMIZER, mask = null) {
    this.kernels = kernels;
    this.network = network;
    const rows = network.layers.flatMap((layer) => [
      kernels.kinds.indexOf(layer.kind), kernels.activations.indexOf(layer.activation), layer.window,
      layer.padding, layer.learns ? layer.output.channels : 0,
    ]);
    if (rows.includes(-1)) throw new Refusal(`the kernels do not know a layer of ${network.spec.name}`);
    const choice = [
      recipe.optimizer === "adamw" ? 1 : 0, recipe.momentum, recipe.nesterov ? 1 : 0,
      recipe.weight_decay, recipe.beta1, recipe.beta2, recipe.epsilon, recipe.label_smoothing,
      recipe.clip_norm,
    ];
    const places = [Int32Array.from(rows), parameters, Float64Array.from(choice)].map((values) =>
      kernels.put(values),
    );
    const masked = mask === null ? 0 : kernels.put(mask);
    const { pixels, spec } = network;
    this.place = kernels.native.open_engine(
      pixels.channels, pixels.rows, pixels.columns, spec.pixel_scale, spec.pixel_shift, places[0],
      network.layers.length, places[1], masked, places[2],
    );
    kernels.release(...places, ...(masked ? [masked] : []));
    this.totals = kernels.allocate(16);
  }

  close() {
    this.kernels.native.close_engine(this.place);
    this.kernels.release(this.totals);
  }

  // (count, classes) for images of bytes, one after the other.
  logits(images) {
    const from = this.kernels.put(images);
    const found = this.logitsPlaced(from, images.length / unitsOf(this.network.pixels));
    this.kernels.release(from);
    return found;
  }

  logitsPlaced(pixels, count) {
    const length = count * this.network.classes;
    const to = this.kernels.allocate(4 * length);
    this.kernels.native.infer(this.place, pixels, count, to);
    const found = this.kernels.copy(Float32Array, to, length);
    this.kernels.release(to);
    return found;
  }

  // By layer, each (count, channels, rows, columns).
  activations(images) {
    const count = images.length / unitsOf(this.network.pixels);
    const sizes = this.network.layers.map((layer) => count * unitsOf(layer.output));
    const total = sizes.reduce((sum, each) => sum + each, 0);
    const [from, to] = [this.kernels.put(images), this.kernels.allocate(4 * total)];
    this.kernels.native.watch(this.place, from, count, to);
    const all = this.kernels.copy(Float32Array, to, total);
    this.kernels.release(from, to);
    let start = 0;
    return sizes.map((length) => all.subarray(start, (start += length)));
  }

  // One update on the images of `placed` at `count` indices (int64, in the kernels' memory).
  step(placed, indices, count, rate) {
    const { pixels, labels } = placed;
    this.kernels.native.step(this.place, pixels, labels, indices, count, rate, this.totals);
    const [loss, misses] = this.kernels.view(Float64Array, this.totals, 2);
    return { loss, misses };
  }

  // The parameters, and where an optimizer keeps them its slots: momentum, or mean and square.
  state(slots = 0) {
    const count = this.network.parameters;
    const places = [0, 1, 2].map((k) => (k <= slots ? this.kernels.allocate(4 * count) : 0));
    const updates = this.kernels.native.state(this.place, ...places);
    const [parameters, first, second] = places.map((place) =>
      place ? this.kernels.copy(Float32Array, place, count) : null,
    );
    this.kernels.release(...places.filter((place) => place));
    return { parameters, first, second, updates };
  }

  setParameters(parameters) {
    const place = this.kernels.put(parameters);
    this.kernels.native.set_parameters(this.place, place);
    this.kernels.release(place);
  }
}
