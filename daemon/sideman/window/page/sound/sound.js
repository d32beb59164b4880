// SPDX-License-Identifier: Apache-2.0
export function createSound() {
  return { start() {}, stop() {}, setVolume() {}, panic() {}, metronome() {} };
}
