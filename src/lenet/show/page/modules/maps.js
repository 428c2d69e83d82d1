// One layer of one network on a canvas: its units live, pointed at by pointer or by keyboard.

import { pictureOf, pixelsOf } from "./colours.js";
import { element, sized } from "./element.js";
import { unitsOf } from "./network.js";
import { mapPlaces, unitPlaces } from "./places.js";
import { say } from "./words.js";

const MOST_BARS = 100;
export const ROOM = 3; // around what is drawn, for marks

export class MapsView {
  // `watch` has point(view, unit or null), keep(view, unit) and letGo().
  constructor(subject, layer, watch) {
    Object.assign(this, { subject, layer, watch });
    this.maps = subject.mapsOf(layer);
    this.isDense = layer >= 0 && subject.network.layers[layer].kind === "dense";
    this.asBars = this.isDense && this.maps.channels <= MOST_BARS;
    this.isOutput = layer === subject.network.layers.length - 1;
    this.cursor = { channel: 0, row: 0, column: 0 };
    this.canvas = element("canvas", { tabIndex: 0, role: "application", className: "maps" });
    this.#listen();
  }

  get name() {
    return this.layer < 0 ? say("input") : this.subject.network.layers[this.layer].name;
  }

  index({ channel, row, column }) {
    return (channel * this.maps.rows + row) * this.maps.columns + column;
  }

  fit(width) {
    const room = Math.max(60, width - 2 * ROOM);
    this.places = this.isDense
      ? unitPlaces(this.maps.channels, room, this.asBars)
      : mapPlaces(this.maps, room);
    this.context = sized(this.canvas, this.places.width + 2 * ROOM, this.places.height + 2 * ROOM);
    this.canvas.setAttribute("aria-label", say("layer-label", { name: this.name }));
  }

  // `marks` are boxes {channel or null for all, top, left, bottom, right, strong}.
  draw(scale, marks = []) {
    const { context, places } = this;
    context.setTransform(context.getTransform().a, 0, 0, context.getTransform().d, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.translate(ROOM, ROOM);
    if (this.asBars) this.#drawBars(scale);
    else if (this.isDense) this.#drawCells(scale);
    else this.#drawMaps(scale);
    for (const mark of marks) this.#mark(scale, places, mark);
    context.setTransform(context.getTransform().a, 0, 0, context.getTransform().d, 0, 0);
  }

  #values() {
    const { seen } = this.subject;
    return this.layer < 0 ? seen.image : seen.activations[this.layer];
  }

