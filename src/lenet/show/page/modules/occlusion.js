// Where the answer hangs: the fall of its probability where a place is hidden, over the picture.

import { pictureOf, pixelsOf } from "./colours.js";
import { byId, element, sized } from "./element.js";
import { percent, say } from "./words.js";

const LEAST = 0.02; // of a probability, for full colour: below it there is nothing to see

export function drawOcclusion(subjects, scale, nameOf) {
  const shown = subjects.filter((subject) => !subject.seen.blank);
  const name = subjects.length > 1 ? (subject) => `${nameOf(subject)}: ` : () => "";
  byId("occlusion").replaceChildren(...shown.map((subject) => drawOne(subject, scale, name(subject))));
}

function drawOne(subject, scale, name) {
  const falls = subject.occlusion();
  const { rows, columns } = subject.network.pixels;
  const pixel = Math.max(1, Math.floor(168 / columns));
  const found = falls.reduce((largest, fall) => Math.max(largest, Math.abs(fall)), 0);
  const most = Math.max(LEAST, found);
  const peak = falls.indexOf(falls.reduce((largest, fall) => Math.max(largest, fall), -Infinity));
  const label = say("occlusion-label", {
    most: percent(Math.max(0, falls[peak])), row: Math.floor(peak / columns) + 1, column: (peak % columns) + 1,
  });
  const canvas = element("canvas", { role: "img", aria: { label: name + label } });
  const context = sized(canvas, columns * pixel, rows * pixel);
  const picture = pictureOf(subject.network.pixels, subject.seen.image, scale);
  const heat = pixelsOf(rows, columns, (k) => scale.of(falls[k], most));
  context.drawImage(heat, 0, 0, columns * pixel, rows * pixel);
  context.globalAlpha = 0.38;
  context.globalCompositeOperation = scale.isDark ? "screen" : "multiply";
  context.drawImage(picture, 0, 0, columns * pixel, rows * pixel);
  const key = [["rises", -most], ["falls", most]].map(([word, value]) => {
    const swatch = element("i", { aria: { hidden: "true" } });
    swatch.style.backgroundColor = scale.css(value, most);
    return element("span", {}, swatch, `${say(word)} ${percent(most)}`);
  });
  return element("figure", {}, canvas, element("figcaption", {}, name || null, ...key));
}
