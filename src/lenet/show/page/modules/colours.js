// One scale of colours for all layers: zero is the card's own colour, above and below are two others.

import { element, sized } from "./element.js";
import { number, say } from "./words.js";

const STEPS = 255;

function parse(text) {
  const digits = text.trim().slice(1);
  return [0, 2, 4].map((k) => parseInt(digits.slice(k, k + 2), 16));
}

export class Scale {
  constructor() {
    this.most = 1;
    this.read();
  }

  // The theme's colours, anew.
  read() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.ink = colour("ink");
    this.soft = colour("soft");
    this.line = colour("line");
    this.mark = colour("mark");
    this.card = colour("card");
    const [zero, above, below] = ["zero", "above", "below"].map((name) => parse(colour(name)));
    this.isDark = zero[0] < 128;
    this.table = new Uint32Array(2 * STEPS + 1);
    for (let k = -STEPS; k <= STEPS; k += 1) {
      const end = k < 0 ? below : above;
      const share = Math.abs(k) / STEPS;
      const [red, green, blue] = zero.map((from, c) => Math.round(from + share * (end[c] - from)));
      this.table[k + STEPS] = (255 << 24) | (blue << 16) | (green << 8) | red;
    }
  }

  // -1 to 1: the root of the share of the most, so that small values can be seen beside large ones.
  place(value, most = this.most) {
    if (!(Math.abs(value) > 0)) return 0;
    return Math.sign(value) * Math.min(1, Math.sqrt(Math.abs(value) / most));
  }

  // As the bytes of a pixel.
  of(value, most) {
    return this.table[Math.round(STEPS * this.place(value, most)) + STEPS];
  }

  css(value, most) {
    const pixel = this.of(value, most);
    return `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;
  }

  // Black or white, whichever can be read on the colour of a value (WCAG 2.2, relative luminance).
  inkOn(value, most) {
    const pixel = this.of(value, most);
    const [red, green, blue] = [0, 8, 16].map((shift) => {
      const share = ((pixel >> shift) & 255) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
  }

  // Paper is dark on light in the light theme, and light on dark in the dark one.
  grey(level) {
    const shade = this.isDark ? level : 255 - level;
    return (255 << 24) | (shade << 16) | (shade << 8) | shade;
  }

  // The least of some round numbers that is not below what is found.
  cover(found) {
    const power = 10 ** Math.floor(Math.log10(found || 1));
    this.most = [1, 2, 5, 10].map((part) => part * power).find((round) => round >= found * 0.999);
  }
}

// Pixels (rows, columns) as a small canvas, for others to draw large.
export function pixelsOf(rows, columns, pixelAt) {
  const small = new OffscreenCanvas(columns, rows);
  const context = small.getContext("2d");
  const data = context.createImageData(columns, rows);
  const pixels = new Uint32Array(data.data.buffer);
  for (let k = 0; k < pixels.length; k += 1) pixels[k] = pixelAt(k);
  context.putImageData(data, 0, 0);
  return small;
}

// An image (channels, rows, columns): the first three channels as colours, fewer as the theme's greys.
export function pictureOf({ rows, columns, channels }, image, scale) {
  const size = rows * columns;
  const colour = (k) => (255 << 24) | (image[2 * size + k] << 16) | (image[size + k] << 8) | image[k];
  return pixelsOf(rows, columns, channels >= 3 ? colour : (k) => scale.grey(image[k]));
}

export function drawLegend(place, scale) {
  const [width, height] = [220, 10];
  const canvas = element("canvas", { aria: { hidden: "true" } });
  const context = sized(canvas, width, height);
  for (let x = 0; x < width; x += 1) {
    const share = (2 * x) / (width - 1) - 1;
    context.fillStyle = scale.css(Math.sign(share) * share * share * scale.most);
    context.fillRect(x, 0, 1, height);
  }
  context.strokeStyle = scale.line;
  context.strokeRect(0.5, 0.5, width - 1, height - 1);
  const ticks = [-1, -0.25, 0, 0.25, 1].map((share) =>
    element("span", {}, number(share * scale.most).replace(/\.?0+$/, "")),
  );
  place.replaceChildren(
    element("span", { className: "soft" }, say("legend")),
    element("span", { className: "scale" }, canvas, element("span", { className: "ticks" }, ...ticks)),
  );
}
