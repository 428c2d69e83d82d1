// One unit, number by number: what it looks at, its weights, and the sum that made it.

import { pictureOf, pixelsOf } from "./colours.js";
import { byId, element, sized } from "./element.js";
import { receptiveFields, windowOf } from "./network.js";
import { number, say, soft } from "./words.js";

const FIRST = 12; // products of a dense layer that are shown unasked

export function unitName(subject, layer, { channel, row, column }) {
  if (layer < 0) return say("pixel-unit", { row: row + 1, column: column + 1 });
  const { name, kind } = subject.network.layers[layer];
  if (layer === subject.network.layers.length - 1)
    return say("output-unit", { name, class: subject.className(channel) });
  if (kind === "dense") return say("dense-unit", { name, unit: channel + 1 });
  return say("map-unit", { name, map: channel + 1, row: row + 1, column: column + 1 });
}

export const mapName = (subject, layer, channel) =>
  subject.network.layers[layer].kind === "dense"
    ? unitName(subject, layer, { channel, row: 0, column: 0 })
    : `${subject.network.layers[layer].name} · ${channel + 1}`;

function placeOf(maps, index) {
  const size = maps.rows * maps.columns;
  const rest = index % size;
  return { channel: Math.floor(index / size), row: Math.floor(rest / maps.columns), column: rest % maps.columns };
}

// {input, weight, product} of every tap of a unit, by input map; a tap on the border reads zero.
function tapsOf(subject, index, { channel, row, column }) {
  const layer = subject.network.layers[index];
  const { rows, columns, channels } = layer.input;
  const isDense = layer.kind === "dense";
  const box = windowOf(layer, row, column);
  const taps = [];
  let weight = layer.weight + channel * layer.taps;
  for (let map = 0; map < channels; map += 1)
    for (let y = box.top; y < box.bottom; y += 1)
      for (let x = box.left; x < box.right; x += 1) {
        const inside = y >= 0 && x >= 0 && y < rows && x < columns;
        const input = inside ? subject.value(index - 1, (map * rows + y) * columns + x) : 0;
        const own = layer.learns ? subject.parameters[weight++] : 1;
        if (layer.learns || map === channel) taps.push({ map, y, x, input, weight: own, product: input * own });
      }
  return { layer, isDense, box, taps };
}

const ACTIVATIONS = {
  identity: (x) => x,
  relu: (x) => Math.max(0, x),
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  silu: (x) => x / (1 + Math.exp(-x)),
  scaled_tanh: (x) => 1.7159 * Math.tanh((2 / 3) * x),
};

export class Inspector {
  constructor(scale) {
    this.scale = scale;
    this.place = byId("unit");
    this.all = false;
    this.shown = null;
  }

  // `state` is "pointed", "kept", or "instance" for one that stands for all.
  show(subject, layer, unit, state) {
    const key = `${layer} ${unit.channel} ${unit.row} ${unit.column}`;
    if (key !== this.shown) this.all = false;
    this.shown = key;
    const value = subject.value(layer, this.#index(subject, layer, unit));
    const head = element(
      "p", { className: "unit-head" },
      element("strong", {}, unitName(subject, layer, unit)),
      element("span", { className: "value" }, number(value)),
    );
    const parts = layer < 0 ? this.#pixel(subject, unit, value) : this.#sum(subject, layer, unit, value);
    this.place.replaceChildren(head, ...(state === "pointed" ? [] : [soft(state, { name: subject.network.layers[layer]?.name ?? "" })]), ...parts);
  }

  #index(subject, layer, { channel, row, column }) {
    const { rows, columns } = subject.mapsOf(layer);
    return (channel * rows + row) * columns + column;
  }

  #pixel(subject, unit, value) {
    const level = subject.seen.image[this.#index(subject, -1, unit)];
    return [element("p", {}, say("pixel-explained", { level, value: number(value) }))];
  }

