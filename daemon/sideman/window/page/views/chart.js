// SPDX-License-Identifier: Apache-2.0
// The chart: an HTML table, four bars a row. Each bar is a cell that a screen reader reads as "bar 5, D minor 7".

import { make } from "../dom.js";
import { chordIndex, placeAt, printedChord, spokenChord } from "../music.js";
import { word } from "../words.js";

const BARS_A_ROW = 4;

export function showChart(store) {
  const section = document.getElementById("chart");
  let lit = null;
  const draw = () => {
    section.replaceChildren(table(store.state.chart));
    lit = null;
    follow();
  };
  const follow = () => {
    const { chart, top, status } = store.state;
    if (!chart?.bars.length || !status?.rolling) return;
    const beat = store.clock.tempo ? store.clock.beatAt(store.clock.now()) : status.beat;
    const place = placeAt(chart, top, Math.max(beat, top));
    const cell = section.querySelectorAll("td")[place.bar];
    const chord = cell.children[chordIndex(chart, place)];
    if (chord === lit) return;
    section.querySelectorAll(".lit").forEach((each) => each.classList.remove("lit"));
    section.querySelector("[aria-current]")?.removeAttribute("aria-current");
    for (const each of [cell, chord]) each?.classList.add("lit");
    cell.setAttribute("aria-current", "true");
    lit = chord;
    if (section.scrollHeight > section.clientHeight) {
      section.scrollTop = cell.offsetTop - section.clientHeight / 2 + cell.offsetHeight / 2;
    }
  };
  store.on("chart", draw);
  const tick = () => {
    if (!document.hidden) follow();
    setTimeout(tick, 50);
  };
  tick();
}

function table(chart) {
  const sections = new Map(chart.sections);
  const rows = [];
  let row = null;
  chart.bars.forEach((chords, bar) => {
    if (!row || row.childElementCount > BARS_A_ROW || sections.has(bar)) {
      row = make("tr", {}, make("th", { scope: "row", textContent: sections.get(bar) ?? "" }));
      rows.push(row);
    }
    const spoken = chords.map(spokenChord).join(", ");
    row.append(
      make(
        "td",
        { "aria-label": word("spoken.bar", { number: bar + 1, chords: spoken }) },
        ...chords.map((chord) => make("span", { textContent: printedChord(chord) })),
      ),
    );
  });
  return make("table", { "aria-label": word("chart.of", { title: chart.title }) }, make("tbody", {}, ...rows));
}