  #drawMaps(scale) {
    const { context, places, maps } = this;
    const { rows, columns, channels } = maps;
    const values = this.#values();
    context.font = "10px system-ui, sans-serif";
    if (this.layer < 0 && channels >= 3) return this.#drawColour(values, scale);
    // All maps one below the other, of which each is taken to its place.
    const pixelAt = this.layer < 0 ? (k) => scale.grey(values[k]) : (k) => scale.of(values[k]);
    const small = pixelsOf(channels * rows, columns, pixelAt);
    for (let channel = 0; channel < channels; channel += 1)
      this.#place(scale, small, places.mapBox(channel), channel);
    return undefined;
  }

  #drawColour(values, scale) {
    const small = pictureOf(this.maps, values, scale);
    for (let channel = 0; channel < this.maps.channels; channel += 1)
      this.#place(scale, small, this.places.mapBox(channel), channel, 0);
  }

  #place(scale, small, box, channel, part = channel) {
    const { context, places } = this;
    const { rows, columns } = this.maps;
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, part * rows, columns, rows, box.x, box.y, box.width, box.height);
    context.strokeStyle = scale.line;
    context.lineWidth = 1;
    context.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
    if (!places.label) return;
    context.fillStyle = scale.soft;
    context.fillText(String(channel + 1), box.x, box.y - 3);
  }

  #drawCells(scale) {
    const { context, places } = this;
    const values = this.#values();
    for (let unit = 0; unit < this.maps.channels; unit += 1) {
      const box = places.mapBox(unit);
      context.fillStyle = scale.css(values[unit]);
      context.fillRect(box.x, box.y, box.width - 1, box.height - 1);
      context.strokeStyle = scale.line;
      context.strokeRect(box.x - 0.5, box.y - 0.5, box.width, box.height);
    }
  }

  #drawBars(scale) {
    const { context, places } = this;
    const values = this.#values();
    const most = values.reduce((sum, value) => Math.max(sum, Math.abs(value)), 1e-9);
    const below = values.some((value) => value < 0);
    const named = this.isOutput ? this.#namedUnits() : null;
    for (let unit = 0; unit < this.maps.channels; unit += 1) {
      const box = places.mapBox(unit);
      const half = below ? box.height / 2 : box.height;
      const zero = box.y + half;
      const high = (values[unit] / most) * (half - 2);
      context.fillStyle = scale.line;
      context.fillRect(box.x, zero - 0.5, box.width, 1);
      context.fillStyle = scale.css(Math.sign(values[unit]) * scale.most);
      context.fillRect(box.x + 0.5, Math.min(zero, zero - high), Math.max(1, box.width - 1.5), Math.abs(high));
      if (named?.includes(unit)) this.#nameBar(scale, unit, box, named.length > 1);
    }
  }

  // All classes where bars have room for what tells names apart; else the answer alone.
  #namedUnits() {
    const { context, places, subject } = this;
    context.font = "11px system-ui, sans-serif";
    const room = 1.3 * places.mapBox(0).width;
    const all = subject.network.classes;
    const names = Array.from({ length: all }, (_, unit) => fitted(context, subject.className(unit), room));
    const readable = names.every((name) => !name.endsWith("…") && context.measureText(name).width <= 1.5 * room);
    return readable ? [...names.keys()] : [subject.seen.answer];
  }

  #nameBar(scale, unit, box, isOneOfAll) {
    const { context } = this;
    context.fillStyle = unit === this.subject.seen.answer ? scale.ink : scale.soft;
    context.font = `${unit === this.subject.seen.answer ? "bold " : ""}11px system-ui, sans-serif`;
    context.textAlign = "center";
    const most = isOneOfAll ? box.width : Math.min(160, this.places.width);
    const text = fitted(context, this.subject.className(unit), isOneOfAll ? 1.3 * most : most);
    const half = isOneOfAll ? 0 : Math.min(most, context.measureText(text).width) / 2;
    const x = Math.min(this.places.width - half, Math.max(half, box.x + box.width / 2));
    context.fillText(text, x, box.y + box.height + 11, most - 2);
    context.textAlign = "start";
  }

  #mark(scale, places, { channel = null, top, left, bottom, right, strong = false }) {
    const { context } = this;
    const channels = channel === null ? [...Array(this.maps.channels).keys()] : [channel];
    context.strokeStyle = scale.mark;
    context.lineWidth = strong ? 2.5 : 1.5;
    for (const each of channels) {
      const first = places.unitBox({ channel: each, row: top, column: left });
      const last = places.unitBox({ channel: each, row: bottom - 1, column: right - 1 });
      const [x, y] = [first.x - 0.5, first.y - 0.5];
      context.strokeRect(x, y, last.x + last.width - x, last.y + last.height - y);
    }
  }

  // ---- pointing ---------------------------------------------------------------------------------

  #listen() {
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return this.places.unitAt(event.clientX - box.left - ROOM, event.clientY - box.top - ROOM);
    };
    this.canvas.addEventListener("pointermove", (event) => this.watch.point(this, at(event)));
    this.canvas.addEventListener("pointerleave", () => this.watch.point(this, null));
    this.canvas.addEventListener("click", (event) => {
      const unit = at(event);
      if (unit) this.#keep(unit);
    });
    this.canvas.addEventListener("focus", () => {
      if (this.canvas.matches(":focus-visible")) this.watch.point(this, this.cursor, true);
    });
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #keep(unit) {
    this.cursor = unit;
    this.watch.keep(this, unit);
  }

  #key(event) {
    if (event.key === "Escape") return this.watch.letGo();
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return this.#keep(this.cursor);
    }
    const moved = this.isDense ? this.#alongUnits(event.key) : this.#overMaps(event.key);
    if (moved === null) return undefined;
    event.preventDefault();
    this.cursor = moved;
    this.watch.point(this, moved, true);
    return undefined;
  }

  #alongUnits(key) {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[key];
    const end = { Home: 0, End: this.maps.channels - 1 }[key];
    if (step === undefined && end === undefined) return null;
    const unit = end ?? Math.min(this.maps.channels - 1, Math.max(0, this.cursor.channel + step));
    return { channel: unit, row: 0, column: 0 };
  }

  // Beyond the left or right edge of a map comes the next one; Page Up and Page Down change it as well.
  #overMaps(key) {
    const { channels, rows, columns } = this.maps;
    let { channel, row, column } = this.cursor;
    if (key === "ArrowLeft") column -= 1;
    else if (key === "ArrowRight") column += 1;
    else if (key === "ArrowUp") row = Math.max(0, row - 1);
    else if (key === "ArrowDown") row = Math.min(rows - 1, row + 1);
    else if (key === "PageUp") channel -= 1;
    else if (key === "PageDown") channel += 1;
    else if (key === "Home") [channel, row, column] = [0, 0, 0];
    else if (key === "End") [channel, row, column] = [channels - 1, rows - 1, columns - 1];
    else return null;
    if (column < 0) [channel, column] = [channel - 1, columns - 1];
    if (column >= columns) [channel, column] = [channel + 1, 0];
    return { channel: (channel + channels) % channels, row, column };
  }

  get values() {
    return unitsOf(this.maps);
  }
}

