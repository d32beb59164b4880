// SPDX-License-Identifier: Apache-2.0
// The one store: what the page knows of the daemon. Events of the control socket (version 2) come in through `receive`,
// which brings `state` up to date and then calls the handlers that `on` was given for that event.

import { createClock } from "./clock.js";

const PAST_BEATS = 64; // notes that ended longer ago are forgotten
const NOTES = 2000; // of each player at most: beats may stand still, or more may come than anybody can see
const LOG_LINES = 200;
const LATE_NOTES = 500; // from which the histogram is made

/** What the page knows before the daemon has said anything. */
function emptyState() {
  return {
    connection: { open: false, code: 0, reason: "" },
    version: 0, // of the protocol that the daemon speaks
    status: null,
    settings: {},
    chart: null,
    top: 0,
    notes: new Map(), // the band's, by number: planned, sounding and past
    heard: [], // the player's; `end` is null while a key is held
    choices: null,
    ports: { text: "", ports: [] },
    late: [], // milliseconds from the strike of a note to its message, of the last notes
    log: [],
  };
}

export function createStore() {
  const handlers = new Map();
  const clock = createClock();
  const store = {
    state: emptyState(),
    clock,

    /** Call `handler` with each event called `name`. Returns a function that ends this. */
    on(name, handler) {
      if (!handlers.has(name)) handlers.set(name, new Set());
      handlers.get(name).add(handler);
      return () => handlers.get(name).delete(handler);
    },

    emit(name, event = {}) {
      for (const handler of handlers.get(name) ?? []) handler(event);
    },

    /** Take in an event of the daemon. */
    receive(event) {
      REDUCERS[event.event]?.(store.state, event, clock);
      store.emit(event.event, event);
    },

    /** Send a request such as {do: "mode", mode: "trade"}. Its result, or an Error with the daemon's reason. */
    request() {
      return Promise.reject(new Error("not connected"));
    },

    /** The connection has opened or closed, or could not be opened again. When one ends, all falls silent: `ended`. */
    setConnection(connection) {
      const ended = store.state.connection.open && !connection.open;
      store.state.connection = connection;
      if (ended) {
        store.state.notes.clear();
        store.state.heard = [];
        store.state.choices = null;
        store.emit("ended");
      }
      store.emit("connection", connection);
    },
  };
  return store;
}

/** What a setting can be, where the daemon allows some words: "solo, trade or off". */
export async function readChoices(store, key) {
  const { allowed } = await store.request({ do: "get", key });
  return allowed.split(/, | or /);
}

// -- how each event changes the state

/** Put a note of the band's; the oldest goes if there are too many. */
function put(notes, event, planned) {
  notes.set(event.note, { ...event, planned });
  if (notes.size > NOTES) notes.delete(notes.keys().next().value);
}

function forget(state, beat) {
  for (const [number, note] of state.notes) {
    if (note.beat + (note.beats ?? 0) < beat - PAST_BEATS || note.beat > beat + PAST_BEATS) state.notes.delete(number);
  }
  state.heard = state.heard.filter((note) => note.end === null || note.end > beat - PAST_BEATS);
}

const REDUCERS = {
  chart(state, event) {
    state.chart = event;
  },
  status(state, event) {
    state.status = event;
    state.top = event.top;
    Object.assign(state.settings, event.settings);
  },
  beat(state, event) {
    state.top = event.top;
    if (state.status) Object.assign(state.status, { ...event, event: "status" });
    forget(state, event.beat);
  },
  tempo(state, event, clock) {
    clock.setTempo(event);
    if (state.status) Object.assign(state.status, { bpm: event.bpm, rolling: event.rolling });
  },
  changed(state, event) {
    Object.assign(state.settings, event.values);
    if (state.status) Object.assign(state.status.settings, event.values);
  },
  mode(state, event) {
    if (state.status) state.status.mode = event.mode;
  },
  doing(state, event) {
    if (state.status) state.status.doing = event.doing;
  },
  timing(state, event) {
    if (state.status) Object.assign(state.status, { ...event, event: "status" });
  },
  coming(state, event) {
    if (event.note !== undefined && event.note !== null) put(state.notes, event, true);
  },
  taken_back(state, event) {
    for (const number of event.notes) if (state.notes.get(number)?.planned) state.notes.delete(number);
  },
  played(state, event, clock) {
    state.late.push((clock.now() - event.second) * 1000);
    if (state.late.length > LATE_NOTES) state.late.shift();
    put(state.notes, event, false);
  },
  released(state, event, clock) {
    const note = state.notes.get(event.note);
    if (note) note.beats = Math.min(note.beats, Math.max(0, clock.beatAt(event.second) - note.beat));
  },
  heard(state, event) {
    for (const note of state.heard) if (note.end === null && note.pitch === event.pitch) note.end = event.beat;
    if (event.on) state.heard.push({ ...event, end: null });
    if (state.heard.length > NOTES) state.heard.shift();
  },
  choices(state, event) {
    state.choices = event;
  },
  ports(state, event) {
    state.ports = event;
  },
  log(state, event) {
    state.log.push(event);
    if (state.log.length > LOG_LINES) state.log.shift();
  },
};
