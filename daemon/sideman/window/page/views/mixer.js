// SPDX-License-Identifier: Apache-2.0
// The sound of the page: a volume for each part and the soloist's instrument, both remembered, and a metronome.

import { make, reported } from "../dom.js";
import { word } from "../words.js";

const PARTS = ["solo", "bass", "shells", "drums", "click", "you"];
const SOLOISTS = ["tenor", "alto", "trumpet", "guitar", "piano"];
const FAMILIES = [["piano", 1, 8], ["guitar", 25, 32], ["trumpet", 57, 64], ["alto", 65, 66]]; // programs of General MIDI
const KEY = "sideman.volumes";
const INSTRUMENT = "sideman.soloist";

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
  content.append(
    ...soloist(store, sound),
    make("label", {}, metronome, word("metronome")),
  );
}

/** The choice of the soloist's instrument; "auto" is what sideman's own setting asks a synth for. */
function soloist(store, sound) {
  const report = make("p", { className: "report", role: "alert" });
  const select = make("select", { id: "instrument" }, ...["auto", ...SOLOISTS].map((value) =>
    make("option", { value, textContent: word(`instrument.${value}`) })));
  const remembered = localStorage.getItem(INSTRUMENT);
  select.value = SOLOISTS.includes(remembered) ? remembered : "auto";
  const apply = async () => {
    let name = select.value;
    if (name === "auto" && store.state.connection.open) {
      const { value } = await store.request({ do: "get", key: "midi.program" });
      name = FAMILIES.find(([, least, most]) => value >= least && value <= most)?.[0] ?? SOLOISTS[0];
    }
    if (name !== "auto") await sound.setInstrument("solo", name);
  };
  select.addEventListener("change", () => {
    localStorage.setItem(INSTRUMENT, select.value);
    reported(apply, report);
  });
  store.on("connection", () => reported(apply, report));
  return [make("p", {}, make("label", { htmlFor: "instrument", textContent: word("instrument") }), " ", select), report];
}

function saved() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
