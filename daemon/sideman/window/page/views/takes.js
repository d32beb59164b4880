// SPDX-License-Identifier: Apache-2.0
// Takes: keep the last minutes, list, play here, download. A take sounds through the same events as the band.

import { button, make, panel } from "../dom.js";
import { readMidiFile } from "../midi_file.js";
import { word } from "../words.js";

const FIRST_NUMBER = 1e9; // the notes of a take are numbered from here: no note of the band has such a number
const AHEAD_MS = 4000; // a tab in the background looks once a second
const LEAD_MS = 150;
const CHANNEL_VOICES = { 1: "solo", 2: "shells", 10: "drums" };

export function showTakes(store) {
  const player = takePlayer(store);
  panel(store, "takes", async (content) => {
    const report = make("p", { className: "report", role: "status" });
    const list = make("ul", { className: "takes" });
    const refresh = async () => {
      const takes = await store.request({ do: "takes" });
      list.replaceChildren(...takes.reverse().map((take) => row(store, player, take, report)));
      if (!takes.length) report.textContent = word("takes.none");
    };
    const keep = button(word("takes.keep"), async () => {
      await store.request({ do: "keep" });
      await refresh();
    }, report);
    content.replaceChildren(make("p", { className: "buttons" }, keep, button(word("takes.stop"), player.stop)), list, report);
    await refresh().catch((error) => {
      report.textContent = error.message;
    });
  });
  store.on("connection", ({ open }) => open || player.stop());
}

function row(store, player, { name, written }, report) {
  const play = button(word("takes.play"), async () => {
    const take = readMidiFile(await takeFile(store, name));
    if (store.state.status?.rolling) await store.request({ do: "stop" });
    player.play(take);
  }, report);
  const save = button(word("takes.download"), async () => {
    const address = URL.createObjectURL(new Blob([await takeFile(store, name)], { type: "audio/midi" }));
    make("a", { href: address, download: `${name}.mid` }).click();
    setTimeout(() => URL.revokeObjectURL(address), AHEAD_MS);
  }, report);
  const when = new Date(written * 1000).toLocaleString();
  return make("li", {}, make("span", { textContent: name }), make("small", { textContent: when }), play, save);
}

/** The bytes of a take's MIDI file; it comes in pieces. */
async function takeFile(store, name) {
  const pieces = [];
  for (let offset = 0, size = 1; offset < size; ) {
    const piece = await store.request({ do: "take", name, form: "mid", offset });
    const bytes = Uint8Array.from(atob(piece.data), (character) => character.charCodeAt(0));
    if (!bytes.length) break;
    pieces.push(bytes);
    offset += bytes.length;
    size = piece.size;
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** Plays the notes of a take, each planned a second ahead, until `stop`. */
function takePlayer(store) {
  let timer = 0;
  let number = FIRST_NUMBER;
  let planned = [];
  const stop = () => {
    clearInterval(timer);
    if (planned.length) store.receive({ event: "taken_back", notes: planned, second: store.clock.now() });
    for (const note of planned) store.receive({ event: "released", note, second: store.clock.now() });
    planned = [];
  };
  const play = ({ notes }) => {
    stop();
    const start = store.clock.now() + LEAD_MS / 1000;
    let next = 0;
    timer = setInterval(() => {
      const until = store.clock.now() + AHEAD_MS / 1000;
      for (; next < notes.length && start + notes[next].second < until; next += 1) {
        const { second, length, pitch, velocity, channel } = notes[next];
        const due = start + second;
        number += 1;
        planned.push(number);
        store.receive({
          event: "coming", note: number, second: due, beat: store.clock.beatAt(due), beats: (length * (store.clock.tempo?.bpm ?? 60)) / 60,
          length_s: length, pitch, velocity, channel, voice: CHANNEL_VOICES[channel] ?? "you", value: null,
        });
      }
      if (next >= notes.length) clearInterval(timer);
    }, AHEAD_MS / 4);
  };
  return { play, stop };
}
