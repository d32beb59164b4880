// SPDX-License-Identifier: Apache-2.0
// The keys: Space, 1 to 5, T and Escape. What a control that has the focus needs itself is left to it.

import { transportActions } from "./transport.js";

export function listenToKeys(store, sound) {
  const actions = transportActions(store, sound);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if (event.key === "Escape") {
      actions.panic();
      return;
    }
    const types = event.target.matches("input:not([type=range], [type=checkbox]), textarea, select");
    if (types || (event.key === " " && event.target.matches("button, summary, a, input"))) return;
    if (event.key === " ") {
      event.preventDefault();
      actions.startOrStop();
    } else if (event.key.toLowerCase() === "t") {
      actions.tap();
    } else {
      const mode = document.querySelectorAll("#modes button")[Number(event.key) - 1];
      if (mode) actions.changeMode(mode.value);
    }
  });
}
