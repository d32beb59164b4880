// SPDX-License-Identifier: Apache-2.0
// Places in a chart, and names of pitches and chords.

import { word } from "./words.js";

const NAMES = ["C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B"];
const EPSILON = 1e-6;

/** Middle C is C4. Shown as a transposing player reads it. */
export function pitchName(pitch, transpose = 0) {
  const read = pitch - transpose;
  return `${NAMES[((read % 12) + 12) % 12]}${Math.floor(read / 12) - 1}`;
}

/** The quarter notes of a meter such as 6/8. */
function quarters(meter) {
  const [count, unit] = meter.split("/").map(Number);
  return (count * 4) / unit || 4;
}

/** The beats on which the bars of a chart begin, counted from its top, and at the end its length. */
export function barStarts(chart) {
  const changes = new Map([[0, chart.meter], ...chart.meters]);
  const starts = [0];
  let length = 4;
  for (let bar = 0; bar < chart.bars.length; bar += 1) {
    if (changes.has(bar)) length = quarters(changes.get(bar));
    starts.push(starts[bar] + length);
  }
  return starts;
}

/** Where a beat lies: its bar in the chart, from 0; the chorus; the quarter notes since the bar line; the bar's length. */
export function placeAt(chart, top, beat) {
  const starts = barStarts(chart);
  const length = starts.at(-1);
  const passed = beat - top + EPSILON;
  const chorus = Math.floor(passed / length);
  const rest = passed - chorus * length;
  let bar = 0;
  while (bar < chart.bars.length - 1 && starts[bar + 1] <= rest) bar += 1;
  return { bar, chorus, since: rest - starts[bar], length: starts[bar + 1] - starts[bar] };
}

/** Which chord of a bar sounds at a place, if all last equally long. */
export function chordIndex(chart, place) {
  const count = chart.bars[place.bar].length;
  return Math.min(count - 1, Math.floor((place.since / place.length) * count));
}

/** The chords from a place on, without repetitions. */
export function chordsFrom(chart, place, count) {
  const found = [];
  let bar = place.bar;
  let index = chordIndex(chart, place);
  for (let step = 0; step < 4 * chart.bars.length + 4 && found.length < count; step += 1) {
    const chord = chart.bars[bar][index];
    if (chord !== undefined && chord !== found.at(-1)) found.push(chord);
    index += 1;
    if (index >= chart.bars[bar].length) [bar, index] = [(bar + 1) % chart.bars.length, 0];
  }
  return found;
}

/** A chord as it is printed: with real flats and sharps. */
export function printedChord(chord) {
  return chord.replace(/(?<=[A-G]|\W|\d)b/g, "♭").replaceAll("#", "♯");
}

/** A chord as it is spoken, such as "D minor 7". */
export function spokenChord(chord) {
  const [, root, rest] = chord.match(/^([A-G][b#]?)(.*)$/) ?? [null, chord, ""];
  const spokenRoot = root.replace("b", ` ${word("spoken.flat")}`).replace("#", ` ${word("spoken.sharp")}`);
  const kind = rest
    .replace(/^(maj|\^|Δ)/, ` ${word("spoken.major")} `)
    .replace(/^(m|-)(?!aj)/, ` ${word("spoken.minor")} `)
    .replace("dim", ` ${word("spoken.diminished")} `)
    .replace("/", ` ${word("spoken.over")} `)
    .replace(/b(?=\d)/g, ` ${word("spoken.flat")} `)
    .replaceAll("#", ` ${word("spoken.sharp")} `);
  return `${spokenRoot} ${kind}`.replace(/\s+/g, " ").trim();
}

/** The first and the last bar, from 0, that `practice.loop` repeats; null without a loop, or if the chart lacks them. */
export function loopedBars(chart, loop) {
  if (!chart || loop === null || loop === undefined) return null;
  const numbers = /^(\d+)(?:-(\d+))?$/.exec(String(loop));
  if (numbers) return [Number(numbers[1]) - 1, Number(numbers[2] ?? numbers[1]) - 1];
  const at = chart.sections.findIndex(([, name]) => name.toLowerCase() === String(loop).toLowerCase());
  if (at < 0) return null;
  return [chart.sections[at][0], (chart.sections[at + 1]?.[0] ?? chart.bars.length) - 1];
}
