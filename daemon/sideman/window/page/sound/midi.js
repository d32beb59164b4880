// SPDX-License-Identifier: Apache-2.0
// Web MIDI, where there is one: browsers offer it on 127.0.0.1 and on https, not to a page from the LAN.

const OURS = /sideman|midi through/i; // what the daemon plays, or what comes back, is not the player's

export class MidiKeyboards {
  /** `changed(names)` is called with the names of the keyboards when one comes or goes. */
  constructor(playing, changed = () => {}) {
    this.playing = playing;
    this.changed = changed;
    this.access = null;
    this.pedal = false;
    this.sustained = new Set(); // pitches whose key is up, held by the pedal
    this.down = new Map(); // pitch -> how many keys
  }

  /** Returns {on, problem}: problem is null, "insecure" (the page is not from 127.0.0.1), "none" or "refused". */
  async start() {
    if (!navigator.requestMIDIAccess) return { on: false, problem: globalThis.isSecureContext ? "none" : "insecure" };
    try {
      this.access = await navigator.requestMIDIAccess();
    } catch {
      return { on: false, problem: "refused" };
    }
    this.access.onstatechange = () => this.#listen();
    this.#listen();
    return { on: true, problem: null };
  }

  stop() {
    if (!this.access) return;
    this.access.onstatechange = null;
    for (const input of this.access.inputs.values()) input.onmidimessage = null;
    this.access = null;
    this.#releaseAll();
  }

  names() {
    return [...(this.access?.inputs.values() ?? [])].filter(isKeyboard).map((input) => input.name);
  }

  /** A message [status, ...data], received at `ms` of performance.now(). */
  take([status, first = 0, second = 0], ms) {
    const kind = status & 0xf0;
    if (kind === 0x90 && second > 0) this.#press(first, second, ms);
    else if (kind === 0x90 || kind === 0x80) this.#lift(first, ms);
    else if (kind === 0xb0 && first === 64) this.#setPedal(second >= 64, ms);
    else if (kind === 0xb0 && first >= 120) this.#releaseAll();
  }

  #listen() {
    let gone = false;
    for (const input of this.access.inputs.values()) {
      if (input.state === "disconnected") gone = true;
      else if (isKeyboard(input)) input.onmidimessage = ({ data, timeStamp }) => this.take(data, timeStamp);
    }
    if (gone || !this.names().length) this.#releaseAll(); // it can no longer say so itself
    this.changed(this.names());
  }

  #press(pitch, velocity, ms) {
    if (this.sustained.delete(pitch)) this.#end(pitch, ms);
    this.down.set(pitch, (this.down.get(pitch) ?? 0) + 1);
    this.playing.strike(pitch, velocity, ms);
  }

  #lift(pitch, ms) {
    const keys = this.down.get(pitch) ?? 0;
    if (!keys) return;
    if (this.pedal && keys === 1) this.sustained.add(pitch);
    else this.#end(pitch, ms);
  }

  #end(pitch, ms) {
    const keys = this.down.get(pitch) - 1;
    if (keys > 0) this.down.set(pitch, keys);
    else this.down.delete(pitch);
    this.playing.release(pitch, ms);
  }

  #setPedal(down, ms) {
    this.pedal = down;
    if (down) return;
    for (const pitch of this.sustained) this.#end(pitch, ms);
    this.sustained.clear();
  }

  #releaseAll() {
    for (const [pitch, keys] of this.down) for (let key = 0; key < keys; key += 1) this.playing.release(pitch);
    this.down.clear();
    this.sustained.clear();
    this.pedal = false;
  }
}

function isKeyboard(input) {
  return input.state !== "disconnected" && !OURS.test(`${input.manufacturer} ${input.name}`);
}
