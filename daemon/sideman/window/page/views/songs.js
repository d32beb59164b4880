// SPDX-License-Identifier: Apache-2.0
// What to play: the charts and the presets that the daemon knows, and changes that you write yourself.

import { button, make, panel, reported } from "../dom.js";
import { word } from "../words.js";

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
      ...list(word("songs.charts"), charts, (name) => set("chart.file", name)),
      ...list(word("songs.presets"), presets, (name) => result(store.request({ do: "preset", name }))),
      make("h3", {}, make("label", { htmlFor: "changes", textContent: word("songs.changes") })),
      changes, apply, report,
    );
  });
}

function ownChanges(chart) {
  return (chart?.bars ?? []).map((bar, index) => `${bar.join(" ")} |${index % 4 === 3 ? "\n" : " "}`).join("").trim();
}
