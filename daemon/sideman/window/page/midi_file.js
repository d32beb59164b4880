// SPDX-License-Identifier: Apache-2.0
// Reads the notes of a MIDI file, such as a take. What is broken gives an Error; nothing after the file's end is read.

const TEMPO = 0x51;

/** [{second, length_s, pitch, velocity, channel, track}], by time; channels count from 1, tracks from 0. */
export function readMidiFile(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (tag(0) !== "MThd") throw new Error("not a MIDI file");
  const ticks = view.getUint16(12);
  const events = [];
  let track = 0;
  for (let at = 8 + view.getUint32(4); at + 8 <= bytes.length; at += 8 + view.getUint32(at + 4)) {
    if (tag(at) !== "MTrk") continue;
    readTrack(bytes.subarray(at + 8, at + 8 + view.getUint32(at + 4)), track, events);
    track += 1;
  }
  events.sort((one, other) => one.tick - other.tick || Number(one.velocity > 0) - Number(other.velocity > 0));
  return notesOf(events, ticks);
}

function readTrack(bytes, track, events) {
  let at = 0;
  let tick = 0;
  let status = 0;
  const number = () => {
    let value = 0;
    for (let byte = 0x80; byte & 0x80; ) {
      byte = bytes[at];
      if (byte === undefined) throw new Error("the MIDI file is cut off");
      at += 1;
      value = value * 128 + (byte & 0x7f);
    }
    return value;
  };
  while (at < bytes.length) {
    tick += number();
    if (bytes[at] & 0x80) status = bytes[at++];
    if (status === 0xff) {
      const kind = bytes[at++];
      const length = number();
      if (kind === TEMPO) events.push({ tick, tempo: (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2] });
      at += length;
    } else if (status >= 0xf0) {
      at += number();
    } else {
      const [kind, channel, pitch, value] = [status & 0xf0, (status & 0x0f) + 1, bytes[at], bytes[at + 1]];
      at += kind === 0xc0 || kind === 0xd0 ? 1 : 2;
      if (kind === 0x90 || kind === 0x80) events.push({ tick, track, channel, pitch, velocity: kind === 0x90 ? value : 0 });
    }
  }
}

function notesOf(events, ticks) {
  const notes = [];
  const held = new Map();
  let [tick, second, perTick] = [0, 0, 0.5 / ticks];
  for (const event of events) {
    second += (event.tick - tick) * perTick;
    tick = event.tick;
    if (event.tempo) {
      perTick = event.tempo / 1e6 / ticks;
      continue;
    }
    const key = (event.track * 16 + event.channel) * 128 + event.pitch;
    const before = held.get(key);
    if (before) before.length_s = second - before.second;
    held.delete(key);
    if (event.velocity > 0) {
      const { pitch, velocity, channel, track } = event;
      const note = { second, length_s: 1, pitch, velocity, channel, track };
      notes.push(note);
      held.set(key, note);
    }
  }
  return notes;
}
