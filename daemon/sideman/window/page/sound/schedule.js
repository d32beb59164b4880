// SPDX-License-Identifier: Apache-2.0
// The daemon's notes, by number: each is put on the audio clock when its message arrives, so that a tab in the
// background, whose timers stand still, plays on. When the tempo changes, the daemon announces what moves once more.

const TOO_LATE_S = 0.15; // later than this a note would only disturb
const KEPT = 500;

export class Schedule {
  /** `play(note, at, end)` starts a voice, or returns null; `clock` is an AudioClock, `toLocal` the store's. */
  constructor(clock, toLocal, play) {
    this.clock = clock;
    this.toLocal = toLocal;
    this.play = play;
    this.notes = new Map(); // number -> voice, or null for one that does not sound
    this.margins = []; // by how many seconds the last messages came before their note; negative: too late
    this.late = 0;
  }

  /** A planned note, or one that is known and moves, as with a new tempo. */
  coming(event) {
    this.#forget(event.note);
    if (event.pitch !== null) this.#put(event);
  }

  /** It has been struck: usually that is known already. */
  played(event) {
    if (!this.notes.has(event.note)) this.coming(event);
  }

  takenBack(event) {
    for (const number of event.notes) this.#forget(number);
  }

  released(event) {
    this.notes.get(event.note)?.release(this.#at(event.second));
    this.notes.delete(event.note);
  }

  /** Nothing is planned any more; the sampler has been silenced. */
  clear() {
    this.notes.clear();
  }

  #put(event) {
    const at = this.#at(event.second);
    const margin = at - this.clock.context.currentTime;
    this.margins.push(margin);
    if (this.margins.length > KEPT) this.margins.shift();
    if (margin < 0) this.late += 1;
    const end = event.length_s > 0 ? at + event.length_s : Infinity;
    const voice = margin < -TOO_LATE_S ? null : this.play(event, at, end);
    this.notes.set(event.note, voice);
    if (this.notes.size > 2 * KEPT) this.notes.delete(this.notes.keys().next().value); // a `released` was lost
  }

  #forget(number) {
    this.notes.get(number)?.fade(this.clock.context.currentTime, 0.02);
    this.notes.delete(number);
  }

  #at(second) {
    return this.clock.at(this.toLocal(second));
  }
}

export function beatOf(line, second) {
  return line.beat + ((second - line.second) * line.bpm) / 60;
}

export function secondOf(line, beat) {
  return line.second + ((beat - line.beat) * 60) / line.bpm;
}
