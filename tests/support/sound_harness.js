// SPDX-License-Identifier: Apache-2.0
// For the tests of the page's sound: a store whose events come from the test, and a recorder of every part.

export const OFFSET_MS = 1234.5;
export const handlers = {};
export const requests = [];
const setTimeoutReal = window.setTimeout.bind(window); // before a test slows the page's timers down
export const store = {
  state: { notes: new Map(), settings: {} },
  on(name, handler) { (handlers[name] ??= []).push(handler); return () => {}; },
  clock: { toLocal: (second) => 1000 * second - OFFSET_MS, now: (ms) => second(ms) },
  request: async (what) => { requests.push(what); return {}; },
};
export const second = (ms = performance.now()) => (ms + OFFSET_MS) / 1000;
export function emit(event) { for (const handler of handlers[event.event] ?? []) handler(event); }

/** Emit events [{after, ...event}], each `after` its seconds, as messages come in: no timer of the page delays them. */
export async function emitAll(events) {
  const channel = new MessageChannel();
  const start = performance.now();
  let next = 0;
  await new Promise((done) => {
    channel.port1.onmessage = () => {
      const passed = (performance.now() - start) / 1000;
      for (; next < events.length && passed >= events[next].after; next += 1) emit(events[next]);
      if (next < events.length) setTimeoutReal(() => channel.port2.postMessage(0), 4);
      else done();
    };
    channel.port2.postMessage(0);
  });
}
export const pause = (seconds) => new Promise((done) => setTimeoutReal(done, 1000 * seconds));

export class Recorder {
  /** Record these parts of `sound`, "all" of them together too; `module` is the address of sound_recorder.js. */
  static async of(sound, names, module = "/test/sound_recorder.js") {
    const recorder = new Recorder();
    const context = (recorder.context = sound.context);
    await context.audioWorklet.addModule(module);
    recorder.parts = {};
    for (const name of names) {
      const node = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
      const blocks = (recorder.parts[name] = []);
      node.port.onmessage = ({ data }) => blocks.push(data);
      (name === "all" ? sound.sampler.output : sound.sampler.parts.get(name).last).connect(node);
      node.connect(context.destination);
    }
    recorder.readings = [];
    const read = () => {
      const stamp = context.getOutputTimestamp();
      recorder.readings.push([stamp.contextTime, stamp.performanceTime]);
      if (!recorder.over) setTimeoutReal(read, 50);
    };
    read();
    return recorder;
  }
  /** {part: {first, wave}} with waves as base64 of float32, and the readings. */
  async end() {
    await pause(0.2);
    this.over = true;
    const parts = {};
    for (const [name, blocks] of Object.entries(this.parts)) {
      const first = blocks[0].frame;
      const wave = new Float32Array(blocks.at(-1).frame - first + 4096);
      wave.fill(NaN); // a machine that is too busy loses some blocks
      for (const block of blocks) wave.set(block.wave, block.frame - first);
      const bytes = new Uint8Array(wave.buffer);
      let text = "";
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      parts[name] = { first, wave: btoa(text) };
    }
    return { rate: this.context.sampleRate, readings: this.readings, parts, offset: OFFSET_MS };
  }
}
