// The rows of the page: a layer each, with its maps and its filters.

import { element } from "./element.js";
import { FiltersView, MapsView } from "./maps.js";
import { say, whole } from "./words.js";

// What one layer shows: a side for each subject that has it. `page` names them, and hears where they
// are pointed at.
export function rowOf(layer, subjects, page) {
  const views = [];
  const filters = [];
  const [{ network }] = subjects;
  const title = layer < 0 ? say("input") : network.layers[layer]?.name;
  const texts = subjects.map((subject) => describe(subject.network, layer));
  const alike = texts.every((text) => text === texts[0]);
  const words = alike ? element("span", { className: "soft" }, texts[0]) : null;
  const head = element("div", { className: "row-head" }, element("h3", {}, title ?? ""), words);
  const sides = subjects
    .filter((subject) => layer < subject.network.layers.length)
    .map((subject) => {
      const view = new MapsView(subject, layer, page);
      views.push(view);
      const own = alike ? page.nameOf(subject) : `${page.nameOf(subject)}: ${describe(subject.network, layer)}`;
      const name = subjects.length > 1 ? element("p", { className: "soft side-name" }, own) : null;
      const parts = [name, view.canvas];
      if (layer >= 0 && subject.network.layers[layer].kind === "convolution") {
        const shown = new FiltersView(subject, layer, page);
        filters.push(shown);
        parts.push(element("details", { className: "its-filters", open: layer === 0 }, element("summary", {}, say("filters")), shown.canvas));
      }
      return element("div", { className: "side-of-row" }, ...parts);
    });
  return { row: element("div", { className: "layer" }, head, ...sides), views, filters };
}

// A layer in words: the paper's counts.
function describe(network, layer) {
  if (layer >= network.layers.length) return "";
  const maps = layer < 0 ? network.pixels : network.layers[layer].output;
  const { channels: count, rows, columns } = maps;
  if (layer < 0) return say("input-is", { shape: [...(count > 1 ? [count] : []), rows, columns].join("×") });
  const { kind, window: size, activation, parameters } = network.layers[layer];
  const words = [
    rows * columns > 1 ? say("maps-are", { count, rows, columns }) : say("units-are", { count }),
    say(`${kind}-is`, { size }),
  ];
  if (activation !== "identity") words.push(say("then", { activation: say(activation) }));
  if (parameters) words.push(say("parameters-are", { count: whole(parameters) }));
  return words.join(" · ");
}
