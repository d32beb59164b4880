// SPDX-License-Identifier: Apache-2.0
// All words of the page, in one file for each language.

export const LANGUAGES = { en: "English", zh: "中文" };
const KEY = "sideman.language";
let words = {};

export function language() {
  const wanted = localStorage.getItem(KEY) ?? navigator.language.slice(0, 2);
  return wanted in LANGUAGES ? wanted : "en";
}

export function chooseLanguage(name) {
  localStorage.setItem(KEY, name);
  location.reload();
}

export async function loadWords() {
  const [english, own] = await Promise.all(["en", language()].map(read));
  words = { ...english, ...own }; // what is not translated yet stays English
  document.documentElement.lang = language();
}

async function read(name) {
  return (await fetch(`words/${name}.json`)).json();
}

/** The words for `key`, with `{name}` replaced by `values.name`. */
export function word(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** The words for `key`; null if there are none. */
export function wordIfAny(key) {
  return words[key] ?? null;
}
