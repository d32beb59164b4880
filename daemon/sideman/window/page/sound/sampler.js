// SPDX-License-Identifier: Apache-2.0
// Plays samples on AudioBufferSourceNodes: no worklet, so it plays where a page is not secure, on a phone in the LAN too.
// All times are seconds of the context. A voice is: source -> lowpass -> strike (attack, decay) -> fade (the end) -> part.

const ATTACK_S = 0.001; // no click where a sample is cut
const SHORTEST_S = 0.02;
const STEAL_S = 0.015;
const CHOKE_S = 0.03;
const SILENCE_S = 0.02;
const NOTHING = 1e-5; // 100 dB down; an exponential ramp cannot reach 0

export class Sampler {
  /** At most `polyphony` notes sound at once. */
  constructor(context, bank, polyphony = 48) {
    this.context = context;
    this.bank = bank;
    this.polyphony = polyphony;
    this.voices = new Set();
    this.parts = new Map();
    this.output = context.createGain();
  }

  /** The gain of a part, and its place from -1 (left) to 1. */
  setPart(name, gain, place) {
    const part = this.#part(name);
    if (part.pan) part.pan.pan.value = place;
    part.gain.gain.setTargetAtTime(gain, this.context.currentTime, 0.01);
  }

  /** Play a note at `at`, to its release at `end` (Infinity: till `release`); null if the instrument is not loaded. */
  play({ part, instrument, pitch, velocity, at, end = Infinity }) {
    const zone = this.bank.zone(instrument, pitch);
    if (!zone || velocity < 1) return null;
    at = Math.max(at, this.context.currentTime);
    this.#makeRoom(at);
    const voice = new Voice(this.context, zone, pitch, velocity, at, this.#part(part).gain);
    for (const other of zone.choke ? this.voices : []) {
      if (other.zone.choke !== zone.choke || !other.end) continue; // one that was stopped before it began plays no part
      if (other.at <= at) other.fade(at, CHOKE_S);
      else voice.fade(other.at, CHOKE_S);
    }
    this.voices.add(voice);
    voice.source.onended = () => this.voices.delete(voice.dropped());
    if (end < Infinity) voice.release(end);
    return voice;
  }

  /** All falls silent, what sounds and what is still to come. */
  silence() {
    for (const voice of this.voices) voice.fade(this.context.currentTime, SILENCE_S);
  }

  #part(name) {
    if (!this.parts.has(name)) {
      const gain = this.context.createGain();
      const pan = this.context.createStereoPanner?.();
      const last = pan ? gain.connect(pan) : gain;
      last.connect(this.output);
      this.parts.set(name, { gain, pan, last });
    }
    return this.parts.get(name);
  }

  /** End the quietest of those that sound at `at`, if there are too many. */
  #makeRoom(at) {
    const sounding = [...this.voices].filter((voice) => voice.at <= at && at < voice.end && !voice.isStolen);
    if (sounding.length < this.polyphony) return;
    const quietest = sounding.reduce((a, b) => (b.loudness(at) < a.loudness(at) ? b : a));
    quietest.fade(at, STEAL_S);
    quietest.isStolen = true; // it is ending, and must not be chosen for the next note too
  }
}

class Voice {
  constructor(context, zone, pitch, velocity, at, output) {
    this.context = context;
    this.zone = zone;
    this.at = at;
    this.isStolen = false;
    this.faded = null; // {at, over}: since when it fades, and how long a fall by 100 dB takes
    this.source = new AudioBufferSourceNode(context, { buffer: zone.buffer });
    this.source.playbackRate.value = 2 ** ((pitch - zone.root + zone.cents / 100) / 12);
    this.nodes = [this.source];
    if (zone.lowpass) this.nodes.push(new BiquadFilterNode(context, { frequency: brightness(zone.lowpass, velocity), Q: 0 }));
    this.nodes.push(new GainNode(context, { gain: 0 }), (this.ending = new GainNode(context)));
    this.nodes.reduce((from, to) => from.connect(to)).connect(output);
    this.level = (velocity / 127) ** 2 * 10 ** (zone.volume / 20);
    this.#strike(this.nodes.at(-2).gain);
    if (zone.loop) {
      this.source.loop = true;
      [this.source.loopStart, this.source.loopEnd] = zone.loop;
    }
    this.end = zone.loop ? Infinity : at + (zone.buffer.duration - zone.start) / this.source.playbackRate.value;
    this.source.start(at, zone.start);
  }

  #strike(gain) {
    const { hold = 0, decay, sustain } = this.zone;
    gain.setValueAtTime(0, this.at);
    gain.linearRampToValueAtTime(this.level, this.at + ATTACK_S);
    if (!decay) return;
    gain.setValueAtTime(this.level, this.at + ATTACK_S + hold);
    gain.exponentialRampToValueAtTime(this.level * 10 ** (-sustain / 20), this.at + ATTACK_S + hold + (decay * sustain) / 100);
  }

  /** Release it as this instrument is released; a key that is only tapped sounds too. */
  release(at) {
    this.fade(Math.max(at, this.at + SHORTEST_S), this.zone.release);
  }

  /** Fade by 100 dB in `over` seconds from `at` on; a note that has not begun by then never sounds. */
  fade(at, over) {
    at = Math.max(at, this.context.currentTime);
    if (at <= this.at) return this.#stop(0);
    if (this.faded && this.faded.at <= at && this.faded.at + this.faded.over <= at + over) return; // it ends before
    const gain = this.ending.gain;
    const value = this.#fading(at);
    gain.cancelScheduledValues(at);
    if (value < 1) gain.exponentialRampToValueAtTime(value, at);
    else gain.setValueAtTime(1, at);
    const last = at + over * (1 + Math.log10(value) / 5);
    gain.exponentialRampToValueAtTime(NOTHING, last);
    this.faded = { at, over, value };
    this.#stop(last);
  }

  /** How loud it is at `at`, roughly, to find the quietest. */
  loudness(at) {
    const { hold = 0, decay = Infinity, sustain = 0 } = this.zone;
    const fallen = Math.min(sustain, (100 * Math.max(0, at - this.at - hold)) / decay);
    return this.level * this.#fading(at) * 10 ** (-fallen / 20);
  }

  dropped() {
    for (const node of this.nodes) node.disconnect();
    return this;
  }

  #fading(at) {
    if (!this.faded || at <= this.faded.at) return 1;
    return Math.max(NOTHING, this.faded.value * NOTHING ** ((at - this.faded.at) / this.faded.over));
  }

  #stop(at) {
    this.end = Math.min(this.end, at);
    this.source.stop(at);
  }
}

/** The lowpass of a note: `lowpass` is that of velocity 64 and of 127. */
function brightness([soft, loud], velocity) {
  return soft * (loud / soft) ** (Math.min(1, Math.max(-0.5, (velocity - 64) / 63)));
}
