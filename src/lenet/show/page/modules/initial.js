// Initial weights, the same as src/lenet/network/initialiser.py draws them.

import { weightArrays } from "./network.js";
import { keyText } from "./python.js";

const VARIANCES = {
  xavier_uniform: (fanIn, fanOut) => 2.0 / (fanIn + fanOut),
  lecun_uniform: (fanIn) => 1.0 / fanIn,
  kaiming_uniform: (fanIn) => 2.0 / fanIn,
};

function fansOf({ layer }) {
  const fanOut =
    layer.kind === "dense" ? layer.output.channels : layer.output.channels * layer.window ** 2;
  return [layer.taps, fanOut];
}

export function initialParameters(kernels, network, recipe) {
  const parameters = new Float32Array(network.parameters);
  for (const array of weightArrays(network)) {
    const [fanIn, fanOut] = fansOf(array);
    const isWeight = array.shape.length > 1;
    const bound = isWeight
      ? Math.sqrt(3.0 * VARIANCES[recipe.initialiser](fanIn, fanOut))
      : 1.0 / Math.sqrt(fanIn);
    const name = keyText(recipe.seed, "initial", array.name);
    parameters.set(kernels.uniform(array.end - array.start, bound, name), array.start);
  }
  const mask = connectionMask(network);
  if (mask !== null) for (let k = 0; k < parameters.length; k += 1) parameters[k] *= mask[k];
  return parameters;
}

// 0 where a connection table has no weight, else 1; null where every layer is whole.
export function connectionMask(network) {
  if (network.layers.every((layer) => layer.connections === null)) return null;
  const mask = new Float32Array(network.parameters).fill(1);
  for (const layer of network.layers.filter((each) => each.connections !== null)) {
    const area = layer.window ** 2;
    for (let output = 0; output < layer.output.channels; output += 1)
      for (let input = 0; input < layer.input.channels; input += 1)
        if (!layer.connections[output].includes(input)) {
          const start = layer.weight + (output * layer.input.channels + input) * area;
          mask.fill(0, start, start + area);
        }
  }
  return mask;
}
