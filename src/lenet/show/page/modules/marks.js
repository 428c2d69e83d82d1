// Which unit is looked at where nobody points at one, and what is marked on the maps for a unit.

import { receptiveFields, windowOf } from "./network.js";

// For as long as nobody points at one: the strongest unit of the last layer that has maps.
export function liveliest(subject) {
  const layer = Math.max(0, subject.network.layers.findLastIndex((each) => each.kind === "convolution"));
  const values = subject.seen.activations[layer];
  const index = values.indexOf(Math.max(...values));
  const { rows, columns } = subject.network.layers[layer].output;
  const rest = index % (rows * columns);
  const unit = { channel: Math.floor(index / (rows * columns)), row: Math.floor(rest / columns), column: rest % columns };
  return { subject, layer, unit };
}

// What the unit reads, on the layer below it and on the picture.
export function marksOn(view, found) {
  if (!found || found.subject !== view.subject) return [];
  const { layer, unit } = found;
  const { channel, row, column } = unit;
  if (view.layer === layer)
    return [{ channel, top: row, left: column, bottom: row + 1, right: column + 1, strong: true }];
  if (layer < 0 || view.layer >= layer) return [];
  const own = found.subject.network.layers[layer];
  if (view.layer === layer - 1 && own.kind !== "dense") {
    const box = windowOf(own, row, column);
    const inside = {
      top: Math.max(0, box.top), left: Math.max(0, box.left),
      bottom: Math.min(own.input.rows, box.bottom), right: Math.min(own.input.columns, box.right),
    };
    return [{ channel: own.learns ? null : channel, ...inside }];
  }
  if (view.layer !== -1) return [];
  const [box] = receptiveFields(found.subject.network, layer, row, column);
  return [{ channel: 0, ...box }];
}
