// SPDX-License-Identifier: Apache-2.0
// The daemon's notes, by number: each is put on the audio clock when its message arrives, so that a tab in the
// background, whose timers stand still, plays on. A change of tempo moves what has not begun.

const TOO_LATE_S = 0.15; // later than this a note would only disturb
const MOVED_S = 0.001;
const KEPT = 500;

export class Schedule {
  /** `play(note, at, end)` starts a voice, or returns null; `clock` is an AudioClock, `toLocal` the store's. */
  constructor(clock, toLocal, play) {
    this.clock = clock;
    this.toLocal = toLocal;
    this.play = play;
    this.notes = new Map();
    this.line = null;
    this.margins = []; // by how many seconds the last messages came before their note; negative: too late
    this.late = 0;
  }

  /** A planned note, or a new plan for a note that is known. */
  coming(event) {
    if (event.pitch === null) return this.#forget(event.note);
    this.#put(event, this.line);
  }

  /** It has been struck: usually that is known already. */
  played(event) {
    const known = this.notes.get(event.note);
    if (!known || Math.abs(known.event.second - event.second) > MOVED_S) this.coming(event);
  }

  takenBack(event) {
    for (const number of event.notes) this.#forget(number);
  }

  released(event) {
    const note = this.notes.get(event.note);
    note?.voice?.release(this.#at(event.second));
    this.notes.delete(event.note);
  }

  /** The beats lie elsewhere now: notes that have not begun go with them. */
  tempo(line) {
    const old = this.line;
    this.line = line;
    for (const { event, line: under } of [...this.notes.values()]) {
      if (!under || !old || this.#begun(event)) continue;
      const second = secondOf(line, beatOf(under, event.second));
      if (Math.abs(second - event.second) <= MOVED_S) continue;
      this.#put({ ...event, second, length_s: (event.length_s * under.bpm) / line.bpm }, line);
    }
  }

  /** Nothing is planned any more; the sampler has been silenced. */
  clear() {
    this.notes.clear();
  }

  #put(event, line) {
    this.#forget(event.note);
    const at = this.#at(event.second);
    const margin = at - this.clock.context.currentTime;
    this.margins.push(margin);
    if (this.margins.length > KEPT) this.margins.shift();
    if (margin < 0) this.late += 1;
    const end = event.length_s > 0 ? at + event.length_s : Infinity;
    const voice = margin < -TOO_LATE_S ? null : this.play(event, at, end);
    this.notes.set(event.note, { event, line, voice });
    if (this.notes.size > 2 * KEPT) this.notes.delete(this.notes.keys().next().value); // a `released` was lost
  }

  #forget(number) {
    this.notes.get(number)?.voice?.fade(this.clock.context.currentTime, 0.02);
    this.notes.delete(number);
  }

  #begun(event) {
    return this.#at(event.second) <= this.clock.context.currentTime;
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
