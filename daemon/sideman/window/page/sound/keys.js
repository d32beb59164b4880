// SPDX-License-Identifier: Apache-2.0
// The computer's keys as a piano, by their place on the keyboard, whatever is printed on them: A to L and the keys to
// their right are white keys, the row above the black ones. Z and X move by octaves, C and V play softer and louder.

const NOTES = ["KeyA", "KeyW", "KeyS", "KeyE", "KeyD", "KeyF", "KeyT", "KeyG", "KeyY", "KeyH", "KeyU", "KeyJ"].concat(
  ["KeyK", "KeyO", "KeyL", "KeyP", "Semicolon", "Quote"], // from the next C on
);
const STEPS = { KeyZ: ["octave", -1], KeyX: ["octave", 1], KeyC: ["velocity", -10], KeyV: ["velocity", 10] };
const TYPED = "input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select, [contenteditable]";

export class ComputerKeys {
  /** `lowest` is the pitch of A. `changed()` is called when octave or velocity change. */
  constructor(playing, { lowest = 60, velocity = 90, changed = () => {} } = {}) {
    this.playing = playing;
    this.lowest = lowest;
    this.velocity = velocity;
    this.changed = changed;
    this.down = new Map(); // code -> pitch
    this.listening = null;
  }

  get on() {
    return this.listening !== null;
  }

  /** Listen, before the page's other keys do. What is pressed with Ctrl, Alt or Meta, or typed into a field, is not played. */
  set(on, target = window) {
    if (on === this.on) return;
    if (!on) {
      this.listening.abort();
      this.listening = null;
      this.releaseAll();
      return;
    }
    this.listening = new AbortController();
    const options = { capture: true, signal: this.listening.signal };
    target.addEventListener("keydown", (event) => this.#press(event), options);
    target.addEventListener("keyup", (event) => this.#lift(event), options);
    target.addEventListener("blur", () => this.releaseAll(), { signal: this.listening.signal });
    document.addEventListener("visibilitychange", () => document.hidden && this.releaseAll(), options);
  }

  releaseAll() {
    for (const pitch of this.down.values()) this.playing.release(pitch);
    this.down.clear();
  }

  #press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.(TYPED)) return;
    const step = STEPS[event.code];
    const place = NOTES.indexOf(event.code);
    if (!step && place < 0) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat || this.down.has(event.code)) return;
    if (step) return this.#step(...step);
    const pitch = this.lowest + place;
    this.down.set(event.code, pitch);
    const velocity = this.velocity + (event.shiftKey ? 20 : 0);
    this.playing.strike(pitch, velocity, event.timeStamp);
  }

  #lift(event) {
    const pitch = this.down.get(event.code);
    if (pitch === undefined) return;
    this.down.delete(event.code);
    this.playing.release(pitch, event.timeStamp);
  }

  #step(what, by) {
    if (what === "octave") this.lowest = Math.min(96, Math.max(12, this.lowest + 12 * by));
    else this.velocity = Math.min(120, Math.max(10, this.velocity + by));
    this.changed();
  }
}
