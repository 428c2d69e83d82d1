// What the page carries as text: bytes in base 85 (Python's b85encode, with a full stop for "<"), compressed by gzip.

const ALPHABET =
  "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;.=>?@^_`{|}~";
const VALUES = new Uint8Array(128);
for (let k = 0; k < ALPHABET.length; k += 1) VALUES[ALPHABET.charCodeAt(k)] = k;

// Five letters are four bytes; the last few may be fewer.
export function decode85(text) {
  const groups = Math.ceil(text.length / 5);
  const bytes = new Uint8Array(groups * 4);
  const view = new DataView(bytes.buffer);
  for (let group = 0; group < groups; group += 1) {
    let value = 0;
    for (let k = 5 * group; k < 5 * group + 5; k += 1)
      value = value * 85 + (k < text.length ? VALUES[text.charCodeAt(k)] : 84);
    view.setUint32(4 * group, value);
  }
  return bytes.subarray(0, bytes.length - (groups * 5 - text.length));
}

export async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The pack that the page carries under this name.
export async function unpack(name) {
  return gunzip(decode85(document.getElementById(`pack-${name}`).textContent.trim()));
}

// Floats whose bytes were put apart, all first bytes before all second ones: so they compress better.
export function joinPlanes(bytes) {
  const count = bytes.length / 4;
  const joined = new Uint8Array(bytes.length);
  for (let plane = 0; plane < 4; plane += 1)
    for (let k = 0; k < count; k += 1) joined[4 * k + plane] = bytes[plane * count + k];
  return new Float32Array(joined.buffer);
}
