// SPDX-License-Identifier: Apache-2.0
// Clicks on the daemon's beats. They are put on the audio clock three seconds ahead: timers of a tab in the background run
// once a second. A new tempo takes the clicks back that have not sounded.

import { beatOf, secondOf } from "./schedule.js";

const AHEAD_S = 3;
const EVERY_MS = 1000;
const LENGTH_S = 0.1;
export const CLICK = { first: { pitch: 76, velocity: 110 }, other: { pitch: 77, velocity: 80 } };

export class Metronome {
  /** The clicks are notes of `schedule`; `now()` is the daemon's present second. */
  constructor(schedule, now) {
    this.schedule = schedule;
    this.now = now;
    this.line = null;
    this.bar = { first: 0, beats: 4 }; // the last first beat of a bar, and how many beats a bar has
    this.clicks = new Set(); // the beats that are put
    this.timer = null;
  }

  set(on) {
    clearInterval(this.timer);
    this.timer = on ? setInterval(() => this.fill(), EVERY_MS) : null;
    if (on) this.fill();
    else this.#takeBack();
  }

  /** The beats lie on another line, or the music has stopped. */
  tempo(line) {
    this.#takeBack();
    this.line = line;
    this.fill();
  }

  /** A beat begins: the first of a bar tells how long the bars are. */
  beat({ beat, bar }) {
    if (this.number !== undefined && bar === this.number + 1) {
      const beats = Math.max(1, beat - this.bar.first);
      if (this.known && beats !== this.bar.beats) {
        this.bar.beats = beats;
        this.#takeBack();
      }
      this.bar.first = beat;
      this.known = true;
    } else if (bar !== this.number) {
      this.known = false;
      if (this.number !== undefined) this.bar.first = beat;
    }
    this.number = bar;
    this.fill();
  }

  fill() {
    if (this.timer === null || !this.line?.rolling) return;
    const now = this.now();
    const end = beatOf(this.line, now + AHEAD_S);
    for (let beat = Math.ceil(beatOf(this.line, now)); beat <= end; beat += 1) {
      if (this.clicks.has(beat)) continue;
      const first = (beat - this.bar.first) % this.bar.beats === 0;
      const kind = first ? CLICK.first : CLICK.other;
      this.schedule.put({ ...kind, note: `click ${beat}`, second: secondOf(this.line, beat), length_s: LENGTH_S, voice: "click" });
      this.clicks.add(beat);
    }
    for (const beat of [...this.clicks]) if (beat < beatOf(this.line, now) - 2) this.#drop(beat);
  }

  /** Clicks that have been silenced are not taken back. */
  clear() {
    this.clicks.clear();
  }

  #drop(beat) {
    this.schedule.forget(`click ${beat}`); // it is over
    this.clicks.delete(beat);
  }

  #takeBack() {
    const now = this.line ? beatOf(this.line, this.now()) : -Infinity;
    for (const beat of [...this.clicks]) if (beat > now) this.#drop(beat);
  }
}
