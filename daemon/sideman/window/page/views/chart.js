// SPDX-License-Identifier: Apache-2.0
// The chart: an HTML table, four bars a row. Each bar is a button that a screen reader reads as "bar 5, D minor 7".
// Touch a bar to go there; drag over bars, or extend with Shift and the arrow keys, to repeat them.

import { button, make, say, setText, speak } from "../dom.js";
import { chordIndex, loopedBars, placeAt, printedChord, spokenChord } from "../music.js";
import { word } from "../words.js";

const BARS_A_ROW = 4;

export function showChart(store) {
  const section = document.getElementById("chart");
  const trouble = document.getElementById("trouble");
  const ask = async (fields, done = "") => {
    try {
      await store.request(fields);
      say(trouble, "");
      if (done) speak(done);
    } catch (error) {
      if (store.state.connection.open) say(trouble, error.message);
    }
  };
  const loopEnd = button(word("loop.end"), () => ask({ do: "loop", bars: "off" }));
  const practice = make("p", { className: "practice", hidden: true }, make("span"), loopEnd);
  let lit = null;
  let spoken = ""; // the chords of a bar
  const draw = () => {
    section.replaceChildren(table(store.state.chart), practice);
    lit = null;
    showPractice();
    follow();
  };
  const showPractice = () => {
    const { chart, settings, status } = store.state;
    const loop = loopedBars(chart, settings["practice.loop"]);
    markBars(section, "looped", loop);
    const coming = [status?.practice, status?.target].filter(Boolean).join(", ");
    setText(practice.firstElementChild, coming);
    loopEnd.hidden = !loop;
    practice.hidden = !loop && !coming;
  };
  const follow = () => {
    const { chart, top, status } = store.state;
    if (!chart?.bars.length || !status?.rolling) return;
    const beat = store.clock.tempo ? store.clock.beatAt(store.clock.now()) : status.beat;
    const place = placeAt(chart, top, Math.max(beat, top));
    const cell = section.querySelectorAll("td")[place.bar];
    const chord = cell.firstElementChild.children[chordIndex(chart, place)];
    if (chord === lit) return;
    section.querySelectorAll(".lit").forEach((each) => each.classList.remove("lit"));
    section.querySelector("[aria-current]")?.removeAttribute("aria-current");
    for (const each of [cell, chord]) each?.classList.add("lit");
    cell.setAttribute("aria-current", "true");
    lit = chord;
    const chords = spokenBar(chart.bars[place.bar]);
    if (chords && chords !== spoken && speak(chords, "chords")) spoken = chords; // once a bar, and only what is new
    if (section.scrollHeight > section.clientHeight) {
      section.scrollTop = cell.offsetTop - section.clientHeight / 2 + cell.offsetHeight / 2;
    }
  };
  store.on("chart", draw);
  for (const event of ["status", "changed"]) store.on(event, () => store.state.chart && showPractice());
  chooseBars(section, ask);
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
    const chosen = make(
      "button",
      { type: "button", tabIndex: bar ? -1 : 0, "aria-label": word("spoken.bar", { number: bar + 1, chords: spokenBar(chords) }) },
      ...chords.map((chord) => make("span", { textContent: printedChord(chord) })),
    );
    chosen.dataset.bar = bar;
    row.append(make("td", {}, chosen));
  });
  return make("table", { "aria-label": word("chart.of", { title: chart.title }) }, make("tbody", {}, ...rows));
}

function spokenBar(chords) {
  return chords.map(spokenChord).join(", ");
}

/** Mark the bars from the first to the last of a pair with a class, and no others; without a pair none. */
function markBars(section, name, pair) {
  section.querySelectorAll("td").forEach((cell, bar) => {
    cell.classList.toggle(name, pair !== null && bar >= pair[0] && bar <= pair[1]);
  });
}

/** A touched bar is gone to; bars that are dragged over, or extended to with Shift and the arrow keys, are repeated. */
function chooseBars(section, ask) {
  const barOf = (element) => Number(element?.closest?.("[data-bar]")?.dataset.bar ?? NaN);
  let first = NaN;
  let last = NaN;
  const choose = (from, to) => {
    [first, last] = [from, to];
    markBars(section, "chosen", first === last || Number.isNaN(last) ? null : [Math.min(from, to), Math.max(from, to)]);
  };
  const repeat = () => {
    ask({ do: "loop", bars: `${Math.min(first, last) + 1}-${Math.max(first, last) + 1}` });
    choose(NaN, NaN);
  };
  let pressed = false;
  section.addEventListener("pointerdown", (event) => {
    const bar = barOf(event.target);
    pressed = event.isPrimary && event.button === 0 && !Number.isNaN(bar);
    if (pressed) choose(bar, bar);
  });
  section.addEventListener("pointermove", (event) => {
    const bar = pressed ? barOf(document.elementFromPoint(event.clientX, event.clientY)) : NaN;
    if (!Number.isNaN(bar)) choose(first, bar);
  });
  window.addEventListener("pointerup", () => {
    if (pressed && first !== last) repeat();
    pressed = false;
  });
  window.addEventListener("pointercancel", () => {
    pressed = false;
    choose(NaN, NaN);
  });
  section.addEventListener("click", (event) => {
    const bar = barOf(event.target);
    if (Number.isNaN(bar)) return;
    if (event.detail === 0 && first !== last && !Number.isNaN(first)) repeat(); // a key pressed it
    else ask({ do: "jump", to: bar + 1 }, section.querySelectorAll("[data-bar]")[bar].ariaLabel);
  });
  section.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -BARS_A_ROW, ArrowDown: BARS_A_ROW };
    const bar = barOf(event.target);
    if (!(event.key in steps) || Number.isNaN(bar)) return;
    event.preventDefault();
    const bars = section.querySelectorAll("[data-bar]");
    const next = bars[bar + steps[event.key]];
    if (!next) return;
    bars[bar].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    if (event.shiftKey) choose(Number.isNaN(first) ? bar : first, Number(next.dataset.bar));
    else choose(NaN, NaN);
  });
}
