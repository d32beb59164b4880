// SPDX-License-Identifier: Apache-2.0
// Plays a list of notes, a take's: [{second, length_s, pitch, velocity, voice}], a few seconds ahead.

const AHEAD_S = 4;
const EVERY_MS = 1000;
const LEAD_S = 0.1;

export class NotePlayer {
  /** `play(note, at, end)` starts a voice at a second of the context. `ended()` is called after the last note. */
  constructor(context, notes, from, play, ended = () => {}) {
    this.context = context;
    this.notes = notes.filter((note) => note.second >= from).sort((a, b) => a.second - b.second);
    this.begin = context.currentTime + LEAD_S - from; // the context's second of the take's second 0
    this.play = play;
    this.ended = ended;
    this.next = 0;
    this.last = this.notes.reduce((last, note) => Math.max(last, note.second + note.length_s), from);
    this.voices = [];
    this.timer = setInterval(() => this.#fill(), EVERY_MS);
    this.#fill();
  }

  /** Where it is now, in seconds of the take. */
  second() {
    return this.context.currentTime - this.begin;
  }

  stop() {
    clearInterval(this.timer);
    for (const voice of this.voices) voice?.fade(0, 0.02);
    this.voices = [];
    this.next = this.notes.length;
  }

  #fill() {
    const now = this.context.currentTime;
    for (; this.next < this.notes.length; this.next += 1) {
      const note = this.notes[this.next];
      const at = this.begin + note.second;
      if (at > now + AHEAD_S) break;
      this.voices.push(this.play(note, at, at + note.length_s));
    }
    this.voices = this.voices.filter((voice) => voice && voice.end > now);
    if (now <= this.begin + this.last) return;
    clearInterval(this.timer);
    this.ended();
  }
}
