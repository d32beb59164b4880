// SPDX-License-Identifier: Apache-2.0
// How it plays: six native sliders, each with words for where it stands, and a button that learns a knob for it; and
// settings that are chosen among words.

import { button, make, reported } from "../dom.js";
import { readChoices } from "../store.js";
import { word, wordIfAny } from "../words.js";

// The words of a slider: sliders.KEY.0, .1, … from the least to the most, spread over its range.
const SLIDERS = [
  { key: "play.temperature", least: 0, most: 2, step: 0.05 },
  { key: "play.density", least: 0, most: 2, step: 0.05 },
  { key: "play.harmony", least: 0, most: 2, step: 0.05 },
  { key: "play.contour", least: 0, most: 2, step: 0.05 },
  { key: "play.gate", least: 0.1, most: 1, step: 0.05 },
  { key: "play.velocity", least: 20, most: 127, step: 1 },
];
const PICKERS = ["play.style", "play.rate"]; // the words: choice.KEY, and choice.KEY.WORD for each that is allowed

export function showSliders(store) {
  const list = document.getElementById("sliders");
  for (const slider of SLIDERS) list.append(sliderOf(store, slider));
  for (const key of PICKERS) list.append(pickerOf(store, key));
}

function pickerOf(store, key) {
  const report = make("p", { className: "report", role: "alert" });
  const select = make("select", { id: `choice-${key}`, disabled: true });
  const update = () => {
    select.disabled = !store.state.connection.open;
    select.value = store.state.settings[key] ?? "";
  };
  const fill = async () => {
    if (store.state.connection.open) {
      const names = await readChoices(store, key);
      select.replaceChildren(...names.map((value) =>
        make("option", { value, textContent: wordIfAny(`choice.${key}.${value}`) ?? value })));
    }
    update();
  };
  select.addEventListener("change", async () => {
    await reported(() => store.request({ do: "set", key, value: select.value }), report);
    if (report.textContent) update();
  });
  for (const event of ["status", "changed"]) store.on(event, update);
  store.on("connection", () => reported(fill, report));
  const name = make("label", { htmlFor: select.id, textContent: word(`choice.${key}`) });
  return make("div", { className: "slider" }, name, select, report);
}

function sliderOf(store, { key, least, most, step }) {
  const name = word(`slider.${key}`);
  const shown = make("span", { className: "value", "aria-hidden": "true" }); // the slider says the same
  const report = make("p", { className: "report", role: "status" });
  const input = make("input", { type: "range", min: least, max: most, step, id: `slider-${key}`, disabled: true });
  const say = () => {
    const words = Array.from({ length: 5 }, (_, index) => wordIfAny(`slider.${key}.${index}`)).filter(Boolean);
    const share = (input.value - least) / (most - least);
    const text = words[Math.min(words.length - 1, Math.floor(share * words.length))] ?? "";
    shown.textContent = `${text} ${input.value}`;
    input.setAttribute("aria-valuetext", `${text}, ${input.value}`);
  };
  const update = () => {
    const value = store.state.settings[key];
    input.disabled = typeof value !== "number" || !store.state.connection.open;
    if (typeof value === "number" && !isMoved && !isSending) {
      input.value = value;
      say();
    }
  };

  // One request at a time; while it is on its way only the last position counts, and no older value moves the slider.
  let isMoved = false;
  let isSending = false;
  const send = async () => {
    if (isSending) return;
    isSending = true;
    for (let sent = null; sent !== input.value; ) {
      sent = input.value;
      await reported(() => store.request({ do: "set", key, value: Number(sent) }), report);
    }
    isSending = false;
  };
  input.addEventListener("input", () => {
    isMoved = true;
    say();
    send();
  });
  input.addEventListener("change", () => {
    isMoved = false;
  });
  const learn = button(word("learn"), () => store.request({ do: "learn", key }).then(() => {
    report.textContent = word("learn.move");
  }), report);
  learn.setAttribute("aria-label", word("learn.for", { name }));
  store.on("learned", ({ binding, target }) => {
    if (target === key || target.startsWith(`${key} `)) report.textContent = word("learn.done", { binding });
  });
  for (const event of ["status", "changed", "connection"]) store.on(event, update);
  return make("div", { className: "slider" }, make("label", { htmlFor: input.id, textContent: name }), shown, input, learn, report);
}
