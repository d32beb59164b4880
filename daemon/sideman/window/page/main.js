// SPDX-License-Identifier: Apache-2.0
// Puts the page together: words, the store, the connection, and a view for each part of the page.

import { connect } from "./connection.js";
import { createStore } from "./store.js";
import { loadWords, word } from "./words.js";
import { createSound } from "./sound/sound.js";
import { showCard } from "./views/card.js";
import { showChart } from "./views/chart.js";
import { showChoices } from "./views/choices.js";
import { listenToKeys } from "./views/keys.js";
import { showLog } from "./views/log.js";
import { showMixer } from "./views/mixer.js";
import { showNow } from "./views/now.js";
import { showOptions } from "./views/options.js";
import { showPlaying } from "./views/playing.js";
import { showPorts } from "./views/ports.js";
import { showRoll } from "./views/roll.js";
import { showSettings } from "./views/settings.js";
import { showSliders } from "./views/sliders.js";
import { showSongs } from "./views/songs.js";
import { showTakes } from "./views/takes.js";
import { showTransport } from "./views/transport.js";
import { showTrouble } from "./views/trouble.js";

await loadWords();
for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
for (const element of document.querySelectorAll("[data-word-label]")) {
  element.setAttribute("aria-label", word(element.dataset.wordLabel));
}

const store = createStore();
const sound = createSound(store);
const views = [
  showTrouble, showTransport, showNow, showChart, showRoll, showPlaying, showSliders, showChoices, showMixer, showSongs,
  showTakes, showPorts, showSettings, showCard, showLog, showOptions, listenToKeys,
];
for (const show of views) show(store, sound);
connect(store);

// A button that was clicked gives up the focus, so that Space starts and stops; one that was pressed by a key keeps it.
document.addEventListener("click", (event) => event.detail > 0 && event.target.closest("button")?.blur());
