// SPDX-License-Identifier: Apache-2.0
// Why this note: what the network could choose next, with the probabilities of the softmax.

import { fillRows, make, setText } from "../dom.js";
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
    fillRows(list, options.slice(0, SHOWN), makeRow, ({ children: [name, bar, share, about] }, option) => {
      const pitch = option.pitch === null ? word("rest") : pitchName(option.pitch, transpose);
      const [kind, beats] = option.value.split(",");
      const kindWord = wordIfAny(`value.${kind}`);
      const length = beats && word(Number(beats) === 1 ? "beat" : "beats", { count: Number(beats) });
      const percent = `${Math.round(option.probability * 100)} %`;
      bar.value = option.probability;
      bar.setAttribute("aria-label", `${pitch} ${percent}`);
      setText(name, pitch);
      setText(share, percent);
      setText(about, [kindWord, length].filter(Boolean).join(", "));
    });
  };
  const ask = () => {
    asked ||= requestAnimationFrame(draw);
  };
  for (const name of ["choices", "connection"]) store.on(name, ask);
}

function makeRow() {
  return make("li", {}, make("b"), make("meter", { min: 0, max: 1 }), make("span"), make("small"));
}
