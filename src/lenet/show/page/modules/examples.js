// Test images that the page carries: to look at, and to see what excites a map.

import { pictureOf } from "./colours.js";
import { byId, element, sized } from "./element.js";
import { mapName } from "./inspector.js";
import { receptiveFields, unitsOf } from "./network.js";
import { number, say } from "./words.js";

const MOST_EXCITED = 12;

export class Examples {
  // `pack` has all images one after the other; `facts` their labels and indices in the test split.
  constructor(pack, facts, maps) {
    Object.assign(this, { pack, facts, maps });
    this.count = facts.labels.length;
    this.next = new Map();
  }

  image(k) {
    const size = unitsOf(this.maps);
    return this.pack.subarray(k * size, (k + 1) * size);
  }

  // The next one of a class.
  take(label) {
    const own = [...this.facts.labels.keys()].filter((k) => this.facts.labels[k] === label);
    const turn = this.next.get(label) ?? 0;
    this.next.set(label, (turn + 1) % own.length);
    return own[turn];
  }

  thumbnail(k, scale, pixel = 1) {
    const { rows, columns } = this.maps;
    const small = pictureOf(this.maps, this.image(k), scale);
    const canvas = element("canvas", { aria: { hidden: "true" } });
    const context = sized(canvas, columns * pixel, rows * pixel);
    context.drawImage(small, 0, 0, columns * pixel, rows * pixel);
    return { canvas, context };
  }

  // A button a class: the picture that it would bring.
  drawChoices(names, scale, choose) {
    const buttons = names.map((name, label) => {
      const first = this.facts.labels.indexOf(label);
      if (first < 0) return null;
      const turn = this.next.get(label) ?? 0;
      const own = [...this.facts.labels.keys()].filter((k) => this.facts.labels[k] === label);
      const { canvas } = this.thumbnail(own[turn], scale);
      const words = say("example", { class: name });
      const button = element("button", { type: "button", title: words, aria: { label: words } }, canvas);
      button.addEventListener("click", () => choose(label));
      return button;
    });
    const focused = [...byId("examples").children].indexOf(document.activeElement);
    byId("examples").replaceChildren(...buttons.filter((button) => button !== null));
    if (focused >= 0) byId("examples").children[focused]?.focus();
  }

  // Every example's activations of one subject, made once for its parameters.
  #activations(subject) {
    if (this.of !== subject || this.version !== subject.version) {
      [this.of, this.version] = [subject, subject.version];
      this.found = subject.engine.activations(this.pack);
    }
    return this.found;
  }

  // Of the values of all maps among the examples few are above what is given back.
  most(subject) {
    const { layers } = subject.network;
    const found = this.#activations(subject);
    const maps = found.filter((_, k) => layers[k].output.rows > 1);
    return (maps.length ? maps : found).reduce((largest, values) => {
      const sorted = Float32Array.from(values, Math.abs).sort();
      return Math.max(largest, sorted[Math.floor(0.997 * (sorted.length - 1))]);
    }, 0);
  }

  excites(subject, layer, channel) {
    const maps = subject.network.layers[layer].output;
    const size = maps.rows * maps.columns;
    const values = this.#activations(subject)[layer];
    const found = Array.from({ length: this.count }, (_, k) => {
      const start = (k * maps.channels + channel) * size;
      const own = values.subarray(start, start + size);
      const value = own.reduce((largest, each) => Math.max(largest, each), -Infinity);
      return { k, value, unit: own.indexOf(value) };
    });
    return found.sort((a, b) => b.value - a.value).slice(0, MOST_EXCITED);
  }

  drawExcites({ subject, layer, channel }, names, scale, choose) {
    const { columns } = subject.network.layers[layer].output;
    const unit = mapName(subject, layer, channel);
    byId("excites-of").textContent = say("excites-of", { unit, count: this.count });
    const items = this.excites(subject, layer, channel).map(({ k, value, unit: place }) => {
      const pixel = Math.max(1, Math.floor(62 / this.maps.columns));
      const { canvas, context } = this.thumbnail(k, scale, pixel);
      const [row, column] = [Math.floor(place / columns), place % columns];
      const [box] = receptiveFields(subject.network, layer, row, column);
      context.strokeStyle = scale.mark;
      context.lineWidth = 2;
      const [wide, high] = [(box.right - box.left) * pixel, (box.bottom - box.top) * pixel];
      context.strokeRect(box.left * pixel + 1, box.top * pixel + 1, wide - 2, high - 2);
      const words = say("excites-item", { class: names[this.facts.labels[k]], value: number(value) });
      const button = element("button", { type: "button", className: "excited" }, canvas, element("span", {}, words));
      button.addEventListener("click", () => choose(k));
      return button;
    });
    byId("excites").replaceChildren(...items);
  }
}
