// SPDX-License-Identifier: Apache-2.0
// Time: seconds of the daemon's clock, milliseconds of performance.now(), and beats, which lie on a straight line.

const SAMPLES = 8;

export function createClock() {
  let samples = []; // [round trip in ms, daemon's ms minus ours]
  let offset = null;
  let tempo = null;
  const clock = {
    /** Whether the offset has been measured. */
    get isSet() {
      return offset !== null;
    },
    get tempo() {
      return tempo;
    },
    setTempo(event) {
      tempo = event;
    },
    /** Milliseconds of performance.now() at a second of the daemon's clock. */
    toLocal(second) {
      return second * 1000 - (offset ?? 0);
    },
    /** The second of the daemon's clock at these milliseconds of performance.now(); now, if none are given. */
    now(local = performance.now()) {
      return (local + (offset ?? 0)) / 1000;
    },
    /** The beat at a second of the daemon's clock. */
    beatAt(second) {
      if (!tempo) return 0;
      return tempo.rolling ? tempo.beat + ((second - tempo.second) * tempo.bpm) / 60 : tempo.beat;
    },
    /** The second of the daemon's clock on which a beat falls. */
    secondOf(beat) {
      return tempo ? tempo.second + ((beat - tempo.beat) * 60) / tempo.bpm : 0;
    },
    /** Forget what was measured: another daemon may have another clock. */
    reset() {
      [samples, offset, tempo] = [[], null, null];
    },
    /** Ask the daemon for its time; of the last answers the one that came fastest counts. */
    async measure(request) {
      const sent = performance.now();
      const { second } = await request({ do: "clock" });
      const received = performance.now();
      samples = [...samples.slice(1 - SAMPLES), [received - sent, second * 1000 - (sent + received) / 2]];
      offset = samples.reduce((best, each) => (each[0] < best[0] ? each : best))[1];
    },
  };
  return clock;
}
