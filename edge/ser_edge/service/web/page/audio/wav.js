// Reads WAV: integer and float samples at the file's own rate. A browser's decoder would resample them its own way.
//
// As in ser_edge.audio.decoding.containers.pcm, the size in the header is believed only where the sound really ends
// there: at the file's end, or with another chunk. Else the samples reach to the end. Files that were joined are one
// sound.

import { joined, resample } from "./resampler.js";

const INTEGER = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;
const UNKNOWN_SIZE = 2 ** 31 - 2 ** 12; // bytes; larger sizes are written by programs that don't know it
const [MIN_RATE, MAX_RATE] = [1_000, 768_000]; // Hz
const CUT = "can't be read: it ends within its header; copy it again";
const DAMAGED = "can't be read: its header is damaged; copy it again";

/** Whether a WAV begins at a place in these bytes, an ArrayBuffer. */
export function isWav(bytes, place = 0) {
  return ["RIFF", "RF64"].includes(tag(bytes, place)) && tag(bytes, place + 8) === "WAVE";
}

/**
 * {rate, channels, missing}: a Float32Array for each channel, and the seconds that the header promises and that didn't
 * come. Null for an encoding that is left to the browser; throws an Error where the header is damaged.
 */
export function readWav(bytes) {
  const view = new DataView(bytes);
  const parts = [];
  let missing = 0; // seconds
  for (let place = 0; place !== null;) {
    const header = readHeader(view, place);
    if (!header.format?.read) {
      if (parts.length) break; // what follows a whole sound is no reason to refuse it
      if (header.problem) throw new Error(header.problem);
      return null;
    }
    const { format, start, size } = header;
    const end = samplesEnd(bytes, start, size);
    const channels = samples(view, start, end, format);
    if (end > start && end - start < size && size < UNKNOWN_SIZE) {
      missing += (channels[0].length / format.rate) * (size / (end - start) - 1);
    }
    parts.push({ rate: format.rate, channels });
    place = nextWav(bytes, end, size % 2);
  }
  return { ...joinedParts(parts), missing };
}

/** {format, start, size} of the samples, as the header has them; {problem} where it is damaged. */
function readHeader(view, place) {
  let format = null;
  let longSize = null; // of RF64
  for (let chunk = place + 12; chunk + 8 <= view.byteLength;) {
    const name = tag(view.buffer, chunk);
    const length = view.getUint32(chunk + 4, true);
    const start = chunk + 8;
    if (name === "data") {
      const size = length === 2 ** 32 - 1 ? (longSize ?? length) : length;
      return format ? { format, start, size } : { problem: DAMAGED };
    }
    if (start + length > view.byteLength) break;
    if (name === "ds64" && length >= 16) longSize = Number(view.getBigUint64(start + 8, true));
    if (name === "fmt ") {
      format = length < 16 ? null : readFormat(view, start, length);
      if (!format) return { problem: DAMAGED };
      if (!(MIN_RATE <= format.rate && format.rate <= MAX_RATE)) {
        return { problem: `a sample rate of ${format.rate} Hz; expected ${MIN_RATE} to ${MAX_RATE}` };
      }
    }
    chunk = start + length + (length % 2);
  }
  return { problem: CUT };
}

/** Null where it can't be one. */
function readFormat(view, start, length) {
  const [code, count] = [view.getUint16(start, true), view.getUint16(start + 2, true)];
  const [frame, bits] = [view.getUint16(start + 12, true), view.getUint16(start + 14, true)];
  if (!count) return null;
  const kind = code === EXTENSIBLE && length >= 26 ? view.getUint16(start + 24, true) : code;
  const size = (frame || (count * bits) / 8) / count; // bytes in a sample
  return { count, rate: view.getUint32(start + 4, true), size, read: reader(kind, size) };
}

/** A function (view, place) that reads one sample, full scale being 1; undefined for other encodings. */
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

/** Where the samples end: where the size says, if something that follows samples is there; else at the file's end. */
function samplesEnd(bytes, start, size) {
  const end = start + size;
  const isEnd = (place) => place + 8 > bytes.byteLength || isWav(bytes, place) || chunkLength(bytes, place) !== null;
  return isEnd(end) || isEnd(end + (size % 2)) ? Math.min(end, bytes.byteLength) : bytes.byteLength;
}

/** Where another WAV begins behind the samples and the chunks that follow them; null where none does. */
function nextWav(bytes, end, padding) {
  let place = end;
  if (!isWav(bytes, place) && chunkLength(bytes, place) === null) place += padding;
  while (!isWav(bytes, place)) {
    const length = chunkLength(bytes, place);
    if (length === null) return null;
    place += length;
  }
  return place;
}

/** The length of a chunk with its head and its padding; null where none begins. */
function chunkLength(bytes, place) {
  if (place + 8 > bytes.byteLength || !/^[A-Za-z0-9_ \xa9]{4}$/.test(tag(bytes, place))) return null;
  const length = 8 + new DataView(bytes).getUint32(place + 4, true);
  return length < 2 ** 31 ? length + (length % 2) : null;
}

function samples(view, start, end, { count, size, read }) {
  const frames = Math.floor((end - start) / (count * size));
  const channels = Array.from({ length: count }, () => new Float32Array(frames));
  for (let frame = 0, place = start; frame < frames; frame++) {
    for (let channel = 0; channel < count; channel++, place += size) channels[channel][frame] = read(view, place);
  }
  return channels;
}

/** Joins {rate, channels}, at the rate and with the number of channels of the first. */
function joinedParts(parts) {
  const [first, ...others] = parts;
  if (!others.length) return first;
  const length = first.channels.length;
  const converted = others.map(({ rate, channels }) => {
    const alike = channels.length === length ? channels : Array(length).fill(mean(channels));
    return rate === first.rate ? alike : alike.map((each) => resample(each, rate, first.rate));
  });
  return { ...first, channels: first.channels.map((each, i) => joined(each, ...converted.map((part) => part[i]))) };
}

function mean(channels) {
  return channels[0].map((_, i) => channels.reduce((sum, each) => sum + each[i], 0) / channels.length);
}

/** Four letters; fewer at the end. */
function tag(bytes, place) {
  return String.fromCharCode(...new Uint8Array(bytes).subarray(place, place + 4));
}
