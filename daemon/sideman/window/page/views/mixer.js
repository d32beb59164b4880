// SPDX-License-Identifier: Apache-2.0
// The sound of the page: a volume for each part, remembered, and a metronome.

import { make } from "../dom.js";
import { word } from "../words.js";

const PARTS = ["solo", "bass", "shells", "drums", "click", "you"];
const SOLOISTS = ["tenor", "alto", "trumpet", "guitar", "piano"];
const KEY = "sideman.volumes";

export function showMixer(store, sound) {
  const content = document.getElementById("panel-sound").lastElementChild;
  const volumes = { ...Object.fromEntries(PARTS.map((part) => [part, 1])), ...saved() };
  for (const part of PARTS) {
    sound.setVolume(part, volumes[part]);
    const input = make("input", { type: "range", min: 0, max: 2, step: 0.05, value: volumes[part], id: `volume-${part}` });
    const say = () => input.setAttribute("aria-valuetext", `${Math.round(input.value * 100)} %`);
    input.addEventListener("input", () => {
      volumes[part] = Number(input.value);
      sound.setVolume(part, volumes[part]);
      localStorage.setItem(KEY, JSON.stringify(volumes));
      say();
    });
    say();
    content.append(make("div", { className: "slider" }, make("label", { htmlFor: input.id, textContent: word(`part.${part}`) }), input));
  }
  const metronome = make("input", { type: "checkbox", id: "metronome" });
  metronome.addEventListener("change", () => sound.metronome(metronome.checked));
  const instrument = make("select", { id: "instrument" }, ...SOLOISTS.map((name) =>
    make("option", { value: name, textContent: word(`instrument.${name}`) })));
  instrument.addEventListener("change", () => sound.setInstrument("solo", instrument.value));
  content.append(
    make("p", {}, make("label", { htmlFor: "instrument", textContent: word("instrument") }), " ", instrument),
    make("label", {}, metronome, word("metronome")),
  );
}

function saved() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