  #sum(subject, index, unit, value) {
    const { layer, isDense, taps } = tapsOf(subject, index, unit);
    const parts = [this.#field(subject, index, unit)];
    const sum = taps.reduce((total, { product }) => total + product, 0);
    if (!layer.learns) return [...parts, this.#grid(taps, layer, "inputs"), this.#pooled(layer, taps, value)];
    parts.push(element("h3", {}, say("the-sum")), this.#total(subject, layer, unit, taps.length, sum, value));
    if (isDense) parts.push(...this.#dense(subject, index, taps));
    else parts.push(...this.#convolved(subject, index, taps));
    return parts;
  }

  // The picture, with what the unit looks at in it.
  #field(subject, index, unit) {
    const [box] = receptiveFields(subject.network, index, unit.row, unit.column);
    const { rows, columns } = subject.network.pixels;
    const pixel = Math.max(1, Math.floor(112 / columns));
    const canvas = element("canvas", { aria: { hidden: "true" } });
    const context = sized(canvas, columns * pixel + 4, rows * pixel + 4);
    context.translate(2, 2);
    const small = pictureOf(subject.network.pixels, subject.seen.image, this.scale);
    context.drawImage(small, 0, 0, columns * pixel, rows * pixel);
    context.strokeStyle = this.scale.mark;
    context.lineWidth = 2;
    const [wide, high] = [box.right - box.left, box.bottom - box.top];
    context.strokeRect(box.left * pixel, box.top * pixel, wide * pixel, high * pixel);
    const words = say("looks-at", { rows: high, columns: wide });
    return element("div", { className: "field" }, canvas, element("p", { className: "soft" }, words));
  }

  #pooled(layer, taps, value) {
    const key = layer.kind === "average" ? "average-of" : "max-of";
    return element("p", { className: "total" }, `${say(key, { count: taps.length })} = `, element("b", {}, number(value)));
  }

  #total(subject, layer, { channel }, count, sum, value) {
    const bias = subject.parameters[layer.bias + channel];
    const rows = [
      [say("all-products", { count }), number(sum)],
      [`+ ${say("bias")}`, number(bias)],
    ];
    if (layer.activation !== "identity") {
      const name = say(layer.activation);
      rows.push([say("before-activation", { activation: name }), number(sum + bias)]);
      rows.push([name, number(ACTIVATIONS[layer.activation](sum + bias))]);
    } else rows.push([say("value"), number(sum + bias)]);
    const made = rows.map(([words, text]) =>
      element("tr", {}, element("th", { scope: "row" }, words), element("td", {}, text)),
    );
    const table = element("table", { className: "sum" }, element("tbody", {}, ...made));
    return element("div", {}, table, soft("kernel-says", { value: number(value) }));
  }

  // Inputs x weights = products of a convolution, for each map that it reads.
  #convolved(subject, index, taps) {
    const layer = subject.network.layers[index];
    const most = taps.reduce((largest, { weight }) => Math.max(largest, Math.abs(weight)), 1e-9);
    const parts = [];
    for (let map = 0; map < layer.input.channels; map += 1) {
      const own = taps.filter((tap) => tap.map === map);
      const sum = own.reduce((total, { product }) => total + product, 0);
      const below = index === 0 ? say("input") : mapName(subject, index - 1, map);
      const grids = [["inputs"], ["weights", most], ["products"]].flatMap(([key, largest], k) => [
        k === 0 ? null : element("span", { className: "sign", aria: { hidden: "true" } }, k === 1 ? "×" : "="),
        this.#grid(own, layer, key, largest),
      ]);
      parts.push(
        element("h4", {}, say("from", { unit: below }), element("span", {}, say("adds-up", { sum: number(sum) }))),
        element("div", { className: "grids" }, ...grids.filter((grid) => grid !== null)),
      );
    }
    return parts;
  }

  #grid(taps, layer, key, most) {
    const field = { inputs: "input", weights: "weight", products: "product" }[key];
    const rows = [];
    for (let start = 0; start < taps.length; start += layer.window) {
      const cells = taps.slice(start, start + layer.window).map((tap) => {
        return this.#cell(tap[field], short(tap[field]), most);
      });
      rows.push(element("tr", {}, ...cells));
    }
    return element("table", { className: "grid" }, element("caption", {}, say(key)), element("tbody", {}, ...rows));
  }

  #cell(value, text, most) {
    const cell = element("td", {}, text);
    cell.style.backgroundColor = this.scale.css(value, most);
    cell.style.color = this.scale.inkOn(value, most);
    return cell;
  }

  #dense(subject, index, taps) {
    const layer = subject.network.layers[index];
    const maps = layer.input;
    const sorted = taps
      .map((tap, k) => ({ ...tap, from: unitName(subject, index - 1, placeOf(maps, k)) }))
      .sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
    const rows = (this.all ? sorted : sorted.slice(0, FIRST)).map((tap) => {
      const product = this.#cell(tap.product, number(tap.product));
      return element(
        "tr", {}, element("th", { scope: "row" }, tap.from), element("td", {}, number(tap.input)),
        element("td", {}, number(tap.weight)), product,
      );
    });
    const heads = ["largest-first", "inputs", "weights", "products"].map((key) =>
      element("th", { scope: "col" }, say(key)),
    );
    const table = element(
      "table", { className: "products" }, element("thead", {}, element("tr", {}, ...heads)),
      element("tbody", {}, ...rows),
    );
    const parts = maps.rows > 1 ? [element("h4", {}, say("weights-of-unit")), this.#weights(taps, maps)] : [];
    if (this.all || sorted.length <= FIRST) return [...parts, table];
    const more = element("button", { type: "button" }, say("show-all", { count: sorted.length }));
    more.addEventListener("click", () => {
      this.all = true;
      this.again?.();
    });
    return [...parts, table, more];
  }

  // The weights of a dense unit on maps, each map small.
  #weights(taps, maps) {
    const most = taps.reduce((largest, { weight }) => Math.max(largest, Math.abs(weight)), 1e-9);
    const pixel = Math.max(2, Math.floor(34 / maps.columns));
    const across = Math.min(8, maps.channels);
    const [wide, high] = [maps.columns * pixel + 5, maps.rows * pixel + 5];
    const canvas = element("canvas", { aria: { hidden: "true" } });
    const context = sized(canvas, across * wide, Math.ceil(maps.channels / across) * high);
    const size = maps.rows * maps.columns;
    for (let map = 0; map < maps.channels; map += 1) {
      const small = pixelsOf(maps.rows, maps.columns, (k) => this.scale.of(taps[map * size + k].weight, most));
      const [x, y] = [(map % across) * wide, Math.floor(map / across) * high];
      context.drawImage(small, x, y, wide - 5, high - 5);
    }
    return canvas;
  }
}

// For a cell that is small: two digits that matter.
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 10 ? size.toFixed(0) : size >= 1 ? size.toFixed(1) : size.toFixed(2).slice(1);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}
