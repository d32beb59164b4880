// SPDX-License-Identifier: Apache-2.0
// Time: seconds of the daemon's clock, milliseconds of performance.now(), and beats, which lie on a straight line.

const DRIFT = 5e-5; // by how much the two clocks may run apart; on one machine they are the same
const GRAIN_MS = 0.1; // what browsers round their clock to, at best

export function createClock(milliseconds = () => performance.now()) {
  // The daemon's milliseconds minus ours lie between these two: each answer says so, as it was made while we waited.
  // What all answers have said holds, so one that was slow moves nothing, and a quick one counts for long.
  let bounds = null; // {low, high, at}
  let tempo = null;
  const offset = () => (bounds ? (bounds.low + bounds.high) / 2 : 0);
  const clock = {
    /** Whether the offset has been measured. */
    get isSet() {
      return bounds !== null;
    },
    get tempo() {
      return tempo;
    },
    setTempo(event) {
      tempo = event;
    },
    /** Milliseconds of performance.now() at a second of the daemon's clock. */
    toLocal(second) {
      return second * 1000 - offset();
    },
    /** The second of the daemon's clock at these milliseconds of performance.now(); now, if none are given. */
    now(local = milliseconds()) {
      return (local + offset()) / 1000;
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
      [bounds, tempo] = [null, null];
    },
    /** Ask the daemon for its time. */
    async measure(request) {
      const sent = milliseconds();
      const { second } = await request({ do: "clock" });
      const received = milliseconds();
      const [low, high] = [second * 1000 - received - GRAIN_MS, second * 1000 - sent + GRAIN_MS];
      const older = bounds ? DRIFT * (received - bounds.at) : Infinity;
      const both = { low: Math.max(low, (bounds?.low ?? 0) - older), high: Math.min(high, (bounds?.high ?? 0) + older), at: received };
      bounds = both.low <= both.high ? both : { low, high, at: received }; // else a clock was set, or the machine has slept
    },
  };
  return clock;
}
