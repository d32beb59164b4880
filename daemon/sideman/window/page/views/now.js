// SPDX-License-Identifier: Apache-2.0
// Now: this chord and the next two in type that is read from a music stand; whose turn it is, and the countdown.

import { make, setText, speak } from "../dom.js";
import { chordsFrom, placeAt, printedChord } from "../music.js";
import { word } from "../words.js";

const byId = (id) => document.getElementById(id);

export function showNow(store) {
  let spoken = "";
  const show = () => {
    const { status, chart, top } = store.state;
    const beat = store.clock.tempo ? store.clock.beatAt(store.clock.now()) : (status?.beat ?? 0);
    setText(byId("song"), chart
      ? [chart.title, chart.key && word("in-key", { key: printedChord(chart.key) })].filter(Boolean).join(" · ")
      : "");
    if (!chart?.bars.length || !status) return;
    const place = placeAt(chart, top, Math.max(beat, top));
    const [chord, ...next] = chordsFrom(chart, place, 3).map(printedChord);
    setText(byId("chord"), printedChord(status.chord || chord || ""));
    setText(byId("next-chords"), next.length ? `→ ${next.join(" → ")}` : "");
    const text = turnText(status, place, beat);
    setText(byId("turn-text"), text.shown);
    document.body.dataset.turn = status.doing;
    if (text.who !== spoken) {
      spoken = text.who;
      speak(spoken);
    }
    const beats = Math.round(place.length);
    if (byId("beats").childElementCount !== beats) {
      byId("beats").replaceChildren(...Array.from({ length: beats }, () => make("i")));
    }
    const at = status.rolling ? Math.floor(place.since) : -1;
    [...byId("beats").children].forEach((each, index) => each.classList.toggle("on", index === at));
  };
  for (const name of ["chart", "status", "beat", "doing", "tempo"]) store.on(name, show);
}

/** Whose turn it is, in words; `shown` has the countdown as well. */
function turnText(status, place, beat) {
  if (status.waiting) return { who: status.waiting, shown: status.waiting };
  if (!status.rolling) return { who: word("turn.stopped"), shown: word("turn.stopped") };
  const ours = status.doing === "playing";
  const who = word(ours ? "turn.sideman" : status.mode === "off" ? "turn.off" : "turn.you");
  if (status.turn_ends === null || status.turn_ends === undefined) return { who, shown: who };
  const beats = Math.ceil(status.turn_ends - beat - 1e-3);
  const bars = Math.ceil(beats / place.length);
  const left = bars > 1 ? word("turn.bars", { count: bars }) : word("turn.beats", { count: Math.max(0, beats) });
  return { who, shown: `${who} · ${word(ours ? "turn.then-you" : "turn.then-sideman", { left })}` };
}
