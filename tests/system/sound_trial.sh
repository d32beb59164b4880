#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tries sideman with fluidsynth on ALSA: `--sound`, and fluidsynth started by hand. A loop-back sound card records.
#
# Run it as root on a machine that may be damaged and whose kernel has ALSA (an emulated one will do), alsa-utils, the
# modules snd-seq and snd-aloop, fluidsynth with a sound font, and sideman in /opt/sideman:
#
#     bash sound_trial.sh
#
# It prints PASS or FAIL for each trial; its status is 0 if nothing failed.
set -u

SIDEMAN=/opt/sideman/bin/sideman
WORK=$(mktemp -d)
export HOME=$WORK XDG_STATE_HOME=$WORK
LONG=90 # seconds: against hanging only
failures=0 daemon='' synth=''
SURE=(--set play.rests=0 --set play.late_ms=1000 --set play.comp=bass)

try() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@"; then echo "PASS $what"; else
    echo "FAIL $what"
    failures=$((failures + 1))
    tail -n 6 "$WORK/log" "$WORK/synth" 2>/dev/null | sed 's/^/     /'
  fi
}
soon() { # COMMAND...
  local end=$((SECONDS + LONG))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}
logged() { grep -q "$1" "$WORK/log"; }
play() { # OPTION...
  "$SIDEMAN" run "${SURE[@]}" "$@" 2>"$WORK/log" &
  daemon=$!
  soon logged ' bar 1 '
}
stop() { kill -TERM "$daemon"; wait "$daemon"; }
no_synth() { ! pgrep -x fluidsynth >/dev/null; }
loud() { # three seconds of what the card plays are not silent
  arecord -q -D hw:Loopback,1,0 -f S16_LE -r 44100 -c 2 -d 3 "$WORK/heard.wav" &&
    python3 - "$WORK/heard.wav" <<'PYTHON'
import array, sys, wave
with wave.open(sys.argv[1]) as file:
    samples = array.array("h", file.readframes(file.getnframes()))
loudness = (sum(sample * sample for sample in samples) / max(1, len(samples))) ** 0.5 / 32768
print(f"     {len(samples) / 88200:.1f} s, {loudness:.4f} of full scale")
sys.exit(loudness < 0.002)
PYTHON
}

[ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; exit 77; }
modprobe snd-seq && modprobe snd-aloop || { echo "this kernel has no ALSA sequencer or no loop-back card" >&2; exit 69; }
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$WORK"' EXIT
printf 'set audio.driver alsa\nset audio.alsa.device plughw:Loopback,0,0\n' >"$WORK/.fluidsynth"
echo "     Linux $(uname -r), $(fluidsynth --version 2>/dev/null | head -n 1)"

try "--sound: it plays" play --sound
try "the log names the sound font" logged 'sound: fluidsynth with '
try "its own port exists as well" logged 'output sideman:out (ALSA)'
try "it is heard" loud
try "it stops with status 0" stop
try "and fluidsynth with it" soon no_synth
play --sound
killed() { kill -KILL "$daemon"; wait "$daemon" 2>/dev/null; soon no_synth; }
try "killed, it leaves no fluidsynth behind" killed

fluidsynth -s -i -q -a alsa -m alsa_seq -g 0.6 "$(find /usr/share/sounds/sf2 -name '*.sf2' | head -n 1)" >"$WORK/synth" 2>&1 &
synth=$!
listening() { aconnect -l | grep -q "FLUID Synth"; }
try "by hand: fluidsynth has a port" soon listening
try "sideman plays to it by a part of its name" play --set midi.output=FLUID
try "the log says so" logged 'output FLUID Synth'
try "it is heard" loud
try "it stops with status 0" stop
kill "$synth"

if [ -e /etc/systemd/system/sideman.service ] && [ -d /run/systemd/system ] && [ ! -e /etc/sideman/config.yaml ]; then
  # As docs/service.md has it: a service that is heard, with settings and an audio device of its own.
  mkdir -p /etc/sideman /etc/systemd/system/sideman.service.d
  printf 'play:\n  comp: bass\n  rests: 0\n  late_ms: 1000\n' >/etc/sideman/config.yaml
  cp "$("${SIDEMAN%/*}/python" -c 'import sideman, pathlib; print(pathlib.Path(sideman.__file__).parent)')/share/systemd/sound.conf" \
    /etc/systemd/system/sideman.service.d/
  cp "$WORK/.fluidsynth" /etc/sideman/.fluidsynth
  systemctl daemon-reload
  journal() { journalctl -u sideman -o cat --no-pager >"$WORK/log"; logged ' bar 1 ' || logged 'bar 1 '; }
  unit() { systemctl start sideman && soon journal; }
  unit_stops() { systemctl stop sideman && [ "$(systemctl show sideman -p Result --value)" = success ]; }
  try "the unit, with the lines of sound.conf, plays with --sound" unit
  try "it is heard" loud
  try "systemctl stop: success" unit_stops
  try "and fluidsynth with it" soon no_synth
fi

echo
if [ $failures -eq 0 ]; then echo "all passed"; else echo "$failures failed"; fi
[ $failures -eq 0 ]
