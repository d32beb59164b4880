// SPDX-License-Identifier: Apache-2.0
// The MIDI ports and who is connected; how late notes leave and, apart from that, how late the page learns of them:
// histograms; the counts.

import { make, say, setText } from "../dom.js";
import { word } from "../words.js";

const EDGES = { sent: [0.5, 1, 2, 5, 10, 20], learned: [2, 5, 10, 20, 50, 100, 200] }; // milliseconds
const REFRESH_MS = 1000;

export function showPorts(store) {
  const details = document.getElementById("panel-ports");
  const about = make("p");
  const rows = make("tbody");
  const counts = make("p");
  const heads = ["ports.setting", "ports.name", "ports.state", "ports.listeners"];
  const histograms = Object.entries(EDGES).map(([name, edges]) => ({ name, edges, list: histogram(edges) }));
  details.lastElementChild.append(
    about,
    make("table", { className: "facts" },
      make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col", textContent: word(head) })))), rows),
    ...histograms.flatMap(({ name, list }) => [
      make("h3", { textContent: word(`late.${name}`) }),
      make("p", { textContent: word(`late.${name}.about`) }),
      list,
    ]),
    counts,
  );
  const showCounts = () => {
    if (!details.open) return;
    for (const { name, edges, list } of histograms) count(store.state.late[name], edges, list);
    const { status } = store.state;
    say(counts, status ? word("counts", status) : "");
  };
  const draw = () => {
    if (!details.open) return;
    const { ports } = store.state;
    say(about, ports.text ?? "");
    rows.replaceChildren(...(ports.ports ?? []).map((port) =>
      make("tr", {},
        make("th", { scope: "row", textContent: port.setting }),
        make("td", { textContent: port.name }),
        make("td", { textContent: port.open ? word("ports.open") : port.why || word("ports.closed") }),
        make("td", { textContent: port.listeners.join(", ") || word("ports.alone") }))));
    showCounts();
  };
  details.addEventListener("toggle", draw);
  for (const name of ["ports", "connection"]) store.on(name, draw);
  setInterval(showCounts, REFRESH_MS);
}

/** A list with a bar for each of the spans of milliseconds that end at `edges`, and for what is later. */
function histogram(edges) {
  const words = [...edges.map((ms) => word("late.below", { ms })), word("late.above", { ms: edges.at(-1) })];
  return make("ul", { className: "bars" }, ...words.map((text) =>
    make("li", {}, make("span", { textContent: text }), make("meter", { min: 0, "aria-label": text }), make("span"))));
}

/** Show in a list of `histogram` how many of `late` (milliseconds) are in each span. */
function count(late, edges, list) {
  [...edges, Infinity].forEach((edge, index) => {
    const number = late.filter((ms) => ms < edge && (index === 0 || ms >= edges[index - 1])).length;
    const [, bar, shown] = list.children[index].children;
    bar.max = Math.max(1, late.length);
    bar.value = number;
    setText(shown, String(number));
  });
}
