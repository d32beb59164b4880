// SPDX-License-Identifier: Apache-2.0
// Takes: keep the last minutes, list, show and play here, download as MIDI, as a score, as sound.

import { button, make, panel } from "../dom.js";
import { readMidiFile } from "../midi_file.js";
import { shapePath } from "../shapes.js";
import { word } from "../words.js";

const HEARD_TRACK = 2; // of a take's MIDI file: after the conductor's and what was played
const [SOLO, DRUMS] = [1, 10]; // channels
const HIGHEST_BASS = 50;
const REVOKE_MS = 1000;
const TYPES = { mid: "audio/midi", musicxml: "application/vnd.recordare.musicxml+xml", wav: "audio/wav" }; // by form
const FIRST_NUMBER = 1e9; // the notes of a take are numbered from here: no note of the band has such a number
const [LEAD_S, AHEAD_S, EVERY_MS] = [0.15, 4, 1000]; // a tab in the background looks once a second

export function showTakes(store, sound) {
  let playing = null; // what `stop` ends
  const stop = () => {
    playing?.();
    playing = null;
  };
  panel(store, "takes", async (content) => {
    const report = make("p", { className: "report", role: "status" });
    const list = make("ul", { className: "takes" });
    const refresh = async () => {
      const takes = await store.request({ do: "takes" });
      report.textContent = takes.length ? "" : word("takes.none");
      list.replaceChildren(...takes.reverse().map((take) => row(store, take, play)));
    };
    const play = async (notes, canvas) => {
      stop();
      if (store.state.status?.rolling) await store.request({ do: "stop" });
      store.emit("sound", await sound.start());
      const take = playTake(store, notes);
      const timer = setInterval(() => (take.second() > lengthOf(notes) + LEAD_S ? stop() : drawTake(canvas, notes, take.second())), 50);
      playing = () => {
        clearInterval(timer);
        take.stop();
        drawTake(canvas, notes);
      };
    };
    const keep = button(word("takes.keep"), async () => {
      await store.request({ do: "keep" });
      await refresh();
    }, report);
    content.replaceChildren(make("p", { className: "buttons" }, keep, button(word("takes.stop"), stop)), list, report);
    await refresh();
  });
  store.on("ended", stop);
}

function row(store, { name, written }, play) {
  const canvas = make("canvas", { className: "take", hidden: true, "aria-hidden": "true" });
  const report = make("p", { className: "report", role: "status" });
  const start = button(word("takes.play"), async () => {
    const notes = takeNotes(await takeFile(store, name, "mid"));
    canvas.hidden = false;
    await play(notes, canvas);
  }, report);
  const saves = Object.keys(TYPES).map((form) => button(word(`takes.${form}`), () => save(form), report));
  const save = async (form) => {
    for (const each of saves) each.disabled = true; // the daemon makes one at a time
    report.textContent = form === "mid" ? "" : word("takes.making");
    try {
      const address = URL.createObjectURL(new Blob([await takeFile(store, name, form)], { type: TYPES[form] }));
      make("a", { href: address, download: `${name}.${form}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), REVOKE_MS);
      report.textContent = "";
    } finally {
      for (const each of saves) each.disabled = false;
    }
  };
  for (const each of [start, ...saves]) each.setAttribute("aria-label", `${each.textContent}: ${name}`);
  const when = new Date(written * 1000).toLocaleString();
  return make("li", {}, make("span", { textContent: name }), make("small", { textContent: when }), start, ...saves, report, canvas);
}

/** The bytes of a take in a form; they come in pieces. */
async function takeFile(store, name, form) {
  const pieces = [];
  for (let offset = 0, size = 1; offset < size; ) {
    const piece = await store.request({ do: "take", name, form, offset });
    const bytes = Uint8Array.from(atob(piece.data), (character) => character.charCodeAt(0));
    if (!bytes.length) throw new Error(word("takes.short", { name }));
    pieces.push(bytes);
    offset += bytes.length;
    size = piece.size;
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** The notes of a take from its first one on, each with the voice that plays it. */
function takeNotes(bytes) {
  const notes = readMidiFile(bytes);
  const first = notes[0]?.second ?? 0;
  return notes.map((note) => ({ ...note, second: note.second - first, voice: voiceOf(note) }));
}

function lengthOf(notes) {
  return notes.reduce((length, note) => Math.max(length, note.second + note.length_s), 1);
}

function voiceOf({ track, channel, pitch }) {
  if (track === HEARD_TRACK) return "you";
  if (channel === SOLO) return "solo";
  if (channel === DRUMS) return "drums";
  return pitch <= HIGHEST_BASS ? "bass" : "shells";
}

/** Play notes: the sound takes them for the band's, planned some seconds ahead. Returns {second(), stop()}. */
function playTake(store, notes) {
  const start = store.clock.now() + LEAD_S;
  const planned = [];
  let next = 0;
  const plan = () => {
    for (; next < notes.length && start + notes[next].second < store.clock.now() + AHEAD_S; next += 1) {
      planned.push(FIRST_NUMBER + next);
      store.emit("coming", { ...notes[next], note: FIRST_NUMBER + next, second: start + notes[next].second });
    }
  };
  plan();
  const timer = setInterval(plan, EVERY_MS);
  return {
    second: () => store.clock.now() - start,
    stop() {
      clearInterval(timer);
      const second = store.clock.now();
      store.emit("taken_back", { notes: planned, second });
      for (const note of planned) store.emit("released", { note, second });
    },
  };
}

/** Both players' notes, and where it plays. */
function drawTake(canvas, notes, second) {
  const [width, height, pen] = [canvas.clientWidth, canvas.clientHeight, canvas.getContext("2d")];
  const style = getComputedStyle(document.documentElement);
  [canvas.width, canvas.height] = [width, height];
  const shown = notes.filter((note) => note.voice !== "drums");
  const length = lengthOf(notes);
  const [low, high] = [Math.min(...shown.map((note) => note.pitch), 60) - 2, Math.max(...shown.map((note) => note.pitch), 72) + 2];
  for (const note of shown) {
    const kind = { you: "you", solo: "chord" }[note.voice] ?? "band";
    const [x, y] = [(note.second / length) * width, ((high - note.pitch) / (high - low)) * height];
    pen.fillStyle = style.getPropertyValue(`--${kind}`);
    pen.strokeStyle = pen.fillStyle;
    pen.fillRect(x, y - 1, Math.max(2, (note.length_s / length) * width), 2);
    shapePath(pen, kind, x, y, 2.5);
    if (kind === "you") pen.stroke();
    else pen.fill();
  }
  if (second === undefined) return;
  pen.fillStyle = style.getPropertyValue("--now");
  pen.fillRect((second / length) * width, 0, 2, height);
}
