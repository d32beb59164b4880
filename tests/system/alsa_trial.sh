#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tries sideman on ALSA's sequencer, with ALSA's programs at the other end.
#
# Run it as root on a machine that may be damaged and whose kernel has ALSA (an emulated one will do; no sound card is
# needed), alsa-utils, the modules snd-seq and snd-virmidi, and sideman in /opt/sideman:
#
#     bash alsa_trial.sh
#
# It prints PASS, FAIL or SKIP for each trial; its status is 0 if nothing failed. If the unit is installed in
# /etc/systemd/system, it is tried first, and with ONLY=unit nothing else. STOPS=100 sets the number of stops of a playing
# process (20).
set -u

SIDEMAN=/opt/sideman/bin/sideman
WORK=$(mktemp -d -p /run) # for its control socket, too: not every file system takes one
LONG=60 # seconds: nothing here takes as long, even in emulation, unless it never comes
SURE=(--set play.rests=0 --set play.late_ms=1000) # a note on every beat, on the slowest machine
failures=0 daemon='' ear='' unit_tried=''

verdict() { # STATUS WHAT
  if [ "$1" -eq 0 ]; then echo "PASS $2"; else
    echo "FAIL $2"
    failures=$((failures + 1))
    { if [ -n "$unit_tried" ]; then journalctl -u sideman -n 12 --no-pager; else tail -n 8 "$WORK/log"; fi; } 2>/dev/null |
      sed 's/^/     /'
  fi
}
try() { # WHAT COMMAND...
  local what=$1
  shift
  "$@"
  verdict $? "$what"
}
soon() { # COMMAND...: succeeds within LONG seconds
  local end=$((SECONDS + LONG))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}
