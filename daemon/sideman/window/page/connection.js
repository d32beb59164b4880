// SPDX-License-Identifier: Apache-2.0
// The WebSocket to `sideman window`, which passes lines to and from the daemon. It is opened again when it closes.

const CLOSED_FOR_GOOD = [4003, 4004]; // the wrong token, another user: see bridge.py
const RETRY_MS = 1000;
const CLOCK_MS = 1000;
const CLOCK_TRIES = 5;

export function connect(store) {
  const token = location.hash.slice(1);
  const socket = new WebSocket(`ws://${location.host}/socket?token=${encodeURIComponent(token)}`);
  const waiting = new Map(); // the requests that were not answered yet, by id
  let number = 0;
  let timer = 0;

  const request = (fields) =>
    new Promise((resolve, reject) => {
      if (socket.readyState !== WebSocket.OPEN) {
        reject(new Error("not connected"));
        return;
      }
      number += 1;
      waiting.set(number, { resolve, reject });
      socket.send(JSON.stringify({ id: number, ...fields }));
    });

  const take = (message) => {
    if (message.event) {
      store.receive(message);
      return;
    }
    const asked = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.ok) asked?.resolve(message.result);
    else asked?.reject(new Error(message.error));
  };

  socket.addEventListener("open", async () => {
    store.request = request;
    store.clock.reset();
    try {
      store.state.version = await watch(store, request);
      store.setConnection({ open: true, code: 0, reason: "" });
      timer = setInterval(() => store.clock.measure(request).catch(() => {}), CLOCK_MS);
    } catch (error) {
      if (socket.readyState === WebSocket.OPEN) store.setConnection({ open: false, code: 0, reason: error.message });
    }
  });
  socket.addEventListener("message", ({ data }) => {
    for (const line of data.split("\n")) {
      const message = parsed(line);
      if (message) take(message);
    }
  });
  socket.addEventListener("close", ({ code, reason }) => {
    clearInterval(timer);
    for (const { reject } of waiting.values()) reject(new Error(reason || "not connected"));
    store.setConnection({ open: false, code, reason });
    if (!CLOSED_FOR_GOOD.includes(code)) setTimeout(connect, RETRY_MS, store);
  });
}

/** Begin to watch, in version 2 if the daemon speaks it. Returns the version. */
async function watch(store, request) {
  try {
    for (let tries = 0; tries < CLOCK_TRIES; tries += 1) await store.clock.measure(request);
    await request({ do: "watch", v: 2, choices: true });
    return 2;
  } catch {
    await request({ do: "watch" });
    return 1;
  }
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
