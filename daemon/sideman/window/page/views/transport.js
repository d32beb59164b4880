// SPDX-License-Identifier: Apache-2.0
// What is always at hand: hear it, start and stop, the modes, the tempo, again, panic.

import { make, say, setText, speak } from "../dom.js";
import { readChoices } from "../store.js";
import { word, wordIfAny } from "../words.js";

const byId = (id) => document.getElementById(id);

/** What the buttons and the keys do. */
export function transportActions(store, sound) {
  const trouble = byId("trouble");
  const ask = async (fields) => {
    if (!store.state.connection.open) return;
    try {
      await store.request(fields);
      say(trouble, "");
    } catch (error) {
      if (store.state.connection.open) say(trouble, error.message);
    }
  };
  return {
    startOrStop: () => ask({ do: store.state.status?.rolling ? "stop" : "start" }),
    changeMode: (mode) => ask({ do: "mode", mode }),
    tap: () => ask({ do: "tap" }),
    again: () => ask({ do: "again" }),
    next: () => ask({ do: "next" }),
    panic: () => {
      sound.panic();
      return ask({ do: "panic" });
    },
  };
}

export function showTransport(store, sound) {
  const actions = transportActions(store, sound);
  byId("roll-or-stop").onclick = actions.startOrStop;
  byId("tap").onclick = actions.tap;
  byId("again").onclick = actions.again;
  byId("next").onclick = actions.next;
  byId("panic").onclick = actions.panic;

  let sounds = false;
  byId("hear").onclick = async () => {
    if (sounds) {
      sound.stop();
      store.emit("sound", { on: false, problem: null });
      return;
    }
    if (store.state.status && !store.state.status.rolling) actions.startOrStop(); // loads while it counts in
    store.emit("sound", await sound.start());
  };
  store.on("sound", ({ on, problem }) => {
    sounds = on;
    byId("hear").setAttribute("aria-pressed", on);
    byId("hear").textContent = word(on ? "mute" : "hear");
    document.body.classList.toggle("sounds", on);
    if (problem) say(byId("trouble"), word(`trouble.sound.${problem}`));
  });

  const showModes = async () => {
    if (!store.state.connection.open) return;
    const modes = await readChoices(store, "play.mode");
    byId("modes").replaceChildren(
      ...modes.map((mode, index) =>
        make("button", {
          type: "button",
          textContent: wordIfAny(`mode.${mode}`) ?? mode,
          title: wordIfAny(`mode.${mode}.about`) ?? "",
          value: mode,
          "aria-keyshortcuts": String(index + 1),
          onclick: () => actions.changeMode(mode),
        }),
      ),
    );
    update();
  };
  const update = () => {
    const status = store.state.status;
    const rolls = Boolean(status?.rolling) && !status.waiting;
    setText(byId("roll-or-stop"), word(rolls ? "stop" : "start"));
    for (const each of byId("modes").children) each.setAttribute("aria-pressed", each.value === status?.mode);
    setText(byId("tempo"), status ? word("bpm", { bpm: Math.round(status.bpm) }) : "");
    byId("next").hidden = !store.state.settings["chart.set"]?.length;
    for (const each of document.querySelectorAll("#transport button")) each.disabled = !store.state.connection.open;
  };
  store.on("connection", () => {
    update();
    showModes().catch(() => {});
  });
  for (const name of ["status", "changed", "tempo"]) store.on(name, update);
  store.on("mode", ({ mode }) => {
    update();
    speak(word("spoken.mode", { mode: wordIfAny(`mode.${mode}`) ?? mode }));
  });
  update();
}
