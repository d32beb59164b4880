// SPDX-License-Identifier: Apache-2.0
// The instruments: fetched, decoded once, found by name, pitch. `samples/instruments.json` says what each sample is.

const QUIET = 0.02; // of the loudest of a sample: what comes before that is cut off, so that it sounds when it starts
const RATE = 44100;
const LONGEST_CUT_S = 0.1;

export class Bank {
  constructor(folder = new URL("../samples/", import.meta.url)) {
    this.folder = folder;
    this.decoder = new OfflineAudioContext(1, 1, RATE); // decodes before the browser lets the page sound
    this.zones = new Map(); // instrument -> zones, once it is loaded
    this.fetched = new Map(); // file -> promise
    this.loading = new Map(); // instrument -> promise
  }

  /** Load an instrument; loading it twice is free. The promise is broken if it cannot be fetched or decoded. */
  load(name) {
    if (!this.loading.has(name)) {
      const promise = this.#load(name);
      promise.catch(() => this.loading.delete(name)); // so that it can be tried again
      this.loading.set(name, promise);
    }
    return this.loading.get(name);
  }

  async names() {
    return Object.keys(await this.#index());
  }

  /** The zone that plays `pitch`, or null while the instrument is not loaded. Drums: the nearest that there is. */
  zone(name, pitch) {
    let best = null;
    let least = Infinity;
    for (const zone of this.zones.get(name) ?? []) {
      const away = Math.max(zone.keys[0] - pitch, pitch - zone.keys[1], 0);
      if (away < least) [best, least] = [zone, away];
    }
    return best;
  }

  async #load(name) {
    const instrument = (await this.#index())[name];
    if (!instrument) throw new Error(`there is no instrument ${name}`);
    const data = await this.#fetch(instrument.file, "arrayBuffer");
    const zones = await Promise.all(instrument.zones.map((zone) => this.#decode(instrument.file, data, zone)));
    this.zones.set(name, zones);
  }

  async #decode(file, data, zone) {
    const key = `${file} ${zone.bytes[0]}`; // kits share samples
    if (!this.fetched.has(key)) {
      const decoded = this.decoder.decodeAudioData(data.slice(...zone.bytes));
      this.fetched.set(key, decoded.then((buffer) => [buffer, startOf(buffer)]));
    }
    const [buffer, start] = await this.fetched.get(key);
    return { ...zone, buffer, start };
  }

  #index() {
    return this.#fetch("instruments.json", "json");
  }

  #fetch(file, form) {
    if (!this.fetched.has(file)) {
      const promise = fetch(new URL(file, this.folder)).then((answer) => {
        if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
        return answer[form]();
      });
      promise.catch(() => this.fetched.delete(file));
      this.fetched.set(file, promise);
    }
    return this.fetched.get(file);
  }
}

/** Where a sample begins to be heard, in seconds. */
export function startOf(buffer) {
  const wave = buffer.getChannelData(0);
  const peak = wave.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const first = wave.findIndex((value) => Math.abs(value) >= QUIET * peak);
  return Math.min(Math.max(first, 0) / buffer.sampleRate, LONGEST_CUT_S);
}
