// SPDX-License-Identifier: Apache-2.0
// Clicks on the daemon's beats. They are put on the audio clock three seconds ahead: timers of a tab in the background run
// once a second. A new tempo takes the clicks back that have not sounded.

import { beatOf, secondOf } from "./schedule.js";

const AHEAD_S = 3;
const EVERY_MS = 1000;
export const CLICK = { first: { pitch: 76, velocity: 110 }, other: { pitch: 77, velocity: 80 } };

export class Metronome {
  /** `click(kind, second)` plays a click, `second` being the daemon's; `now()` is its present second. */
  constructor(click, now) {
    this.click = click;
    this.now = now;
    this.line = null;
    this.bar = { first: 0, beats: 4 }; // the last first beat of a bar, and how many beats a bar has
    this.clicks = new Map(); // beat -> voice
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
    this.line = line;
    this.#takeBack();
    this.fill();
  }

  /** A beat begins: the first of a bar tells how long the bars are. */
  beat({ beat, bar }) {
    if (this.number !== undefined && bar === this.number + 1) {
      if (this.known) this.bar.beats = Math.max(1, beat - this.bar.first);
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
      this.clicks.set(beat, this.click(first ? CLICK.first : CLICK.other, secondOf(this.line, beat)));
    }
    for (const beat of this.clicks.keys()) if (beat < beatOf(this.line, now) - 2) this.clicks.delete(beat);
  }

  /** Clicks that have been silenced are not taken back. */
  clear() {
    this.clicks.clear();
  }

  #takeBack() {
    for (const voice of this.clicks.values()) voice?.fade(0, 0.02);
    this.clicks.clear();
  }
}
