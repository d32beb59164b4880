// SPDX-License-Identifier: Apache-2.0
// Playing along: the computer's keys, MIDI keyboards, a keyboard for fingers, and how late it all is.

import { button, make, setText } from "../dom.js";
import { pitchName } from "../music.js";
import { ComputerKeys } from "../sound/keys.js";
import { MidiKeyboards } from "../sound/midi.js";
import { Playing } from "../sound/playing.js";
import { TouchKeyboard } from "../sound/touch.js";
import { word } from "../words.js";

const KEYS = "sideman.keys";
const PIANO = "sideman.piano";
const LOOK_MS = 2000;
const [LOWEST, HIGHEST] = [24, 84];

export function showPlaying(store, sound) {
  const playing = new Playing(store, sound);
  const report = make("span", { className: "report", role: "status" });
  document.getElementById("playing-controls").append(
    keysSwitch(playing), midiButton(playing, report), ...pianoSwitch(playing), measureButton(playing, sound, report), report,
  );
  const line = document.getElementById("latency");
  setInterval(() => showLatency(line, playing.latency(), sound.latency()), LOOK_MS);
}

function remembered(name, standard) {
  return (localStorage.getItem(name) ?? standard) === "on";
}

function checkbox(text, name, standard, set) {
  const input = make("input", { type: "checkbox", checked: remembered(name, standard) });
  input.addEventListener("change", () => {
    localStorage.setItem(name, input.checked ? "on" : "off");
    set(input.checked);
  });
  set(input.checked);
  return make("label", {}, input, text);
}

function keysSwitch(playing) {
  const state = make("small");
  const keys = new ComputerKeys(playing, { changed: () => show() });
  const show = () => {
    const values = { pitch: pitchName(keys.lowest), velocity: keys.velocity };
    state.textContent = keys.on ? ` ${word("playing.keys.state", values)}` : "";
  };
  const label = checkbox(word("playing.keys"), KEYS, "off", (on) => {
    keys.set(on);
    show();
  });
  label.append(state);
  return label;
}

function midiButton(playing, report) {
  const say = (names) => {
    report.textContent = names.length ? word("playing.midi.names", { names: names.join(", ") }) : word("playing.midi.nothing");
  };
  const keyboards = new MidiKeyboards(playing, say);
  const toggle = button(word("playing.midi"), async () => {
    if (keyboards.access) {
      keyboards.stop();
      report.textContent = "";
    } else {
      const { problem } = await keyboards.start();
      if (problem) report.textContent = word(`playing.midi.${problem}`);
    }
    toggle.textContent = word(keyboards.access ? "playing.midi.off" : "playing.midi");
  });
  return toggle;
}

/** The keyboard for fingers: shown where fingers are what there is, or when it is asked for. */
function pianoSwitch(playing) {
  const element = document.getElementById("piano");
  const wide = matchMedia("(min-width: 40rem)");
  const keyboard = new TouchKeyboard(element, playing, { lowest: 60, octaves: wide.matches ? 2 : 1 });
  wide.addEventListener("change", () => keyboard.show(keyboard.lowest, wide.matches ? 2 : 1));
  const move = (by) => keyboard.show(Math.min(HIGHEST, Math.max(LOWEST, keyboard.lowest + by)));
  const octaves = [button(word("playing.lower"), () => move(-12)), button(word("playing.higher"), () => move(12))];
  const label = checkbox(word("playing.show"), PIANO, matchMedia("(pointer: coarse)").matches ? "on" : "off", (on) => {
    for (const each of [element, ...octaves]) each.hidden = !on;
  });
  return [label, ...octaves];
}

function measureButton(playing, sound, report) {
  return button(word("playing.measure"), async () => {
    if (!sound.on) {
      report.textContent = word("playing.silent");
      return;
    }
    report.textContent = word("playing.measuring");
    const ms = await playing.measure();
    report.textContent = ms === null ? word("playing.unmeasured") : word("playing.measured", { ms });
  });
}

function showLatency(line, own, band) {
  const round = (ms) => Math.round(ms);
  const parts = [];
  if (own.answer !== null && own.own !== null) {
    parts.push(word("playing.latency", { own: round(own.own), input: round(own.input), answer: round(own.answer) }));
  }
  if (band.ahead !== null) parts.push(word("playing.ahead", { ahead: round(band.ahead), late: band.late }));
  setText(line, parts.join(" "));
}
