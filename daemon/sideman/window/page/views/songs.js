// SPDX-License-Identifier: Apache-2.0
// What to play: the charts and the presets that the daemon knows, the set of the evening, and changes of your own.

import { button, make, panel, reported } from "../dom.js";
import { word } from "../words.js";

let endListening = () => {}; // of the list of the set that was drawn before

export function showSongs(store) {
  panel(store, "songs", async (content) => {
    const report = make("p", { className: "report", role: "alert" });
    const [charts, presets] = await Promise.all([store.request({ do: "charts" }), store.request({ do: "presets" })]).catch(
      (error) => {
        report.textContent = error.message;
        return [[], []];
      },
    );
    const result = async (asked) => {
      const { restart, warnings } = await asked;
      report.textContent = [...(restart?.length ? [word("after-restart", { keys: restart.join(", ") })] : []), ...(warnings ?? [])].join(" ");
    };
    const set = (key, value) => result(store.request({ do: "set", key, value }));
    const list = (heading, names, action) => [
      make("h3", { textContent: heading }),
      make("p", { className: "buttons" }, ...names.map((name) => button(name, () => action(name), report))),
    ];
    const changes = make("textarea", { id: "changes", rows: 4, spellcheck: false, value: ownChanges(store.state.chart) });
    const play = async () => {
      if (store.state.settings["chart.file"] !== null) await set("chart.file", null);
      await set("chart.changes", changes.value);
    };
    const apply = button(word("songs.play-changes"), () => reported(play, report));
    content.replaceChildren(
      ...setList(store, charts, set, report),
      ...list(word("songs.charts"), charts, (name) => set("chart.file", name)),
      ...list(word("songs.presets"), presets, (name) => result(store.request({ do: "preset", name }))),
      make("h3", {}, make("label", { htmlFor: "changes", textContent: word("songs.changes") })),
      changes, apply, report,
    );
  });
}

/** The songs of the set in their order: each is gone to or left out; a new one is written as `chart.set` has it. */
function setList(store, charts, set, report) {
  const list = make("ol", { className: "set" });
  const songs = () => store.state.settings["chart.set"] ?? [];
  const change = (wanted, song = store.state.settings["chart.song"] ?? 1) =>
    set("chart", { set: wanted.length ? wanted : null, song });
  const leaveOut = (index) => {
    const song = store.state.settings["chart.song"] ?? 1;
    return change(songs().toSpliced(index, 1), index + 1 < song ? song - 1 : song); // the song that is played stays so
  };
  const draw = () => {
    if (list.dataset.shown === JSON.stringify([songs(), store.state.settings["chart.song"]])) return;
    list.dataset.shown = JSON.stringify([songs(), store.state.settings["chart.song"]]);
    list.replaceChildren(...songs().map((text, index) => {
      const go = button(`${index + 1}. ${text}`, () => store.request({ do: "chart", name: String(index + 1) }), report);
      if (store.state.settings["chart.song"] === index + 1) go.setAttribute("aria-current", "true");
      const leave = button("✕", () => leaveOut(index), report);
      leave.setAttribute("aria-label", word("songs.leave-out", { song: text }));
      return make("li", {}, go, leave);
    }));
  };
  const names = make("datalist", { id: "charts" }, ...charts.map((value) => make("option", { value })));
  const written = make("input", { id: "song-of-set", autocomplete: "off", spellcheck: false });
  written.setAttribute("list", names.id);
  const add = async () => {
    if (!written.value.trim()) return;
    await change([...songs(), written.value.trim()]);
    written.value = "";
  };
  written.addEventListener("keydown", (event) => event.key === "Enter" && reported(add, report));
  endListening();
  const ends = ["status", "changed"].map((name) => store.on(name, draw));
  endListening = () => ends.forEach((end) => end());
  draw();
  return [
    make("h3", { textContent: word("songs.set") }), list,
    make("p", { className: "buttons" }, make("label", { htmlFor: written.id, textContent: word("songs.add.about") }),
      written, names, button(word("songs.add"), add, report)),
  ];
}

function ownChanges(chart) {
  return (chart?.bars ?? []).map((bar, index) => `${bar.join(" ")} |${index % 4 === 3 ? "\n" : " "}`).join("").trim();
}
