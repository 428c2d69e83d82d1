// Where the units of a layer are drawn: maps as squares of pixels, dense layers as cells or as bars.

const GAP = 7;
const LABEL = 13;

// The largest whole pixels for which all maps fit side by side; in several rows if they get too small.
export function mapPlaces(maps, width) {
  const { channels, rows, columns } = maps;
  const least = Math.max(1, Math.ceil(44 / columns));
  const most = Math.max(least, Math.floor((54 + 2.6 * columns) / columns));
  let [across, pixel] = [1, Math.max(1, Math.min(most, Math.floor(width / columns)))];
  for (let down = 1; down <= channels; down += 1) {
    across = Math.ceil(channels / down);
    const fits = Math.floor((width - GAP * (across - 1)) / across / columns);
    if (fits >= least || across === 1) {
      pixel = Math.max(1, Math.min(most, fits));
      break;
    }
  }
  const [wide, high] = [pixel * columns, pixel * rows];
  const label = channels > 1 ? LABEL : 0;
  return {
    width: across * (wide + GAP) - GAP,
    height: Math.ceil(channels / across) * (high + label + GAP) - GAP,
    pixel,
    label,
    mapBox(channel) {
      const [down, right] = [Math.floor(channel / across), channel % across];
      return { x: right * (wide + GAP), y: label + down * (high + label + GAP), width: wide, height: high };
    },
    unitBox({ channel, row, column }) {
      const box = this.mapBox(channel);
      return { x: box.x + column * pixel, y: box.y + row * pixel, width: pixel, height: pixel };
    },
    unitAt(x, y) {
      const right = Math.min(across - 1, Math.max(0, Math.floor((x + GAP / 2) / (wide + GAP))));
      const down = Math.max(0, Math.floor((y - label / 2 + GAP / 2) / (high + label + GAP)));
      const channel = down * across + right;
      if (channel >= channels) return null;
      const box = this.mapBox(channel);
      const clamp = (value, end) => Math.min(end - 1, Math.max(0, Math.floor(value)));
      const [row, column] = [clamp((y - box.y) / pixel, rows), clamp((x - box.x) / pixel, columns)];
      return { channel, row, column };
    },
  };
}

// Units of a dense layer as a row of bars, or where they are many as cells in rows.
export function unitPlaces(count, width, asBars) {
  const least = asBars ? 3 : 11;
  const across = Math.max(1, Math.min(count, Math.floor(width / least)));
  const evenly = Math.ceil(count / Math.ceil(count / across));
  const wide = Math.max(2, Math.min(asBars ? 64 : 18, Math.floor(width / evenly)));
  const high = asBars ? 72 : wide;
  const gap = asBars ? 14 : 0;
  const place = (unit) => ({
    x: (unit % evenly) * wide,
    y: Math.floor(unit / evenly) * (high + gap),
    width: wide,
    height: high,
  });
  return {
    width: evenly * wide,
    height: Math.ceil(count / evenly) * (high + gap),
    pixel: wide,
    label: 0,
    mapBox: place,
    unitBox: ({ channel }) => place(channel),
    unitAt(x, y) {
      const right = Math.min(evenly - 1, Math.max(0, Math.floor(x / wide)));
      const channel = Math.max(0, Math.floor(y / (high + gap))) * evenly + right;
      return channel < count ? { channel, row: 0, column: 0 } : null;
    },
  };
}
