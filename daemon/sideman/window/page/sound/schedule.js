// SPDX-License-Identifier: Apache-2.0
// The daemon's notes, by number: each is put on the audio clock when its message arrives, so that a tab in the
// background, whose timers stand still, plays on. When the tempo changes, the daemon announces what moves once more.

const TOO_LATE_S = 0.15; // later than this a note would only disturb
const [SOON_S, MOVED_S] = [0.01, 0.001];
const KEPT = 500;

export class Schedule {
  /** `play(note, at, end)` starts a voice, or returns null; `clock` is an AudioClock, `toLocal` the store's. */
  constructor(clock, toLocal, play) {
    this.clock = clock;
    this.toLocal = toLocal;
    this.play = play;
    this.notes = new Map(); // number -> {event, at, voice}; the voice of one that does not sound is null
    this.margins = []; // by how many seconds the last messages came before their note; negative: too late
    this.late = 0;
  }

  /** A planned note, or one that is known and moves, as with a new tempo. */
  coming(event) {
    this.forget(event.note);
    if (event.pitch === null) return;
    const margin = this.put(event);
    this.margins.push(margin);
    if (this.margins.length > KEPT) this.margins.shift();
    if (margin < 0) this.late += 1;
  }

  /** It has been struck: usually that is known already. */
  played(event) {
    if (!this.notes.has(event.note)) this.coming(event);
  }

  takenBack(event) {
    for (const number of event.notes) this.forget(number);
  }

  released(event) {
    this.notes.get(event.note)?.voice?.release(this.#at(event));
    this.notes.delete(event.note);
  }

  /** Nothing is planned any more; the sampler has been silenced. */
  clear() {
    this.notes.clear();
  }

  /** Put a note on the audio clock. Returns how many seconds that is before it is due. */
  put(event) {
    const at = this.#at(event);
    const margin = at - this.clock.context.currentTime;
    const end = event.length_s > 0 ? at + event.length_s : Infinity;
    const voice = margin < -TOO_LATE_S ? null : this.play(event, at, end);
    this.notes.set(event.note, { event, at, voice });
    if (this.notes.size > 2 * KEPT) this.notes.delete(this.notes.keys().next().value); // a `released` was lost
    return margin;
  }

  forget(number) {
    this.notes.get(number)?.voice?.fade(this.clock.context.currentTime, 0.02);
    this.notes.delete(number);
  }

  /** The output may have stood still for a moment: what has not begun is due at another second of the context. */
  follow() {
    const soon = this.clock.context.currentTime + SOON_S;
    for (const [number, { event, at }] of [...this.notes]) {
      if (at < soon || Math.abs(this.#at(event) - at) < MOVED_S) continue;
      this.forget(number);
      this.put(event);
    }
  }

  #at({ second }) {
    return this.clock.at(this.toLocal(second));
  }
}

export function beatOf(line, second) {
  return line.beat + ((second - line.second) * line.bpm) / 60;
}

export function secondOf(line, beat) {
  return line.second + ((beat - line.beat) * 60) / line.bpm;
}
