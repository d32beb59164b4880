// SPDX-License-Identifier: Apache-2.0
// About this page: its language, what is spoken to a screen reader, the keys.

import { KEPT_SPOKEN, SPOKEN, make, spoken } from "../dom.js";
import { LANGUAGES, chooseLanguage, language, word } from "../words.js";

export function showOptions() {
  const content = document.getElementById("panel-page").lastElementChild;
  const languages = make("select", { id: "language" }, ...Object.entries(LANGUAGES).map(([value, text]) =>
    make("option", { value, textContent: text, selected: value === language() })));
  languages.addEventListener("change", () => chooseLanguage(languages.value));
  const speech = make("select", { id: "speech" }, ...SPOKEN.map((value) =>
    make("option", { value, textContent: word(`speak.${value}`), selected: value === spoken() })));
  speech.addEventListener("change", () => localStorage.setItem(KEPT_SPOKEN, speech.value));
  content.append(
    make("p", { textContent: word("keys") }),
    make("p", {}, make("label", { htmlFor: "language", textContent: word("language") }), " ", languages),
    make("p", {}, make("label", { htmlFor: "speech", textContent: word("speak") }), " ", speech),
  );
  if (!window.isSecureContext) content.append(make("p", { textContent: word("plain-http") }));
}
