// Reads WAV: integer and float samples at the file's own rate. A browser's decoder would resample them its own way.

const INTEGER = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

/** Whether these bytes, an ArrayBuffer, begin as WAV does. */
export function isWav(bytes) {
  return bytes.byteLength >= 12 && ["RIFF", "RF64"].includes(tag(bytes, 0)) && tag(bytes, 8) === "WAVE";
}

/** {rate, channels}, a Float32Array for each channel; null for an encoding that is left to the browser. */
export function readWav(bytes) {
  const view = new DataView(bytes);
  let format = null;
  for (let place = 12; place + 8 <= bytes.byteLength;) {
    const name = tag(bytes, place);
    const length = view.getUint32(place + 4, true);
    const start = place + 8;
    if (name === "fmt ") format = readFormat(view, start, length);
    if (name === "data" && format) {
      const read = format.read;
      // A recorder that was interrupted, or an RF64 file, has no length here: the samples reach to the end.
      const end = Math.min(start + length, bytes.byteLength);
      return read ? { rate: format.rate, channels: samples(view, start, end, format, read) } : null;
    }
    place = start + length + (length % 2);
  }
  return null;
}

function readFormat(view, start, length) {
  const code = view.getUint16(start, true);
  const kind = code === EXTENSIBLE && length >= 26 ? view.getUint16(start + 24, true) : code;
  const size = view.getUint16(start + 12, true) / view.getUint16(start + 2, true); // bytes in a sample
  return {
    count: view.getUint16(start + 2, true),
    rate: view.getUint32(start + 4, true),
    size,
    read: reader(kind, size),
  };
}

/** A function (view, place) that reads one sample, full scale being 1. */
function reader(kind, size) {
  const table = {
    [`${INTEGER} 1`]: (view, i) => (view.getUint8(i) - 128) / 128,
    [`${INTEGER} 2`]: (view, i) => view.getInt16(i, true) / 32768,
    [`${INTEGER} 3`]: (view, i) => (view.getUint16(i, true) + view.getInt8(i + 2) * 65536) / 8388608,
    [`${INTEGER} 4`]: (view, i) => view.getInt32(i, true) / 2147483648,
    [`${FLOAT} 4`]: (view, i) => view.getFloat32(i, true),
    [`${FLOAT} 8`]: (view, i) => view.getFloat64(i, true),
  };
  return table[`${kind} ${size}`];
}

function samples(view, start, end, { count, size }, read) {
  const frames = Math.floor((end - start) / (count * size));
  const channels = Array.from({ length: count }, () => new Float32Array(frames));
  for (let frame = 0, place = start; frame < frames; frame++) {
    for (let channel = 0; channel < count; channel++, place += size) channels[channel][frame] = read(view, place);
  }
  return channels;
}

function tag(bytes, place) {
  return String.fromCharCode(...new Uint8Array(bytes, place, 4));
}
