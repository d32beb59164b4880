// SPDX-License-Identifier: Apache-2.0
// The card of the network that plays: what it learned from, its licence, how well it predicts.

import { make, panel } from "../dom.js";

export function showCard(store) {
  panel(store, "card", async (content) => {
    const { bundle, seed } = store.state.status ?? {};
    const text = await store.request({ do: "card" }).then(({ card }) => card, (error) => error.message);
    content.replaceChildren(
      make("p", { textContent: bundle ? `${bundle} · seed ${seed}` : "" }),
      make("pre", { className: "text", textContent: text, tabIndex: 0 }),
    );
  });
}
