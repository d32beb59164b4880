// SPDX-License-Identifier: Apache-2.0
// The sound of the page: the band or a take, the metronome, and what is played on the page itself.
//
// `createSound(store)` needs of the store: on(name, handler) for the daemon's events and for `ended`,
// clock.toLocal(second) and clock.now(milliseconds), from the daemon's clock to performance.now() and back, and
// state.notes, of which those that are planned sound too when the sound is switched on.

import { Bank } from "./bank.js";
import { AudioClock, median } from "./clock.js";
import { Metronome } from "./metronome.js";
import { Sampler } from "./sampler.js";
import { Schedule } from "./schedule.js";

/** Who plays, on what, how loud beside the others, where (-1 left, 1 right). A voice without an entry plays as `other`. */
export const PARTS = {
  solo: { instrument: "tenor", level: 0.8, place: 0.1 },
  bass: { instrument: "bass", level: 0.85, place: -0.05 },
  shells: { instrument: "piano", level: 0.7, place: -0.3 },
  drums: { instrument: "brushes", level: 0.75, place: 0.2 },
  click: { instrument: "sticks", level: 0.7, place: 0 },
  you: { instrument: "piano", level: 0.85, place: 0 },
  other: { instrument: "piano", level: 0.75, place: 0.3 },
};
const MASTER = 0.5;

/** The sound of the page; its instruments are loaded at once, so that the first touch sounds. */
export function createSound(store) {
  const sound = new Sound(store);
  sound.load();
  return sound;
}

class Sound {
  constructor(store) {
    this.store = store;
    this.context = null;
    this.bank = null;
    this.on = false;
    this.problem = null;
    this.parts = structuredClone(PARTS);
    this.volumes = {};
    this.metronomeOn = false;
    for (const [name, handler] of Object.entries(this.#handlers())) {
      store.on(name, (event) => {
        if (this.on) this.schedule.follow();
        handler(event);
      });
    }
  }

  /**
   * Begin to sound; call it in the handler of a tap or a key, as browsers ask for. Returns {on, problem}: problem is
   * null, or "no-audio" (no AudioContext here), "blocked" (the browser wants a tap), "samples" (not fetched or decoded).
   */
  async start() {
    this.problem = null;
    try {
      if (!this.context) this.#build();
      if (this.context.state !== "running") await this.#resume();
    } catch (error) {
      return this.#fail(error.code ?? "no-audio");
    }
    this.on = true;
    if (!(await this.load())) this.problem = "samples";
    this.#takePlanned();
    this.#setMetronome();
    return { on: this.on, problem: this.problem };
  }

  /** Load the instruments of all parts. Returns whether all are there. */
  async load() {
    if (!globalThis.OfflineAudioContext) return false;
    this.bank ??= new Bank();
    const names = new Set(Object.values(this.parts).map((part) => part.instrument));
    const loads = await Promise.allSettled([...names].map((name) => this.bank.load(name)));
    return loads.every((load) => load.status === "fulfilled");
  }

  /** Fall silent and stay so until `start`. */
  stop() {
    this.on = false;
    this.clicks?.set(false);
    this.panic();
    setTimeout(() => this.on || this.context?.suspend?.(), 100); // when it is silent
  }

  /** Everything that sounds or is planned here falls silent; what comes later sounds. */
  panic() {
    this.sampler?.silence();
    this.schedule?.clear();
    this.clicks?.clear();
  }

  /** From 0, silent, over 1, as it is meant, to 2. */
  setVolume(part, volume) {
    this.volumes[part] = volume;
    const { level, place } = this.parts[part] ?? this.parts.other;
    this.sampler?.setPart(part, level * Math.max(0, volume) ** 2, place);
  }

  /** Let a part play another instrument of samples/instruments.json, from its next note on. */
  async setInstrument(part, instrument) {
    await this.bank?.load(instrument);
    this.parts[part] = { ...(this.parts[part] ?? this.parts.other), instrument };
  }

  metronome(on) {
    this.metronomeOn = on;
    this.#setMetronome();
  }

  /** A note that is played on the page sounds at once. The voice has release(second of the context). */
  strike(pitch, velocity) {
    return this.on ? this.#play("you", pitch, velocity, this.context.currentTime) : null;
  }

  /** A click at `ms` of performance.now(). */
  clickAt(ms, kind) {
    return this.on ? this.#play("click", kind.pitch, kind.velocity, this.clock.at(ms)) : null;
  }

  /**
   * How late it is, in milliseconds: `output` from the page to the loudspeaker as the browser says, `ahead` by how much
   * the notes' messages came before their sound (median), `worst` the least of these; `late` notes came too late.
   */
  latency() {
    if (!this.on) return { output: null, ahead: null, worst: null, late: 0 };
    const margins = this.schedule.margins;
    return {
      output: this.clock.latencyMs(),
      ahead: margins.length ? 1000 * median(margins) : null,
      worst: margins.length ? 1000 * Math.min(...margins) : null,
      late: this.schedule.late,
    };
  }

  #handlers() {
    const whenOn = (action) => (event) => this.on && action(event);
    return {
      coming: whenOn((event) => event.note !== undefined && this.schedule.coming(event)),
      played: whenOn((event) => this.schedule.played(event)),
      taken_back: whenOn((event) => this.schedule.takenBack(event)),
      released: whenOn((event) => this.schedule.released(event)),
      beat: (event) => this.clicks?.beat(event),
      tempo: (event) => this.#setTempo(event),
      ended: () => {
        this.#setTempo(null);
        this.panic();
      },
    };
  }

