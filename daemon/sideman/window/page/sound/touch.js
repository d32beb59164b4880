// SPDX-License-Identifier: Apache-2.0
// A keyboard for fingers: each finger plays for itself and may slide on. Low on a key is loud, high up is soft. With a
// keyboard or a screen reader each key is a button.

const BLACK = [1, 3, 6, 8, 10];
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];
const [SOFTEST, LOUDEST] = [45, 115];

export class TouchKeyboard {
  /** Fills `element` with the keys from `lowest`, a C, on. Its looks are in touch.css. */
  constructor(element, playing, { lowest = 60, octaves = 2 } = {}) {
    this.element = element;
    this.playing = playing;
    this.fingers = new Map(); // pointer -> pitch
    element.classList.add("piano");
    element.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) element.addEventListener(name, (event) => this.#up(event));
    element.addEventListener("keydown", (event) => this.#press(event, true));
    element.addEventListener("keyup", (event) => this.#press(event, false));
    element.addEventListener("focusout", () => this.#up({ pointerId: "key" }));
    element.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch is a long note
    playing.onKey(({ pitch, on }) => this.#key(pitch)?.classList.toggle("down", on));
    this.show(lowest, octaves);
  }

  /** Show other octaves. */
  show(lowest, octaves = this.octaves) {
    this.octaves = octaves;
    this.lowest = lowest;
    const keys = Array.from({ length: 12 * octaves + 1 }, (_, step) => {
      const key = document.createElement("button");
      key.type = "button";
      key.dataset.pitch = lowest + step;
      key.tabIndex = step ? -1 : 0; // one stop for Tab; the arrows go from key to key
      key.className = BLACK.includes(step % 12) ? "black" : "white";
      key.setAttribute("aria-label", NAMES[step % 12] + (Math.floor((lowest + step) / 12) - 1));
      return key;
    });
    this.element.replaceChildren(...keys);
  }

  #key(pitch) {
    return this.element.querySelector(`[data-pitch="${pitch}"]`);
  }

  /** The pitch and velocity at a place on the screen, or null beside the keys. */
  #at({ clientX, clientY }) {
    const key = document.elementFromPoint(clientX, clientY)?.closest?.("[data-pitch]");
    if (!key || !this.element.contains(key)) return null;
    const { top, height } = key.getBoundingClientRect();
    const depth = Math.min(1, Math.max(0, (clientY - top) / height));
    return { pitch: Number(key.dataset.pitch), velocity: SOFTEST + depth * (LOUDEST - SOFTEST) };
  }

  #down(event) {
    if (event.button) return;
    event.preventDefault();
    if (event.target.hasPointerCapture?.(event.pointerId)) event.target.releasePointerCapture(event.pointerId);
    this.#set(event.pointerId, this.#at(event), event.timeStamp);
  }

  #move(event) {
    if (!this.fingers.has(event.pointerId)) return;
    const place = this.#at(event);
    if (place?.pitch !== this.fingers.get(event.pointerId)) this.#set(event.pointerId, place, event.timeStamp);
  }

  #up(event) {
    if (this.fingers.has(event.pointerId)) this.#set(event.pointerId, null, event.timeStamp);
  }

  #press(event, down) {
    const pitch = event.target.dataset?.pitch;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (pitch !== undefined && step && down) this.#key(Number(pitch) + step)?.focus();
    if (pitch === undefined || !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) this.#set("key", down ? { pitch: Number(pitch), velocity: 90 } : null, event.timeStamp);
  }

  #set(finger, place, ms) {
    const before = this.fingers.get(finger);
    if (before !== undefined) this.playing.release(before, ms);
    this.fingers.delete(finger);
    if (!place) return;
    this.fingers.set(finger, place.pitch);
    this.playing.strike(place.pitch, place.velocity, ms);
  }
}
