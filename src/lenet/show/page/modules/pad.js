// The drawing pad: strokes by mouse, finger, pen or keyboard, in the units of the network's pixels.

import { byId, sized } from "./element.js";

const FINE = 224; // about so many pixels on a side; points are whole numbers of them, in a byte
const MOST_BYTES = 6000; // of strokes in a link

// {brush, points: [x, y, x, y ...]}, all in fine pixels.
export class Pad {
  constructor({ side, changed }) {
    this.changed = changed;
    this.canvas = byId("pad");
    this.unit = Math.max(1, Math.floor(FINE / side)); // of the drawing's pixels, one of the network's
    this.fine = Math.min(255, side * this.unit);
    this.drawing = new OffscreenCanvas(this.fine, this.fine);
    this.strokes = [];
    this.under = null; // a picture that was dropped, shown in place of strokes
    this.cursor = { x: this.fine / 2, y: this.fine / 2, down: false, shown: false };
    this.open = new Map();
    this.#listen();
  }

  get brush() {
    return Math.max(1, Number(byId("brush").value) * this.unit);
  }

  get isEmpty() {
    return this.strokes.length === 0;
  }

  // What is drawn, dark on white, as a picture of red, green, blue and alpha.
  picture() {
    const context = this.drawing.getContext("2d", { willReadFrequently: true });
    paint(context, this.strokes, this.fine, "#000", "#fff");
    return { rows: this.fine, columns: this.fine, rgba: context.getImageData(0, 0, this.fine, this.fine).data };
  }

  // In the theme's colours; `under` is shown instead where something else is looked at.
  draw(scale) {
    const length = this.canvas.parentElement.clientWidth;
    const context = sized(this.canvas, length, length);
    const share = length / this.fine;
    context.scale(share, share);
    const ink = scale.isDark ? "#fff" : "#000";
    paint(context, this.under ? [] : this.strokes, this.fine, ink, scale.card);
    if (this.under) this.#drawUnder(context);
    this.#drawGrid(context, scale);
    if (this.cursor.shown) this.#drawCursor(context, scale);
  }

  #drawUnder(context) {
    const { width, height } = this.under;
    const share = this.fine / Math.max(width, height);
    const [wide, high] = [width * share, height * share];
    context.imageSmoothingEnabled = width > 64;
    context.drawImage(this.under, (this.fine - wide) / 2, (this.fine - high) / 2, wide, high);
  }

  #drawGrid(context, scale) {
    context.globalAlpha = 0.35;
    context.strokeStyle = scale.line;
    context.lineWidth = 0.6;
    context.beginPath();
    for (let place = this.unit * 4; place < this.fine; place += this.unit * 4) {
      context.moveTo(place, 0);
      context.lineTo(place, this.fine);
      context.moveTo(0, place);
      context.lineTo(this.fine, place);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  #drawCursor(context, scale) {
    context.strokeStyle = scale.mark;
    context.lineWidth = this.cursor.down ? 3 : 1.5;
    context.beginPath();
    context.arc(this.cursor.x, this.cursor.y, this.brush / 2, 0, 2 * Math.PI);
    context.stroke();
  }

  // Where a picture is shown, that is what is undone: the drawing comes back.
  undo() {
    if (!this.under) this.strokes.pop();
    this.changed();
  }

  clear() {
    this.strokes = [];
    this.changed();
  }

  // ---- pointers and keys ------------------------------------------------------------------------

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const whole = (share) => Math.round(Math.min(1, Math.max(0, share)) * this.fine);
    return [whole((event.clientX - box.left) / box.width), whole((event.clientY - box.top) / box.height)];
  }

  #begin(x, y) {
    const stroke = { brush: this.brush, points: [x, y] };
    if (this.under) this.strokes = []; // not over a drawing that nobody sees
    this.strokes.push(stroke);
    this.changed();
    return stroke;
  }

  #listen() {
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      this.canvas.focus({ preventScroll: true });
      this.canvas.setPointerCapture(event.pointerId);
      this.cursor.shown = false;
      this.open.set(event.pointerId, this.#begin(...this.#at(event)));
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const stroke = this.open.get(event.pointerId);
      if (!stroke) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) addPoint(stroke, ...this.#at(each));
      this.changed();
    });
    for (const end of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(end, (event) => this.open.delete(event.pointerId));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("blur", () => {
      Object.assign(this.cursor, { down: false, shown: false });
      this.changed(false);
    });
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { cursor } = this;
    if (event.key in moves) {
      const by = (event.shiftKey ? 4 : 1) * this.unit;
      const move = (value, step) => Math.min(this.fine, Math.max(0, value + step * by));
      [cursor.x, cursor.y] = [move(cursor.x, moves[event.key][0]), move(cursor.y, moves[event.key][1])];
      if (cursor.down) addPoint(this.strokes.at(-1), cursor.x, cursor.y);
    } else if (event.key === " ") {
      cursor.down = !cursor.down;
      if (cursor.down) this.#begin(cursor.x, cursor.y);
    } else if (event.key === "Backspace") {
      cursor.down = false;
      this.undo();
    } else if (event.key === "Delete") {
      cursor.down = false;
      this.clear();
    } else return;
    event.preventDefault();
    cursor.shown = true;
    this.changed(cursor.down || event.key === " ");
  }

  // ---- strokes as text, for a link --------------------------------------------------------------

  text() {
    const bytes = this.strokes.flatMap(({ brush, points }) => {
      const count = Math.min(points.length / 2, 65535);
      return [brush, count >> 8, count & 255, ...points.slice(0, 2 * count).map((place) => Math.min(255, place))];
    });
    if (bytes.length > MOST_BYTES) return "";
    return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  read(text) {
    const letters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    this.strokes = [];
    for (let k = 0; k + 3 < bytes.length; ) {
      const count = bytes[k + 1] * 256 + bytes[k + 2];
      this.strokes.push({ brush: Math.max(1, bytes[k]), points: [...bytes.subarray(k + 3, k + 3 + 2 * count)] });
      k += 3 + 2 * count;
    }
  }
}

function addPoint(stroke, x, y) {
  const { points } = stroke;
  if (points.at(-2) === x && points.at(-1) === y) return;
  points.push(x, y);
}

function paint(context, strokes, side, ink, ground) {
  context.fillStyle = ground;
  context.fillRect(0, 0, side, side);
  context.strokeStyle = ink;
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const { brush, points } of strokes) {
    context.lineWidth = brush;
    context.beginPath();
    context.moveTo(points[0], points[1]);
    if (points.length === 2) context.lineTo(points[0] + 0.01, points[1]);
    for (let k = 2; k < points.length; k += 2) context.lineTo(points[k], points[k + 1]);
    context.stroke();
  }
}