  /** What was announced while the sound was off or its instruments were loading; to wait until it is struck is too late. */
  #takePlanned() {
    const now = this.store.clock.now();
    for (const note of this.store.state.notes.values()) {
      const isMissing = !this.schedule.notes.get(note.note)?.voice;
      if (note.planned && note.second > now && isMissing) this.schedule.coming(note);
    }
  }

  #setTempo(line) {
    this.line = line;
    this.clicks?.tempo(line);
  }

  #build() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.clock = new AudioClock(this.context);
    this.sampler = new Sampler(this.context, this.bank);
    this.sampler.output.gain.value = MASTER;
    this.sampler.output.connect(this.context.destination);
    for (const name of Object.keys(this.parts)) this.setVolume(name, this.volumes[name] ?? 1);
    const toLocal = (second) => this.store.clock.toLocal(second);
    const play = (note, at, end) => this.#play(note.voice, note.pitch, note.velocity, at, end);
    this.schedule = new Schedule(this.clock, toLocal, play);
    this.clicks = new Metronome(this.schedule, () => this.store.clock.now());
    if (this.line) this.#setTempo(this.line);
  }

  async #resume() {
    const waited = new Promise((_, refuse) => {
      setTimeout(() => refuse(Object.assign(new Error("blocked"), { code: "blocked" })), 2000);
    });
    await Promise.race([this.context.resume(), waited]);
  }

  #fail(problem) {
    this.problem = problem;
    this.on = false;
    return { on: false, problem };
  }

  #setMetronome() {
    this.clicks?.set(this.on && this.metronomeOn);
  }

  #partOf(voice) {
    if (voice === "clicks") return "click";
    if (voice === "comp") {
      const comp = String(this.store.state?.settings["play.comp"] ?? ""); // without chords, a bass alone plays as "comp"
      return comp.includes("bass") && !comp.includes("shells") ? "bass" : "shells";
    }
    return this.parts[voice] ? voice : "other";
  }

  #play(voice, pitch, velocity, at, end = Infinity) {
    const part = this.#partOf(voice);
    return this.sampler.play({ part, instrument: this.parts[part].instrument, pitch, velocity, at, end });
  }
}
