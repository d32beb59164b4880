// SPDX-License-Identifier: Apache-2.0
// The MIDI ports and who is connected, and how late the page learns of notes: a histogram; the counts.

import { make } from "../dom.js";
import { word } from "../words.js";

const EDGES = [2, 5, 10, 20, 50, 100, 200]; // milliseconds
const REFRESH_MS = 1000;

export function showPorts(store) {
  const details = document.getElementById("panel-ports");
  const draw = () => {
    if (!details.open) return;
    const { ports, status } = store.state;
    const rows = (ports.ports ?? []).map((port) =>
      make("tr", {},
        make("th", { scope: "row", textContent: port.setting }),
        make("td", { textContent: port.name }),
        make("td", { textContent: port.open ? word("ports.open") : port.why || word("ports.closed") }),
        make("td", { textContent: port.listeners.join(", ") || word("ports.alone") })));
    const heads = ["ports.setting", "ports.name", "ports.state", "ports.listeners"];
    details.lastElementChild.replaceChildren(
      make("p", { textContent: ports.text }),
      make("table", { className: "facts" },
        make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col", textContent: word(head) })))),
        make("tbody", {}, ...rows)),
      make("h3", { textContent: word("late.title") }),
      histogram(store.state.late),
      make("p", { textContent: status ? word("counts", status) : "" }),
    );
  };
  details.addEventListener("toggle", draw);
  for (const name of ["ports", "connection"]) store.on(name, draw);
  setInterval(draw, REFRESH_MS);
}

function histogram(late) {
  const counts = [...EDGES, Infinity].map((edge, index) => late.filter((ms) => ms < edge && (index === 0 || ms >= EDGES[index - 1])).length);
  const rows = counts.map((count, index) => {
    const text = index < EDGES.length ? word("late.below", { ms: EDGES[index] }) : word("late.above", { ms: EDGES.at(-1) });
    return make("li", {}, make("span", { textContent: text }),
      make("meter", { min: 0, max: Math.max(1, late.length), value: count, "aria-label": text }), make("span", { textContent: String(count) }));
  });
  return make("ul", { className: "bars" }, ...rows);
}
