// The note's figure: loss on the left axis and accuracies on the right one, over epochs.

import { say } from "./words.js";

const SPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [560, 300];
const [LEFT, RIGHT, TOP, BOTTOM] = [48, 512, 34, 262];
const SERIES = [
  { key: "train_loss", word: "train-loss", name: "loss", dash: "" },
  { key: "train_accuracy", word: "train-accuracy", name: "train", dash: "6 3" },
  { key: "test_accuracy", word: "test-accuracy", name: "test", dash: "8 3 2 3" },
];

function shape(name, properties, text = "") {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

const words = (x, y, text, anchor = "middle") => shape("text", { x, y, "text-anchor": anchor }, text);

export function drawChart(place, rows, epochs) {
  const losses = rows.map((row) => row.train_loss).filter((loss) => loss < 100);
  const top = Math.max(0.5, Math.ceil(2 * Math.max(0, ...(losses.length ? losses : [2.3]))) / 2);
  const across = (progress) => LEFT + ((RIGHT - LEFT) * progress) / epochs;
  const up = (share) => BOTTOM - (BOTTOM - TOP) * Math.min(1, Math.max(0, share));
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label(rows) });
  for (let k = 0; k <= 5; k += 1) {
    const y = up(k / 5);
    svg.append(
      shape("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y, class: "rule" }),
      words(LEFT - 6, y + 4, ((top * k) / 5).toFixed(1), "end"),
      words(RIGHT + 6, y + 4, (k / 5).toFixed(1), "start"),
    );
  }
  const every = Math.ceil(epochs / 10);
  for (let epoch = 0; epoch <= epochs; epoch += every) svg.append(words(across(epoch), BOTTOM + 16, String(epoch)));
  svg.append(words((LEFT + RIGHT) / 2, HEIGHT - 6, say("epoch")));
  SERIES.forEach((series, k) => {
    const own = rows.filter((row) => Number.isFinite(row[series.key]));
    const points = own.map((row) => {
      const share = series.name === "loss" ? row.train_loss / top : row[series.key];
      return `${across(row.progress).toFixed(1)},${up(share).toFixed(1)}`;
    });
    const paint = { class: `curve ${series.name}`, "stroke-dasharray": series.dash };
    svg.append(shape("polyline", { points: points.join(" "), ...paint }));
    if (series.name === "test")
      for (const point of points) {
        const [cx, cy] = point.split(",");
        svg.append(shape("circle", { cx, cy, r: 3, class: "test-mark" }));
      }
    const x = LEFT + k * 160;
    svg.append(shape("line", { x1: x, x2: x + 26, y1: 14, y2: 14, ...paint }), words(x + 32, 18, say(series.word), "start"));
  });
  place.replaceChildren(svg);
}

function label(rows) {
  const last = rows.at(-1);
  if (!last) return say("curves");
  const said = SERIES.filter(({ key }) => Number.isFinite(last[key])).map(
    ({ key, word }) => `${say(word)} ${last[key].toFixed(3)}`,
  );
  return `${say("curves")}: ${said.join(", ")}`;
}
