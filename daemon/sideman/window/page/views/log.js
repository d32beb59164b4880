// SPDX-License-Identifier: Apache-2.0
// The log of the daemon, the newest line first.

import { make } from "../dom.js";

export function showLog(store) {
  const details = document.getElementById("panel-log");
  const list = make("ol", { className: "log" });
  details.lastElementChild.append(list);
  let asked = 0;
  let newest = null; // of the lines that are shown
  const draw = () => {
    asked = 0;
    const { log } = store.state;
    const fresh = log.slice(log.indexOf(newest) + 1);
    newest = log.at(-1);
    if (fresh.length === log.length) list.replaceChildren();
    list.prepend(...fresh.toReversed().map(({ level, text }) =>
      make("li", { className: level }, level === "info" ? text : `${level}: ${text}`)));
    while (list.childElementCount > log.length) list.lastElementChild.remove();
  };
  const ask = () => {
    if (details.open) asked ||= setTimeout(draw, 100);
  };
  details.addEventListener("toggle", ask);
  store.on("log", ask);
}
