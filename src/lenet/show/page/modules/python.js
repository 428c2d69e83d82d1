// Texts as Python writes them, where bytes must be the same: numbers, texts, tuples and JSON.

// A number that is a float there; plain numbers are whole.
export class Float {
  constructor(value) {
    this.value = value;
  }
}

// As Python's repr: the shortest digits that give the number again.
export function floatText(value) {
  const [digits, power] = value.toExponential().split("e");
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    const sign = exponent < 0 ? "-" : "+";
    return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  if (Number.isInteger(value)) return `${BigInt(value)}.0`;
  return String(value);
}

// The names of random streams: (seed, "order", epoch).
export function keyText(...parts) {
  const texts = parts.map((part) => (typeof part === "string" ? quoted(part) : String(part)));
  return texts.length === 1 ? `(${texts[0]},)` : `(${texts.join(", ")})`;
}

function quoted(text) {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replaceAll("\\", "\\\\").replaceAll(mark, `\\${mark}`);
  return `${mark}${escaped}${mark}`;
}

export function shapeText(shape) {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

// As json.dumps(value, sort_keys=True).
export function jsonText(value) {
  if (value instanceof Float) return floatText(value.value);
  if (typeof value === "string") return asciiText(value);
  if (Array.isArray(value)) return `[${value.map(jsonText).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const keys = Object.keys(value).sort(byCodePoint);
  return `{${keys.map((key) => `${asciiText(key)}: ${jsonText(value[key])}`).join(", ")}}`;
}

function asciiText(text) {
  return JSON.stringify(text).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

// As Python orders texts, which is not by halves of surrogate pairs.
function byCodePoint(a, b) {
  const [left, right] = [[...a], [...b]];
  for (let k = 0; k < Math.min(left.length, right.length); k += 1)
    if (left[k] !== right[k]) return left[k].codePointAt(0) - right[k].codePointAt(0);
  return left.length - right.length;
}
