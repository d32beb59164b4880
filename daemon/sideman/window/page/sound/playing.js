// SPDX-License-Identifier: Apache-2.0
// Playing on the page: what the keys of the computer, MIDI keyboards and fingers strike sounds here at once, and goes to
// the daemon with the second at which it was struck, less the latency that was measured.

import { median } from "./clock.js";
import { CLICK } from "./metronome.js";

const OLDEST_S = 0.95; // the daemon takes nothing older than a second
const KEPT = 50;
const RELEASED = 64; // a velocity: the daemon takes none below 1
const STORED = "sideman.latency";
const LEARN_MS = { first: 1000, apart: 600, clicks: 12, skipped: 2, widest: 250 };

export class Playing {
  constructor(store, sound, storage = globalThis.localStorage) {
    this.store = store;
    this.sound = sound;
    this.storage = storage;
    this.held = new Map(); // pitch -> {count, voice}
    this.answers = []; // milliseconds from the strike to the daemon's answer
    this.listeners = new Set();
    this.inputMs = readNumber(storage);
    store.on("ended", () => this.releaseAll());
  }

  /** Call `listener({pitch, on, velocity})` when a key goes down or up, to show it. */
  onKey(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A key goes down at `ms` of performance.now(), an event's timeStamp. Keys of several keyboards may share a pitch. */
  strike(pitch, velocity, ms = performance.now()) {
    if (pitch < 0 || pitch > 127) return;
    velocity = Math.min(127, Math.max(1, Math.round(velocity)));
    const held = this.held.get(pitch);
    held?.voice?.release(0);
    this.held.set(pitch, { count: (held?.count ?? 0) + 1, voice: this.sound.strike(pitch, velocity) });
    if (held) this.#send(false, pitch, RELEASED, ms);
    this.#send(true, pitch, velocity, ms);
    for (const listener of this.listeners) listener({ pitch, on: true, velocity });
  }

  release(pitch, ms = performance.now()) {
    const held = this.held.get(pitch);
    if (!held || (held.count -= 1) > 0) return;
    held.voice?.release(0);
    this.held.delete(pitch);
    this.#send(false, pitch, RELEASED, ms);
    for (const listener of this.listeners) listener({ pitch, on: false, velocity: 0 });
  }

  /** All keys go up: the page has lost the keyboard, or the daemon. */
  releaseAll() {
    for (const [pitch, held] of this.held) {
      held.count = 1;
      this.release(pitch);
    }
  }

  /** A tap of the tempo. */
  tap() {
    return this.store.request({ do: "tap" });
  }

  /**
   * How late it is, in milliseconds: `input`, measured or 0, is taken off the time of each note; `own` is how long a
   * note struck here takes to the loudspeaker, `answer` how long it takes to the daemon and back (median).
   */
  latency() {
    return {
      input: this.inputMs ?? 0,
      measured: this.inputMs !== null,
      own: this.sound.latency().output,
      answer: this.answers.length ? median(this.answers) : null,
    };
  }

  /**
   * Measure `input`: the player strikes any key with each of twelve clicks. `taps` calls a function with the ms of each
   * strike, and returns a function that ends this. Returns the latency, or null if too few fitted; it is remembered.
   */
  async measure(taps = (took) => this.#strikes(took)) {
    const { first, apart, clicks, skipped, widest } = LEARN_MS;
    const struck = [];
    const end = taps((ms) => struck.push(ms));
    const start = performance.now() + first;
    const voices = Array.from({ length: clicks }, (_, n) => this.sound.clickAt(start + n * apart, n ? CLICK.other : CLICK.first));
    await new Promise((done) => setTimeout(done, first + clicks * apart));
    end();
    for (const voice of voices) voice?.release(0);
    const late = struck
      .filter((ms) => ms > start + (skipped - 0.5) * apart)
      .map((ms) => ms - start - apart * Math.round((ms - start) / apart))
      .filter((ms) => Math.abs(ms) <= widest);
    if (late.length < (clicks - skipped) / 2) return null;
    return this.setLatency(median(late));
  }

  /** The latency in ms that is taken off; a player who strikes early has a negative one, which is none. */
  setLatency(ms) {
    this.inputMs = Math.max(0, Math.round(ms));
    try {
      this.storage?.setItem(STORED, String(this.inputMs));
    } catch {
      // a browser that keeps nothing: it holds as long as the page
    }
    return this.inputMs;
  }

  #strikes(took) {
    this.struck = took;
    return () => (this.struck = null);
  }

  #send(on, pitch, velocity, ms) {
    if (on) this.struck?.(ms);
    const { clock } = this.store;
    const now = clock.now();
    const second = Math.min(now, Math.max(now - OLDEST_S, clock.now(ms - (this.inputMs ?? 0))));
    const sent = this.store.request({ do: "play_note", on, pitch, velocity, second });
    sent.then(() => on && this.#answered(performance.now() - ms), () => {});
  }

  #answered(ms) {
    this.answers.push(ms);
    if (this.answers.length > KEPT) this.answers.shift();
  }
}

function readNumber(storage) {
  try {
    const ms = Number.parseFloat(storage?.getItem(STORED));
    return ms >= 0 && ms < 1000 ? ms : null;
  } catch {
    return null;
  }
}
