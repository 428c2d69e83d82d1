// A checkpoint that lenet opens: the bytes that src/lenet/runs/checkpoint.py writes.

import { weightArrays } from "./network.js";
import { Float, jsonText, shapeText } from "./python.js";

const FORMAT = 1;
const FLOATS_OF_SPEC = ["pixel_scale", "pixel_shift"];

function withFloats(values, names) {
  const floats = names.map((name) => [name, new Float(values[name])]);
  return { ...values, ...Object.fromEntries(floats) };
}

// Python says which fields are floats; some recipes have more of them inside.
function recipeFacts(recipe, floats) {
  const augmentation = withFloats(recipe.augmentation, floats.augmentation);
  return { ...withFloats(recipe, floats.recipe), augmentation };
}

// The optimizer's slots by name, as src/lenet/engines/native.py names them.
export function slotsOf(recipe) {
  if (recipe.optimizer === "adamw") return ["mean", "square"];
  return recipe.momentum > 0 ? ["momentum"] : [];
}

// [name, shape, bytes] of every array, in the order of their names.
function tensors(network, recipe, state) {
  const parts = [["weights", state.parameters]];
  if (state.updates > 0)
    slotsOf(recipe).forEach((slot, k) => parts.push([`optimizer/${slot}`, [state.first, state.second][k]]));
  const rows = parts.flatMap(([prefix, values]) =>
    weightArrays(network).map(({ name, shape, start, end }) => [
      `${prefix}/${name}`, shape, new Uint8Array(values.slice(start, end).buffer),
    ]),
  );
  return rows.sort(([a], [b]) => (a < b ? -1 : 1));
}

function concatenated(pieces) {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let start = 0;
  for (const piece of pieces) {
    all.set(piece, start);
    start += piece.length;
  }
  return all;
}

// `training` has recipe, source (of the data) and position; `state` is an engine's.
export function checkpointBytes(kernels, network, training, state, floats) {
  const encoder = new TextEncoder();
  const { recipe, source, position } = training;
  const rows = tensors(network, recipe, state);
  const facts = {
    format: FORMAT,
    spec: withFloats(network.spec, FLOATS_OF_SPEC),
    recipe: recipeFacts(recipe, floats),
    data: source,
    position: withFloats(position, ["loss_sum"]),
    best: null,
    updates: state.updates,
  };
  const digested = [encoder.encode(jsonText(facts))];
  for (const [name, shape, bytes] of rows)
    digested.push(encoder.encode(`\n${name} float32 ${shapeText(shape)}\n`), bytes);
  const sha256 = kernels.sha256(concatenated(digested));
  const header = { __metadata__: { lenet: jsonText({ ...facts, sha256 }) } };
  let end = 0;
  for (const [name, shape, bytes] of rows) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  const text = encoder.encode(JSON.stringify(header));
  const head = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(32);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(text, 8);
  return concatenated([head, ...rows.map(([, , bytes]) => bytes)]);
}
