// SPDX-License-Identifier: Apache-2.0
// Why this note: what the network could choose next, with the probabilities of the softmax.

import { make } from "../dom.js";
import { pitchName } from "../music.js";
import { word, wordIfAny } from "../words.js";

const SHOWN = 6;

export function showChoices(store) {
  const list = document.getElementById("choices");
  let asked = 0;
  const draw = () => {
    asked = 0;
    const options = store.state.choices?.options ?? [];
    const transpose = store.state.settings["midi.transpose"] ?? 0;
    list.replaceChildren(...options.slice(0, SHOWN).map((option) => {
      const pitch = option.pitch === null ? word("rest") : pitchName(option.pitch, transpose);
      const [kind, beats] = option.value.split(",");
      const kindWord = wordIfAny(`value.${kind}`);
      const about = [kindWord, beats && word(Number(beats) === 1 ? "beat" : "beats", { count: Number(beats) })].filter(Boolean).join(", ");
      const percent = `${Math.round(option.probability * 100)} %`;
      const bar = make("meter", { min: 0, max: 1, value: option.probability, "aria-label": `${pitch} ${percent}` });
      return make("li", {}, make("b", { textContent: pitch }), bar, make("span", { textContent: percent }),
        make("small", { textContent: about }));
    }));
  };
  const ask = () => {
    asked ||= requestAnimationFrame(draw);
  };
  for (const name of ["choices", "connection"]) store.on(name, ask);
}
