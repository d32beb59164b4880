// SPDX-License-Identifier: Apache-2.0
// Says in one line what is wrong with the connection; a page without a daemon is silent.

import { say } from "../dom.js";
import { word } from "../words.js";

const WORDS = { 4001: "gone", 4002: "absent", 4003: "token", 4004: "user" };

export function showTrouble(store) {
  const line = document.getElementById("trouble");
  store.on("connection", ({ open, code, reason }) => {
    document.body.classList.toggle("alone", !open);
    if (open) say(line, store.state.version === 1 ? word("trouble.old") : "");
    else say(line, code in WORDS ? word(`trouble.${WORDS[code]}`) : reason || word("trouble.window"));
  });
}
