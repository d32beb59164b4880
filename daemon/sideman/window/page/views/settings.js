// SPDX-License-Identifier: Apache-2.0
// All settings, as the daemon describes them. What it refuses stands beside the setting, in the daemon's words.

import { make, panel } from "../dom.js";
import { word } from "../words.js";

export function showSettings(store) {
  const rows = new Map();
  panel(store, "settings", async (content) => {
    const settings = await store.request({ do: "get" });
    const search = make("input", { type: "search", id: "search", autocomplete: "off" });
    const groups = new Map();
    rows.clear();
    for (const [key, setting] of Object.entries(settings)) {
      const group = key.split(".")[0];
      if (!groups.has(group)) groups.set(group, make("fieldset", {}, make("legend", { textContent: group })));
      rows.set(key, rowOf(store, key, setting));
      groups.get(group).append(rows.get(key).element);
    }
    search.addEventListener("input", () => {
      for (const { element, text } of rows.values()) element.hidden = !text.includes(search.value.toLowerCase());
      for (const group of groups.values()) group.hidden = !group.querySelector(".setting:not([hidden])");
    });
    content.replaceChildren(make("label", { htmlFor: "search", textContent: word("settings.search") }), search, ...groups.values());
  });
  store.on("changed", ({ values }) => {
    for (const [key, value] of Object.entries(values)) rows.get(key)?.show(value);
  });
}

function rowOf(store, key, setting) {
  const [id, about, error] = [`setting-${key}`, `about-${key}`, `error-${key}`];
  const isSwitch = setting.allowed === "true or false";
  const isLong = !isSwitch && written(setting.value).includes("\n");
  const input = make(isLong ? "textarea" : "input", { id, "aria-describedby": `${about} ${error}`, disabled: !setting.live });
  if (!isLong) input.type = isSwitch ? "checkbox" : "text";
  if (!isSwitch) Object.assign(input, { spellcheck: false, autocomplete: "off" });
  const show = (value) => {
    if (isSwitch) input.checked = value === true;
    else if (document.activeElement !== input) input.value = written(value);
  };
  const problem = make("p", { id: error, className: "report", role: "alert" });
  input.addEventListener("change", async () => {
    try {
      const { changed } = await store.request({ do: "set", key, value: isSwitch ? input.checked : input.value });
      problem.textContent = "";
      input.removeAttribute("aria-invalid");
      if (key in changed) input.value = written(changed[key]);
    } catch (refusal) {
      problem.textContent = refusal.message;
      input.setAttribute("aria-invalid", "true");
    }
  });
  show(setting.value);
  const facts = [
    setting.about,
    word("settings.allowed", { allowed: setting.allowed, standard: written(setting.default) }),
    setting.live ? "" : word("settings.restart"),
  ];
  const element = make("div", { className: "setting" }, make("label", { htmlFor: id, textContent: key }), input,
    make("p", { id: about, textContent: facts.filter(Boolean).join(" ") }), problem);
  return { element, show, text: `${key} ${setting.about}`.toLowerCase() };
}

/** A value as it is written on the command line. */
function written(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
