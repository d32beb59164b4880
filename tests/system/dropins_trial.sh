#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tries the files that allow more to the unit, each with a real systemd and what it is for: OSC, JACK, Link, fluidsynth and
# TensorFlow. For each it says how exposed systemd calls the unit with it, and whether its notes arrive.
#
# Run it as root on a machine that may be damaged and whose kernel has ALSA (an emulated one will do), with alsa-utils, the
# modules snd-seq, snd-aloop and dummy, and sideman in /opt/sideman as README says. What a file needs besides: jackd2,
# jack-example-tools and python-rtmidi; iproute2 and aalink; fluidsynth with a sound font; python-osc; tensorflow.
#
#     bash dropins_trial.sh [FILE …]       such as jack link; all of them without names
#
# It prints PASS, FAIL or SKIP for each trial; its status is 0 if nothing failed.
set -u

SIDEMAN=/opt/sideman/bin/sideman PYTHON=/opt/sideman/bin/python
CONFIG=/etc/sideman/config.yaml MORE=/etc/systemd/system/sideman.service.d
WORK=$(mktemp -d)
LONG=${LONG:-120} # seconds: against hanging only
FILES=$("$PYTHON" -c 'import sideman, pathlib; print(pathlib.Path(sideman.__file__).parent / "share" / "systemd")')
failures=0 file=''

try() { # WHAT COMMAND...
  local what="$file: $1"
  shift
  if "$@"; then echo "PASS $what"; else
    echo "FAIL $what"
    failures=$((failures + 1))
    journalctl -u sideman -o short-monotonic --no-pager | tail -n 8 | sed 's/^/     /'
  fi
}
soon() { # COMMAND...
  local end=$((SECONDS + LONG))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}
invocation() { systemctl show sideman -p InvocationID --value; }
said() { journalctl _SYSTEMD_INVOCATION_ID="$(invocation)" -o cat --no-pager; }
logged() { said | grep -q "$1"; }
is() { [ "$(systemctl show sideman -p "$1" --value)" = "$2" ]; }
settings() { printf '# written by dropins_trial.sh\nplay: {rests: 0, late_ms: 1000}\n%s\n' "$*" >"$CONFIG"; }
with() { # FILE [MORE LINES]: the unit with this file alone, and patience for a slow machine
  systemctl stop sideman
  rm -rf "$MORE"
  mkdir -p "$MORE"
  [ -z "$1" ] || sed 's/^User=you$/User=player/' "$FILES/$1.conf" >"$MORE/$1.conf"
  printf '[Service]\nTimeoutStartSec=400\nWatchdogSec=300\n%s\n' "${2:-}" >"$MORE/zz-trial.conf"
  systemctl daemon-reload
  file=${1:-the unit}
  systemd-analyze security --no-pager --threshold=100 sideman.service | tail -n 1 | sed "s/^/     $file: /"
}
start() { systemctl reset-failed sideman 2>/dev/null; systemctl start sideman && soon logged '^bar '; }
stops() { systemctl stop sideman && is Result success && is ExecMainStatus 0; }
notes() { # arrive from sideman's port of ALSA
  timeout "$LONG" stdbuf -oL aseqdump -p sideman:out >"$WORK/heard" 2>&1 &
  local ear=$! result
  soon grep -q 'Note on' "$WORK/heard"
  result=$?
  kill "$ear" 2>/dev/null
  return $result
}
works() { # it starts, its notes arrive by ALSA, and it stops
  try "it starts and plays" start
  try "its notes arrive" notes
  try "it stops with status 0" stops
}
has() { command -v "$1" >/dev/null || { echo "SKIP $2: no $1 here"; return 1; }; }
has_module() { "$PYTHON" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)" || { echo "SKIP $2: no $1 here"; return 1; }; }

plain() {
  with ''
  settings ''
  works
}

osc() {
  has_module pythonosc osc || return
  with osc
  settings 'control: {osc: 9001}'
  try "it starts and plays" start
  asks() {
    "$PYTHON" -c 'from pythonosc.udp_client import SimpleUDPClient as C; C("127.0.0.1", 9001).send_message("/sideman/play/velocity", 99)'
    soon logged 'play.velocity is 99'
  }
  try "it is steered by OSC" asks
  try "its notes arrive" notes
  try "it stops with status 0" stops
}