// The filters of a convolution: a column an output map, a row an input map.
export class FiltersView {
  constructor(subject, layer, watch) {
    Object.assign(this, { subject, layer, watch });
    this.chosen = 0;
    this.canvas = element("canvas", { tabIndex: 0, role: "application", className: "filters" });
    const { name } = subject.network.layers[layer];
    this.canvas.setAttribute("aria-label", say("filters-label", { name }));
    this.canvas.addEventListener("click", (event) => {
      const left = this.canvas.getBoundingClientRect().left;
      this.#choose(Math.floor((event.clientX - left - ROOM) / this.step));
    });
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Enter: 0, " ": 0 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.#choose(this.chosen + step);
  }

  #choose(map) {
    const { channels } = this.subject.network.layers[this.layer].output;
    this.chosen = Math.min(channels - 1, Math.max(0, map));
    this.watch.keepMap(this.subject, this.layer, this.chosen);
  }

  // `most` is the largest side of a weight, in CSS pixels.  What has not changed stays.
  draw(scale, width, most = null) {
    const now = `${width} ${this.subject.version}`;
    if (now === this.drawn && scale.table === this.table) return;
    Object.assign(this, { drawn: now, table: scale.table });
    const layer = this.subject.network.layers[this.layer];
    const { channels: inputs } = layer.input;
    const { channels: outputs } = layer.output;
    const side = layer.window;
    const pixel = Math.max(1, Math.min(most ?? (inputs > 3 ? 3 : 6), Math.floor(width / outputs / (side + 1))));
    this.step = pixel * side + Math.max(2, pixel);
    const context = sized(this.canvas, outputs * this.step + 2 * ROOM, inputs * this.step + 2 * ROOM);
    context.translate(ROOM, ROOM);
    const weights = this.subject.parameters.subarray(layer.weight, layer.bias);
    const largest = weights.reduce((sum, weight) => Math.max(sum, Math.abs(weight)), 1e-9);
    const small = pixelsOf(outputs * inputs * side, side, (k) => scale.of(weights[k], largest));
    const long = pixel * side;
    context.strokeStyle = scale.line;
    for (let output = 0; output < outputs; output += 1)
      for (let input = 0; input < inputs; input += 1) {
        const [x, y] = [output * this.step, input * this.step];
        context.drawImage(small, 0, (output * inputs + input) * side, side, side, x, y, long, long);
        context.strokeRect(x - 0.5, y - 0.5, long + 1, long + 1);
      }
  }
}

// The text, its middle left out until it is no wider than `most`: names differ at their ends.
function fitted(context, text, most) {
  const letters = [...text];
  let shown = text;
  for (let left = letters.length - 1; left > 1 && context.measureText(shown).width > most; left -= 1) {
    const end = Math.floor(left / 3);
    shown = `${letters.slice(0, left - end).join("")}…${letters.slice(letters.length - end).join("")}`;
  }
  return shown;
}
