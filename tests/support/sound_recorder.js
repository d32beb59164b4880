// SPDX-License-Identifier: Apache-2.0
// Posts what it hears in blocks, each with the frame of its first sample. For tests: the page itself needs no worklet.

const BLOCK = 4096;

registerProcessor(
  "recorder",
  class extends AudioWorkletProcessor {
    wave = new Float32Array(BLOCK);
    filled = 0;
    frame = 0;

    process([[channel]]) {
      if (!this.filled) this.frame = currentFrame;
      if (channel) this.wave.set(channel, this.filled);
      else this.wave.fill(0, this.filled, this.filled + 128);
      this.filled += 128;
      if (this.filled === BLOCK) {
        this.port.postMessage({ frame: this.frame, wave: this.wave.slice() });
        this.filled = 0;
      }
      return true;
    }
  },
);
