// A network as data: the shapes, counts and places that follow from its layers.

const size = (maps) => maps.channels * maps.rows * maps.columns;

export const unitsOf = size;

// A layer of a spec, as Python writes it, with the shapes around it.  `weight` and `bias` are places in
// the parameters; `taps` is how many numbers make one unit.
function layerOf(row, input, place) {
  const kind = row.type === "pooling" ? row.kind : row.type;
  const layer = {
    name: row.name,
    kind,
    activation: row.activation ?? "identity",
    window: row.kernel ?? row.size ?? 0,
    padding: row.padding ?? 0,
    connections: row.connections ?? null,
    input,
  };
  if (kind === "dense") {
    layer.output = { channels: row.outputs, rows: 1, columns: 1 };
    layer.taps = size(input);
  } else if (kind === "convolution") {
    const grow = 2 * layer.padding - layer.window + 1;
    layer.output = { channels: row.outputs, rows: input.rows + grow, columns: input.columns + grow };
    layer.taps = input.channels * layer.window ** 2;
  } else {
    const each = (length) => Math.floor(length / layer.window);
    layer.output = { channels: input.channels, rows: each(input.rows), columns: each(input.columns) };
    layer.taps = 0;
  }
  layer.learns = layer.taps > 0;
  layer.weight = place;
  layer.bias = place + layer.taps * layer.output.channels;
  layer.parameters = layer.learns ? (layer.taps + 1) * layer.output.channels : 0;
  layer.end = place + layer.parameters;
  return layer;
}

export function networkOf(spec) {
  let maps = { channels: spec.channels, rows: spec.height, columns: spec.width };
  const network = { spec, pixels: maps, layers: [], parameters: 0 };
  for (const row of spec.layers) {
    const layer = layerOf(row, maps, network.parameters);
    network.layers.push(layer);
    network.parameters = layer.end;
    maps = layer.output;
  }
  network.classes = maps.channels;
  return network;
}

// Name, shape and place of each array of weights, in the order of the layers.
export function weightArrays(network) {
  return network.layers
    .filter((layer) => layer.learns)
    .flatMap((layer) => {
      const outputs = layer.output.channels;
      const shape =
        layer.kind === "dense"
          ? [outputs, layer.taps]
          : [outputs, layer.input.channels, layer.window, layer.window];
      return [
        { name: `${layer.name}.weight`, shape, start: layer.weight, end: layer.bias, layer },
        { name: `${layer.name}.bias`, shape: [outputs], start: layer.bias, end: layer.end, layer },
      ];
    });
}

// The spec for pictures and classes of other data, with another head, pooling or activation.
export function changedSpec(spec, { channels, rows, columns, classes }, { activation, head, pooling }) {
  const last = spec.layers.length - 1;
  const heads = spec.layers.findLastIndex((row, k) => k < last && row.type === "dense");
  const layers = spec.layers.map((row, k) => {
    if (k === last) return { ...row, outputs: classes };
    if (row.type === "pooling") return { ...row, kind: pooling ?? row.kind };
    return { ...row, activation: (k === heads ? head : activation) ?? row.activation };
  });
  return { ...spec, channels, height: rows, width: columns, layers };
}

// What a spec's own choices are.
export function choicesOf(spec) {
  const hidden = spec.layers.slice(0, -1);
  return {
    activation: hidden.find((row) => row.type === "convolution")?.activation ?? "identity",
    head: hidden.findLast((row) => row.type === "dense")?.activation ?? "identity",
    pooling: hidden.find((row) => row.type === "pooling")?.kind ?? "average",
  };
}

// The rows and columns of layer `index`'s input that unit (row, column) reads; they may lie outside.
export function windowOf(layer, row, column) {
  if (layer.kind === "dense")
    return { top: 0, left: 0, bottom: layer.input.rows, right: layer.input.columns };
  const stride = layer.kind === "convolution" ? 1 : layer.window;
  const top = row * stride - layer.padding;
  const left = column * stride - layer.padding;
  return { top, left, bottom: top + layer.window, right: left + layer.window };
}

// The same in the layers below it, down to the picture: boxes by layer, the picture's the first.
export function receptiveFields(network, index, row, column) {
  const fields = [];
  let box = { top: row, left: column, bottom: row + 1, right: column + 1 };
  for (let k = index; k >= 0; k -= 1) {
    const layer = network.layers[k];
    const first = windowOf(layer, box.top, box.left);
    const last = windowOf(layer, box.bottom - 1, box.right - 1);
    box = {
      top: Math.max(0, first.top),
      left: Math.max(0, first.left),
      bottom: Math.min(layer.input.rows, last.bottom),
      right: Math.min(layer.input.columns, last.right),
    };
    fields.unshift(box);
  }
  return fields;
}
