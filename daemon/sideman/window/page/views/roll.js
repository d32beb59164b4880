// SPDX-License-Identifier: Apache-2.0
// The roll: past on the left, now, plan on the right. Whose note it is and of which kind, by shape and by colour.

import { make } from "../dom.js";
import { pitchName, placeAt } from "../music.js";
import { shapePath } from "../shapes.js";
import { word } from "../words.js";

const PAST = 6; // beats
const AHEAD = 3;
const LOWEST_SPAN = 24; // semitones that are shown at least
const KINDS = ["chord", "scale", "approach", "other", "band", "you"];
const MOTIF = "motif"; // a bar under a note that takes up a motif of the player
const KIND_OF_VALUE = { C: "chord", S: "scale", A: "approach", X: "other" };

export function showRoll(store) {
  const canvas = document.getElementById("roll");
  const pen = canvas.getContext("2d");
  document.getElementById("legend").replaceChildren(...[...KINDS, MOTIF].map(legendOf));
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let colours = readColours();
  for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
    matchMedia(query).addEventListener("change", () => {
      colours = readColours();
    });
  }

  const draw = () => {
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const exact = store.clock.beatAt(store.clock.now());
    const beat = still.matches ? Math.floor(exact) : exact; // reduced motion: a step on each beat
    const x = (at) => ((at - beat + PAST) / (PAST + AHEAD)) * width;
    const notes = visibleNotes(store, beat);
    const [low, high] = pitchRange(notes);
    const step = height / (high - low + 1);
    const y = (pitch) => (high - pitch + 0.5) * step;
    drawGrid({ x, y, step, width, height, low, high, beat });
    for (const note of notes) drawNote(note, x, y, step, beat);
    pen.fillStyle = colours.now;
    pen.fillRect(x(exact) - 1, 0, 2, height);
  };

  const drawGrid = ({ x, y, step, width, height, low, high, beat }) => {
    const transpose = store.state.settings["midi.transpose"] ?? 0;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    for (let pitch = low; pitch <= high; pitch += 1) {
      if ((pitch - transpose) % 12 === 0) {
        pen.fillStyle = colours.line;
        pen.fillRect(0, y(pitch) + step / 2, width, 1);
        pen.fillStyle = colours.faint;
        pen.fillText(pitchName(pitch, transpose), 4, y(pitch));
      }
    }
    const { chart, top } = store.state;
    if (!chart?.bars.length) return;
    for (let each = Math.ceil(beat - PAST); each <= beat + AHEAD; each += 1) {
      const isBarLine = each >= top && placeAt(chart, top, each).since < 0.01;
      pen.fillStyle = isBarLine ? colours.bar : colours.line;
      pen.fillRect(x(each), 0, 1, height);
    }
  };

  const drawNote = (note, x, y, step, beat) => {
    const colour = colours[note.kind];
    const [left, right, middle] = [x(note.beat), Math.max(x(note.end), x(note.beat) + 3), y(note.pitch)];
    const size = Math.max(4, Math.min(9, step * 0.8));
    const sounds = note.beat <= beat && note.end > beat && !note.planned;
    if (note.motif) {
      pen.fillStyle = colours.motif;
      pen.fillRect(left - size, middle + size + 3, right - left + size, 3);
    }
    pen.strokeStyle = colour;
    pen.fillStyle = colour;
    pen.globalAlpha = note.planned ? 0.75 : 1;
    pen.setLineDash(note.planned ? [3, 3] : []);
    pen.lineWidth = note.kind === "band" ? 2 : 3;
    pen.beginPath();
    pen.moveTo(left, middle);
    pen.lineTo(right, middle);
    pen.stroke();
    pen.setLineDash([]);
    pen.lineWidth = 2;
    shapePath(pen, note.kind, left, middle, size / (note.kind === "band" ? 2.2 : 1.4) + (sounds ? 2 : 0));
    if (note.planned || note.kind === "you") {
      pen.save();
      pen.fillStyle = colours.ground;
      pen.globalAlpha = 1;
      pen.fill();
      pen.restore();
      pen.stroke();
    } else {
      pen.fill();
    }
    pen.globalAlpha = 1;
  };

  let drawnAt = NaN;
  const frame = () => {
    const beat = Math.floor(store.clock.beatAt(store.clock.now()));
    if (!still.matches || beat !== drawnAt) draw();
    drawnAt = beat;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  for (const name of ["coming", "taken_back", "connection"]) store.on(name, () => still.matches && draw());
}

/** The notes that the roll shows, each with its kind and its end. */
function visibleNotes(store, beat) {
  const shown = [];
  for (const note of store.state.notes.values()) {
    if (note.pitch === null || note.voice === "click" || note.voice === "drums") continue;
    const kind = note.voice === "solo" ? (KIND_OF_VALUE[note.value?.[0]] ?? "other") : "band";
    shown.push({ ...note, kind, end: note.beat + note.beats });
  }
  for (const note of store.state.heard) shown.push({ ...note, kind: "you", end: note.end ?? Math.max(beat, note.beat) });
  return shown.filter((note) => note.end > beat - PAST && note.beat < beat + AHEAD);
}

let range = [48, 72];

/** The pitches that are shown; they change slowly, so that the roll does not jump. */
function pitchRange(notes) {
  const pitches = notes.map((note) => note.pitch);
  const [low, high] = [Math.min(...pitches, range[1] - 12) - 1, Math.max(...pitches, range[0] + 12) + 1];
  if (pitches.length && (low < range[0] || high > range[1] || high - low < range[1] - range[0] - 18)) {
    range = [low, Math.max(high, low + LOWEST_SPAN)];
  }
  return range;
}

function legendOf(kind) {
  const canvas = make("canvas", { width: 28, height: 28, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  const colour = readColours()[kind];
  pen.fillStyle = colour;
  pen.strokeStyle = colour;
  pen.lineWidth = 3;
  if (kind === MOTIF) pen.rect(2, 12, 24, 5);
  else shapePath(pen, kind, 14, 14, kind === "band" ? 6 : 8);
  if (kind === "you") pen.stroke();
  else pen.fill();
  return make("li", {}, canvas, word(`kind.${kind}`));
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(
    [...KINDS, MOTIF, "now", "line", "bar", "faint", "ground"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
}
