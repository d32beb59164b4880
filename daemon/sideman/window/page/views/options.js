// SPDX-License-Identifier: Apache-2.0
// About this page: its language, what is spoken to a screen reader, the keys.

import { make } from "../dom.js";
import { LANGUAGES, chooseLanguage, language, word } from "../words.js";

const SPOKEN = "sideman.spoken";

export function showOptions() {
  const content = document.getElementById("panel-page").lastElementChild;
  const languages = make("select", { id: "language" }, ...Object.entries(LANGUAGES).map(([value, text]) =>
    make("option", { value, textContent: text, selected: value === language() })));
  languages.addEventListener("change", () => chooseLanguage(languages.value));
  const spoken = make("input", { type: "checkbox", checked: localStorage.getItem(SPOKEN) !== "off" });
  spoken.addEventListener("change", () => localStorage.setItem(SPOKEN, spoken.checked ? "on" : "off"));
  content.append(
    make("p", { textContent: word("keys") }),
    make("p", {}, make("label", { htmlFor: "language", textContent: word("language") }), " ", languages),
    make("p", {}, make("label", {}, spoken, word("spoken"))),
  );
  if (!window.isSecureContext) content.append(make("p", { textContent: word("plain-http") }));
}
