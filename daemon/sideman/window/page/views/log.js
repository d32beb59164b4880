// SPDX-License-Identifier: Apache-2.0
// The log of the daemon, the newest line first.

import { make } from "../dom.js";

export function showLog(store) {
  const details = document.getElementById("panel-log");
  const list = make("ol", { className: "log" });
  details.lastElementChild.append(list);
  let asked = 0;
  const draw = () => {
    asked = 0;
    list.replaceChildren(...store.state.log.toReversed().map(({ level, text }) =>
      make("li", { className: level }, level === "info" ? text : `${level}: ${text}`)));
  };
  const ask = () => {
    if (details.open) asked ||= setTimeout(draw, 100);
  };
  details.addEventListener("toggle", ask);
  store.on("log", ask);
}