jack() {
  has jackd jack && has jack_midi_dump jack && has_module rtmidi jack || return
  id player >/dev/null 2>&1 || useradd --create-home player
  runuser -u player -- jackd --no-realtime -d dummy -r 48000 -p 1024 >"$WORK/jackd" 2>&1 &
  local server=$! ear=''
  soon runuser -u player -- jack_wait -c >/dev/null 2>&1
  listens() { # a server that has just started refuses its first clients, and drops those that are slow
    runuser -u player -- jack_lsp 2>/dev/null | grep -q '^midi-monitor:input' && return
    [ -n "$ear" ] && kill -0 "$ear" 2>/dev/null && return 1
    runuser -u player -- stdbuf -oL jack_midi_dump >>"$WORK/heard" 2>&1 &
    ear=$!
    return 1
  }
  with jack
  settings 'midi: {output: midi-monitor}'
  local times
  for times in first second; do # the second time, the server has to be as it was
    : >"$WORK/heard"
    soon listens || { echo "SKIP jack: its server takes no client here"; break; }
    try "it starts and plays, the $times time" start
    try "over JACK" logged 'output midi-monitor'
    heard() { grep -q ': *9[0-9a-f] ' "$WORK/heard"; }
    try "its notes arrive" soon heard
    try "it stops with status 0" stops
    lives() { kill -0 "$server" && runuser -u player -- jack_lsp >/dev/null 2>&1; }
    try "the JACK server goes on" lives
  done
  sed 's/^/     heard /' "$WORK/heard" | head -n 3
  kill $ear "$server" 2>/dev/null
}

link() {
  has_module aalink link || return
  modprobe dummy 2>/dev/null && ip link add trial0 type dummy && ip addr add 192.168.77.1/24 dev trial0 &&
    ip link set trial0 multicast on up && ip route add 224.0.0.0/4 dev trial0
  cat >"$WORK/peer.py" <<'PYTHON'
import asyncio, aalink
async def play():
    link = aalink.Link(100.0)
    link.quantum, link.start_stop_sync_enabled, link.enabled = 4.0, True, True
    while not link.num_peers:
        await asyncio.sleep(0.1)
    print("a peer", flush=True)
    await asyncio.sleep(2)
    link.tempo, link.playing = 200.0, True
    await asyncio.sleep(100000)
asyncio.run(play())
PYTHON
  "$PYTHON" "$WORK/peer.py" >"$WORK/peer" 2>&1 &
  local peer=$!
  with link
  settings 'tempo: {source: link}'
  try "it starts, and plays with the other" start
  try "the other is found" soon logged '1 other'
  try "at its tempo" soon logged '200'
  try "its notes arrive" notes
  try "it stops with status 0" stops
  sed 's/^/     peer: /' "$WORK/peer"
  kill "$peer"
}

sound() {
  has fluidsynth sound || return
  modprobe snd-aloop || { echo "SKIP sound: no loop-back card"; return; }
  with sound
  settings ''
  printf 'set audio.driver alsa\nset audio.alsa.device plughw:Loopback,0,0\n' >"${CONFIG%/*}/.fluidsynth"
  try "it starts and plays" start
  loud() { # three seconds of what the card plays are not silent
    arecord -q -D hw:Loopback,1,0 -f S16_LE -r 44100 -c 2 -d 3 "$WORK/heard.wav" && "$PYTHON" - "$WORK/heard.wav" <<'PYTHON'
import sys, wave
import numpy as np
with wave.open(sys.argv[1]) as file:
    samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
loudness = (samples**2).mean() ** 0.5 / 32768
print(f"     {loudness:.4f} of full scale")
sys.exit(bool(loudness < 0.002))
PYTHON
  }
  try "it is heard" loud
  try "its notes arrive by MIDI as well" notes
  try "it stops with status 0" stops
  no_synth() { ! pgrep -x fluidsynth >/dev/null; }
  try "and fluidsynth with it" soon no_synth
  rm -f "${CONFIG%/*}/.fluidsynth"
}

tensorflow() {
  has_module tensorflow tensorflow || return
  with tensorflow
  settings 'model: {engine: tensorflow}'
  LONG=400
  works
  said | grep 'bundle ' | sed 's/^/     /'
  systemctl show sideman -p MemoryPeak | sed 's/^/     /'
}

[ "$(id -u)" -eq 0 ] && [ -d /run/systemd/system ] || { echo "needs root and systemd" >&2; exit 77; }
if [ -e "$CONFIG" ] && ! grep -q 'written by .*_trial.sh' "$CONFIG"; then
  echo "$CONFIG is somebody's: this trial is for a machine that may be spoilt" >&2
  exit 73
fi
mkdir -p "${CONFIG%/*}"
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$WORK" "$MORE" "$CONFIG"; systemctl daemon-reload' EXIT
for file in ${*:-plain osc jack link sound tensorflow}; do "$file"; done

echo
if [ $failures -eq 0 ]; then echo "all passed"; else echo "$failures failed"; fi
[ $failures -eq 0 ]
