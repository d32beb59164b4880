// SPDX-License-Identifier: Apache-2.0
// From performance.now() to the seconds of an AudioContext, so that a sound leaves the loudspeaker at that millisecond.

const READINGS = 9;
const APART_MS = 20;
const JUMP_S = 0.002; // the device has stood still or changed, or the machine has slept: begin again

export class AudioClock {
  constructor(context, now = () => performance.now()) {
    this.context = context;
    this.now = now;
    this.readings = [];
    this.read = -Infinity;
    this.strange = null;
  }

  /** The second of the context at which a sound has to start in order to be heard at `ms`. */
  at(ms) {
    const now = this.now();
    if (now - this.read >= APART_MS || !this.readings.length) {
      this.read = now;
      this.#add(this.#offset(now));
    }
    return ms / 1000 + median(this.readings);
  }

  /** How long after it was scheduled for 'now' a sound leaves the loudspeaker, in milliseconds. */
  latencyMs() {
    return Math.max(0, 1000 * (this.context.currentTime - this.at(this.now())));
  }

  #add(offset) {
    if (this.readings.length && Math.abs(offset - median(this.readings)) > JUMP_S) {
      const again = this.strange !== null && Math.abs(offset - this.strange) <= JUMP_S;
      this.strange = offset;
      if (!again) return; // one strange reading is a mistake of the browser's, two that agree are not
      this.readings.length = 0;
    }
    this.strange = null;
    this.readings.push(offset);
    if (this.readings.length > READINGS) this.readings.shift();
  }

  /** Context seconds less performance seconds, of the sound that is at the loudspeaker. */
  #offset(now) {
    const stamp = this.context.getOutputTimestamp?.();
    if (stamp?.performanceTime > 0) return stamp.contextTime - stamp.performanceTime / 1000;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    return this.context.currentTime - latency - now / 1000;
  }
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : 0;
}