logged() { grep -q "$1" "$WORK/log"; }
bars() { grep -c ' bar ' "$WORK/log"; }
more_bars_than() { [ "$(bars)" -gt "$1" ]; }
more_bars() { soon more_bars_than $(($(bars) + ${1:-1})); } # that many more, and the one that is under way
play() { # OPTION...: start it in the background and wait until it is ready
  XDG_STATE_HOME=$WORK "$SIDEMAN" run "${SURE[@]}" "$@" 2>"$WORK/log" &
  daemon=$!
  soon logged ready
}
stop() { # its exit status
  kill -TERM "$daemon"
  wait "$daemon"
}
listen() { # OPTION...: aseqdump, writing down all that it hears
  : >"$WORK/heard"
  stdbuf -oL aseqdump "$@" >>"$WORK/heard" &
  ear=$!
  soon grep -q 'Source\|Waiting' "$WORK/heard"
}
deaf() { kill -TERM "$ear"; wait "$ear" 2>/dev/null; }
ons() { grep 'Note on ' "$WORK/heard" | sed 's/.*note \([0-9]*\),.*/\1/'; }
count_ons() { ons | wc -l; }
heard_more_than() { [ "$(count_ons)" -gt "$1" ]; }
hanging() { # the pitches that were struck and not released
  awk '/Note on /  { sub(",", "", $6); on[$6] = 1 }
       /Note off / { sub(",", "", $6); delete on[$6] }
       END { for (pitch in on) print pitch }' "$WORK/heard"
}
released() { soon none_hanging; }
none_hanging() { [ -z "$(hanging)" ]; }
written() { # the pitches of the bars in its log, as numbers
  sed -n 's/.* bar [0-9]* |.*| sideman \([^|]*\)|.*/\1/p' "$WORK/log" | grep -oE '[A-G][b#]?-?[0-9]+' | awk '
    { name = $1; octave = name; sub(/^[A-G][b#]?/, "", octave)
      pitch = index("C D EF G A B", substr(name, 1, 1)) - 1 + 12 * (octave + 1)
      if (name ~ /b/) pitch--; if (name ~ /#/) pitch++
      print pitch }'
}
client() { aconnect -l | sed -n "s/^client \([0-9]*\): '$1' .*/\1/p"; }
there() { [ -n "$(client "$1")" ]; }
gone() { ! there "$1"; }

[ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; exit 77; }
modprobe snd-seq && modprobe snd-virmidi || { echo "this kernel has no ALSA sequencer" >&2; exit 69; }
[ -e /dev/snd/seq ] && command -v aseqdump aconnect amidi aplaymidi >/dev/null || { echo "needs alsa-utils" >&2; exit 69; }
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$WORK"' EXIT
echo "     Linux $(uname -r)"
"$SIDEMAN" ports | sed 's/^/     /'

# -- the unit
if [ -e /etc/systemd/system/sideman.service ] && [ -d /run/systemd/system ] && [ ! -e /etc/sideman/config.yaml ]; then
  unit_tried=yes
  told() { systemctl show sideman -p StatusText --value | grep -q 'output sideman:out (ALSA), input sideman-in:in (ALSA)'; }
  unit() { systemctl start sideman && soon told; }
  heard_unit() { listen -p sideman && soon heard_more_than 4; }
  unit_stops() { systemctl stop sideman && [ "$(systemctl show sideman -p Result,ExecMainStatus --value | paste -sd' ')" = "success 0" ]; }
  try "with the restrictions of the unit, it has ports at ALSA" unit
  try "and is heard" heard_unit
  hears_note() {
    "${SIDEMAN%/*}/python" -c 'import sys, mido
track = mido.MidiTrack([mido.Message("note_on", note=60, velocity=90), mido.Message("note_off", note=60, time=240)])
mido.MidiFile(tracks=[track]).save(sys.argv[1])' "$WORK/key.mid" && aplaymidi -p sideman-in "$WORK/key.mid" && soon has_heard
  }
  has_heard() { "$SIDEMAN" ctl --json status | grep -q '"heard": [1-9]'; }
  try "and hears a key that is played to it" hears_note
  try "systemctl stop: success" unit_stops
  try "every note that was heard is released" released
  deaf
  unloaded() { # as on a machine that has made no sound since it was started: only the node is there
    for _ in 1 2 3 4 5 6; do # as they depend on one another
      sed -n 's/^\(snd[a-z_]*\) .*/\1/p' /proc/modules | xargs -n 1 rmmod 2>/dev/null
    done
    [ ! -d /sys/module/snd_seq ] && systemctl restart kmod-static-nodes systemd-tmpfiles-setup-dev && [ -e /dev/snd/seq ]
  }
  if unloaded; then try "the sequencer's module is loaded when the unit asks for it" unit; systemctl stop sideman
  else echo "SKIP the sequencer's module cannot be unloaded: $(grep ^snd_seq /proc/modules | cut -d' ' -f1-4 | paste -sd,)"; fi
fi
unit_tried=''
[ "${ONLY:-}" != unit ] || { echo; [ $failures -eq 0 ] && echo "all passed"; exit $((failures > 0)); }
modprobe snd-seq && modprobe snd-virmidi # as they were

# -- its own ports
try "it starts" play --set tempo.bpm=120
[ $failures -eq 0 ] || exit 1
try "the log says that it plays on ALSA" logged 'ready: .*output sideman:out (ALSA), input sideman-in:in (ALSA)'
named() { aconnect -l | grep -A1 "^client [0-9]*: '$1' \[type=user" | grep -q "^ *0 '$2 *'"; }
try "its output is 'sideman', port 'out'" named sideman out
try "its input is 'sideman-in', port 'in'" named sideman-in in
only_one() { [ "$(aconnect -l | grep -c "'sideman")" -eq 2 ]; }
try "and it has no other client" only_one
listen -p sideman
one_a_beat() {
  local before after
  more_bars 0
  before=$(count_ons)
  more_bars 3
  after=$(count_ons)
  echo "     $((after - before)) notes in four bars"
  [ $((after - before)) -ge 15 ] && [ $((after - before)) -le 17 ] # a bar is logged a moment after its end
}
try "aseqdump hears one note per beat" one_a_beat
try "it stops with status 0" stop
try "every note that was heard is released" released
as_written() { # what was heard is what is in the log, from where aseqdump came in to the last bar that was finished
  local first
  written >"$WORK/written" && ons >"$WORK/ons"
  for first in $(seq 32); do
    tail -n +$first "$WORK/written" >"$WORK/part"
    [ -s "$WORK/part" ] && cmp -s "$WORK/part" <(head -n "$(wc -l <"$WORK/part")" "$WORK/ons") && return 0
  done
  return 1
}
try "the notes that were heard are those in its log" as_written
try "its ports are gone" soon gone sideman
deaf

# -- no hanging notes
listen
many_stops() {
  local times pause
  for times in $(seq "${STOPS:-20}"); do
    play --set tempo.bpm=240 --set play.gate=1 || { echo "     did not start, time $times"; return 1; }
    aconnect "$(client sideman):0" "$(client aseqdump):0" || return 1
    soon heard_more_than "$(count_ons)"
    pause=$(printf '0.%02d' $((times * 37 % 50)))
    sleep "$pause"
    stop || { echo "     status $?, stop $times"; return 1; }
    released || { echo "     hanging after stop $times: $(hanging | paste -sd' ')"; return 1; }
  done
  echo "     ${STOPS:-20} stops, $(count_ons) notes heard, none hangs"
}
try "each of many stops while it plays releases every note" many_stops
deaf

# -- the input
"$SIDEMAN" render --out "$WORK/phrase.mid" --bars 2 --set play.seed=5 --set tempo.bpm=240 >/dev/null 2>&1
alone() { play --set play.seed=3 --set tempo.bpm=240 && more_bars 5 && stop; }
values() { sed -n 's/.* bar \([0-9]*\) |/\1 |/p' "$WORK/$1" | head -n 6; }
differs() { ! cmp -s <(values alone) <(values log); }
same() { cmp -s <(values alone) <(values log); }
try "a solo by itself" alone
cp "$WORK/log" "$WORK/alone"
try "the same again" alone
try "the same seed gives the same solo" same
hears_file() {
  play --set play.seed=3 --set tempo.bpm=240 || return 1
  aplaymidi -p sideman-in "$WORK/phrase.mid" && more_bars 5 && stop && differs
}
try "it answers what aplaymidi plays to it" hears_file
raw() { amidi -p "$device" -S "$1"; }
device=hw:$(sed -n 's/^ *\([0-9]*\) \[VirMIDI .*/\1/p' /proc/asound/cards | head -n 1),0
hears_keyboard() { # a raw MIDI device, such as a keyboard is, by part of its name
  play --set play.seed=3 --set tempo.bpm=240 --set 'midi.input=VirMIDI 0-0' --set midi.output=auto || return 1
  logged 'input .*VirMIDI 0-0' && raw '90 3C 50' && raw '80 3C 00' && raw '90 40 50' && raw '80 40 00' &&
    more_bars 5 && stop && differs
}
[ "${device%,0}" = hw:0 ] || echo "SKIP the virtual keyboards are not card 0, and have other names"
try "it answers a keyboard named by a part of its name" hears_keyboard
harmless() {
  play --set play.seed=3 --set tempo.bpm=240 --set 'midi.input=VirMIDI 0-0' --set midi.output=auto || return 1
  raw 'F8 FE F8 FA FC' && raw 'F0 7E 7F 06 01 F7' && raw 'B0 07 64 40 7F 40 00' && raw 'E0 00 40' && raw 'F2 00 00' &&
    raw '3C 3C 3C' && raw 'FF' && raw 'C0 05' && more_bars 5 && stop && same
}
try "clock, sysex, controllers and nonsense change nothing" harmless
loop() {
  play --set play.seed=3 --set tempo.bpm=240 --set midi.echo_ms=1000 && aconnect "$(client sideman):0" "$(client sideman-in):0" &&
    more_bars 5 && stop && same
}
try "its own notes coming back change nothing" loop

# -- several ports
split_up() { # two keyboards, and an output for the accompaniment
  play --set play.seed=3 --set tempo.bpm=240 --set play.comp=bass --set midi.output=auto --set midi.comp_output=auto \
    --set 'midi.input=[VirMIDI 0-0, VirMIDI 0-1]' && named sideman out && named sideman-comp out
}
try "the accompaniment has an output of its own" split_up
channels() { grep 'Note on ' "$WORK/heard" | sed 's/.*Note on *\([0-9]*\),.*/\1/' | sort -u | paste -sd' '; }
one_channel() { # PORT CHANNEL, counted from 0
  listen -p "$1"
  soon heard_more_than 4 && [ "$(channels)" = "$2" ]
  local heard=$?
  deaf
  return $heard
}
try "which carries nothing else" one_channel sideman-comp 1
try "and the solo's output carries the solo alone" one_channel sideman 0
hears_two() { XDG_STATE_HOME=$WORK "$SIDEMAN" ctl --json status | grep -q '"heard": 2'; }
both_keyboards() {
  raw '90 3C 50' && raw '80 3C 00' && device=${device%,0},1 raw '90 40 50' && device=${device%,0},1 raw '80 40 00' &&
    soon hears_two && stop
}
try "it hears both keyboards" both_keyboards

# -- ports of other programs
nowhere() {
  local status
  "$SIDEMAN" run --set midi.output=VirMIDY >"$WORK/log" 2>&1
  status=$?
  [ $status -eq 69 ] && logged VirMIDY && logged 'VirMIDI 0-0'
}
try "an unknown port: status 69, and a list of the ports" nowhere
sed 's/^/     /' "$WORK/log"
listen
to_another() { play --set midi.output=aseqdump --set midi.input=none && soon heard_more_than 4 && logged 'output aseqdump'; }
try "it plays to another program's port by name" to_another
unplugged() {
  deaf
  soon logged 'aseqdump.* is gone' && more_bars 0 && kill -0 "$daemon"
}
try "the other program ends: sideman notices it and plays on" unplugged
plugged() { listen && soon heard_more_than 4; }
try "the other program is back and hears the solo again" plugged
try "it stops with status 0" stop
try "every note that was heard is released" released
deaf
DRIVER=/sys/bus/platform/drivers/snd_virmidi
name=$(basename "$(find $DRIVER/ -mindepth 1 -name 'snd_virmidi.*' 2>/dev/null | head -n 1)")
if [ -n "$name" ]; then
  pulled() { # a whole card is taken out, as a USB interface would be
    play --set 'midi.output=VirMIDI 0-1' --set midi.input=none && more_bars 0 || return 1
    timeout 20 sh -c "echo $name >$DRIVER/unbind" && soon logged 'VirMIDI 0-1.* is gone' && more_bars 0
  }
  try "a card is removed while it plays: sideman notices it and plays on" pulled
  put_back() {
    echo "$name" >"$DRIVER/bind" && soon logged 'VirMIDI 0-1.* is open' || return 1
    amidi -p hw:0,1 -d >"$WORK/raw" &
    ear=$!
    soon grep -q '^90' "$WORK/raw"
    local found=$?
    deaf
    return $found
  }
  try "the card is back and gets the solo again" put_back
  try "it stops with status 0" stop
else echo "SKIP a card taken out: it is not to be had by its driver here"; fi

echo
if [ $failures -eq 0 ]; then echo "all passed"; else echo "$failures failed"; fi
[ $failures -eq 0 ]
