// SPDX-License-Identifier: Apache-2.0
// Makes elements. Text is always set as text, never as HTML.

export const SPOKEN = ["off", "turns", "chords"]; // to a screen reader, from nothing to the most
export const KEPT_SPOKEN = "sideman.spoken";

/** An element with properties, attributes (names with a hyphen, and `role`), and children: elements or texts. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** A button that does something; a refusal of the daemon stands in `report`, if it is given. */
export function button(text, action, report = null) {
  return make("button", { type: "button", textContent: text, onclick: () => reported(action, report) });
}

/** Do `action`; show what it refuses in the element `report`. */
export async function reported(action, report) {
  if (report) report.textContent = "";
  try {
    await action();
  } catch (error) {
    if (report) report.textContent = error.message;
  }
}

/** The content of a panel; `fill` is called with it when it is opened, and when the connection opens meanwhile. */
export function panel(store, name, fill) {
  const details = document.getElementById(`panel-${name}`);
  const content = details.lastElementChild;
  const fillIfShown = async () => {
    if (!details.open || !store.state.connection.open) return;
    try {
      await fill(content);
    } catch (error) {
      content.replaceChildren(make("p", { className: "report", textContent: error.message }));
    }
  };
  details.addEventListener("toggle", fillIfShown);
  store.on("connection", fillIfShown);
  return content;
}

/** Let an element show a text. What it shows already is left alone: a new text costs memory and a new layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show a line of text in its element, which is hidden while there is none. */
export function say(element, text) {
  setText(element, text);
  element.hidden = text === "";
}

/** Give `list` a row for each of `items`: `makeRow()` makes one, `fillRow(row, item)` fills it. Rows are used again. */
export function fillRows(list, items, makeRow, fillRow) {
  while (list.childElementCount > items.length) list.lastElementChild.remove();
  while (list.childElementCount < items.length) list.append(makeRow());
  items.forEach((item, index) => fillRow(list.children[index], item));
}

/** Say it to a screen reader, politely, if so much is to be spoken: `least` is of SPOKEN. Returns whether it was said. */
export function speak(text, least = "turns") {
  const wanted = SPOKEN.indexOf(spoken()) >= SPOKEN.indexOf(least);
  if (wanted) document.getElementById("spoken").textContent = text;
  return wanted;
}

/** How much is spoken. */
export function spoken() {
  const kept = localStorage.getItem(KEPT_SPOKEN);
  return SPOKEN.includes(kept) ? kept : "turns";
}
