// The picture on its way to the network, stage by stage, and the answer to the picture only resized.

import { pixelsOf } from "./colours.js";
import { byId, element, sized } from "./element.js";
import { chance, say } from "./words.js";

const THUMBNAIL = 76;

function thumbnail({ planes }) {
  const [{ rows, columns, values }] = planes;
  const colour = (k) => (255 << 24) | (planes[2].values[k] << 16) | (planes[1].values[k] << 8) | values[k];
  const small = pixelsOf(rows, columns, planes.length >= 3 ? colour : (k) => (255 << 24) | (values[k] * 0x10101));
  const share = THUMBNAIL / Math.max(rows, columns);
  const canvas = element("canvas", { aria: { hidden: "true" } });
  const [wide, high] = [Math.max(1, columns * share), Math.max(1, rows * share)];
  const context = sized(canvas, wide, high);
  context.imageSmoothingEnabled = share < 1;
  context.drawImage(small, 0, 0, wide, high);
  return canvas;
}

export function drawStages(subject) {
  const { stages, notes, resized, answer, blank } = subject.seen;
  const { rows, columns } = subject.network.pixels;
  const shown = stages.length ? stages : [imageStage(subject, rows, columns)];
  byId("stages").replaceChildren(
    ...shown.map((stage) => element("li", {}, thumbnail(stage), element("span", {}, say(stage.word)))),
  );
  byId("notes").textContent = notes.map(({ word, values }) => say(word, values)).join(" ");
  const plain = byId("plain");
  plain.hidden = !resized || blank;
  if (plain.hidden) return;
  const same = resized.answer === answer;
  plain.className = same ? "plain" : "plain other";
  const values = { class: subject.className(resized.answer), probability: chance(resized.probability) };
  plain.textContent = say(same ? "plain-nothing" : "plain", values);
}

function imageStage({ seen, network }, rows, columns) {
  const size = rows * columns;
  const planes = Array.from({ length: network.pixels.channels }, (_, c) => ({
    rows, columns, values: seen.image.subarray(c * size, (c + 1) * size),
  }));
  return { word: "stage-example", planes };
}
