// SPDX-License-Identifier: Apache-2.0
// Play along: the computer's keys, MIDI keyboards and fingers. What is played goes in with the time it was struck.

import { button, make, say } from "../dom.js";
import { ComputerKeys } from "../sound/keys.js";
import { MidiKeyboards } from "../sound/midi.js";
import { Playing } from "../sound/playing.js";
import { TouchKeyboard } from "../sound/touch.js";
import { word } from "../words.js";

const REFRESH_MS = 1000;

export function showKeyboard(store, sound) {
  const section = document.getElementById("play-along");
  const piano = document.getElementById("piano");
  const report = make("p", { className: "report", role: "status" });
  const late = make("p", { className: "faint" });
  const playing = new Playing(store, sound);

  const press = (element, on) => element.setAttribute("aria-pressed", on);
  const keys = new ComputerKeys(playing);
  const keysButton = button(word("keyboard.keys"), () => setKeys(!keys.on));
  const setKeys = (on) => {
    keys.set(on);
    press(keysButton, on);
    say(report, on ? word("keyboard.keys.about") : "");
  };

  const shown = (names) => say(report, word("keyboard.midi.found", { names: names.join(", ") || word("keyboard.midi.absent") }));
  const midi = new MidiKeyboards(playing, shown);
  let midiOn = false;
  const midiButton = button(word("keyboard.midi"), async () => {
    if (midiOn) {
      midi.stop();
      midiOn = false;
    } else {
      const { on, problem } = await midi.start();
      midiOn = on;
      if (problem) say(report, word(`keyboard.midi.${problem}`));
    }
    press(midiButton, midiOn);
  });

  const touchButton = button(word("keyboard.touch"), () => setTouch(piano.hidden));
  let touch = null;
  const setTouch = (on) => {
    piano.hidden = !on;
    press(touchButton, on);
    if (on) touch ??= new TouchKeyboard(piano, playing, { octaves: innerWidth < 600 ? 1 : 2 });
  };

  const measure = button(word("keyboard.measure"), async () => {
    store.emit("sound", await sound.start());
    say(report, word("keyboard.measuring"));
    say(report, (await playing.measure()) === null ? word("keyboard.unmeasured") : "");
  });
  section.firstElementChild.append(keysButton, midiButton, touchButton, measure);
  section.append(report, late);
  for (const each of [keysButton, midiButton, touchButton]) press(each, false);

  // The first time that the page sounds it can be played, too.
  let isFirst = true;
  store.on("sound", ({ on }) => {
    if (!on || !isFirst) return;
    isFirst = false;
    if (matchMedia("(pointer: coarse)").matches) setTouch(true);
    else setKeys(true);
  });
  const rounded = (ms) => (ms === null ? "–" : Math.round(ms));
  setInterval(() => {
    const { input, own, answer } = playing.latency();
    if (answer !== null) say(late, word("keyboard.late", { input, own: rounded(own), answer: rounded(answer) }));
  }, REFRESH_MS);
}
