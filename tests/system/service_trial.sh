#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tries the unit with a real systemd: everything that the owner of a headless box relies on.
#
# Run it as root on a machine that may be damaged (a container booted with systemd will do; MIDI ports are not needed),
# with sideman installed in /opt/sideman and systemd/sideman.service in /etc/systemd/system, as README says:
#
#     bash service_trial.sh
#
# It prints PASS or FAIL for each trial, and the journal after a failure; its status is 0 if all passed. It takes two
# minutes, most of them for the watchdog.
set -u

CONFIG=/etc/sideman/config.yaml
STATE=/var/lib/sideman/state-sideman.json
LONG=60 # seconds: nothing here takes as long, even in emulation, unless it never comes
failures=0

verdict() { # STATUS WHAT: print what was tried and how it went
  if [ "$1" -eq 0 ]; then echo "PASS $2"; else
    echo "FAIL $2"
    failures=$((failures + 1))
    systemctl show sideman -p ActiveState,SubState,Result,ExecMainStatus,NRestarts,StatusText | sed 's/^/     /'
    journalctl -u sideman -o short-monotonic --no-pager | tail -n 12 | sed 's/^/     /'
  fi
}
try() { # WHAT COMMAND...: what must succeed
  local what=$1
  shift
  "$@"
  verdict $? "$what"
}
is() { # PROPERTY VALUE: what systemd says of the unit
  [ "$(systemctl show sideman -p "$1" --value)" = "$2" ]
}
soon() { # COMMAND...: succeeds within LONG seconds
  local end=$((SECONDS + LONG))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}
main_pid() { systemctl show sideman -p MainPID --value; }
invocation() { systemctl show sideman -p InvocationID --value; }
said() { journalctl _SYSTEMD_INVOCATION_ID="$(invocation)" -o cat --no-pager "$@"; } # what this run has logged
bars() { said | grep -c '^bar '; }
more_bars_than() { [ "$(bars)" -gt "$1" ]; }
first_bar() { said | sed -n 's/^bar \([0-9]*\) .*/\1/p' | head -n 1; }
seed() { said | sed -n 's/.*seed \([0-9]*\)$/\1/p'; }
settings() { # LINES of the configuration
  mkdir -p "${CONFIG%/*}"
  printf '# written by service_trial.sh\n%s\n' "$*" >"$CONFIG"
}
start() { systemctl reset-failed sideman 2>/dev/null; systemctl start sideman && soon more_bars_than 1; }
stop() { systemctl stop sideman; }
all_of() { # CHECK;CHECK;...: each a command; all must succeed
  local check
  while [ $# -gt 0 ]; do
    check=$1
    shift
    $check || { echo "     not so: $check"; return 1; }
  done
}

[ "$(id -u)" -eq 0 ] && [ -d /run/systemd/system ] || { echo "needs root and systemd" >&2; exit 77; }
if [ -e "$CONFIG" ] && ! grep -q 'written by service_trial.sh' "$CONFIG"; then
  echo "$CONFIG is somebody's: this trial is for a machine that may be spoilt" >&2
  exit 73
fi
systemctl daemon-reload
FAST='tempo: {bpm: 300}'
settings "$FAST"

# -- the unit itself
try "systemd finds no error in the unit" \
  bash -c '[ -z "$(systemd-analyze verify --man=no sideman.service 2>&1 | grep -i sideman)" ]'
try "it can be enabled" systemctl --quiet enable sideman

# -- starting
started_after_ready() {
  journalctl _SYSTEMD_INVOCATION_ID="$(invocation)" + INVOCATION_ID="$(invocation)" -o cat --no-pager |
    grep -E '^(ready:|Started )' | head -n 2 | cut -c1-6 | paste -sd' ' | grep -qx 'ready: Starte'
}
try "it starts, and plays" start
[ $failures -eq 0 ] || exit 1 # there is nothing to try
try "it is active, running" all_of "is ActiveState active" "is SubState running" "is NRestarts 0"
try "systemd reports it as started only after it was ready" soon started_after_ready
tells_ports() { systemctl show sideman -p StatusText --value | grep -q '^playing; output .*, input '; }
try "the status text names the ports" tells_ports
echo "     $(systemctl show sideman -p StatusText --value)"
one_ready() { [ "$(said | grep -c ready)" -eq 1 ]; }
try "exactly one line of its log says ready" one_ready
informs() { said -p 6..6 | grep -q '^bar ' && ! said | grep -q '^<[0-9]>'; }
try "each line of the journal has its priority" informs
unprivileged() { [ "$(stat -c %u "/proc/$(main_pid)")" -ge 61184 ] && grep -q '^CapEff:\s*0*$' "/proc/$(main_pid)/status"; }
try "it runs as a user of its own, without capabilities" unprivileged
of_audio() { grep -qw "$(getent group audio | cut -d: -f3)" <(grep '^Groups:' "/proc/$(main_pid)/status"); }
try "it belongs to the group audio" of_audio

# -- what it may do
exposed_little() { systemd-analyze security --no-pager --threshold=10 sideman.service | tail -n 1 | sed 's/^/     /'; [ "${PIPESTATUS[0]}" -eq 0 ]; }
try "systemd calls its exposure 1.0 or less" exposed_little
confined() { grep -q '^NoNewPrivs:\s*1$' "/proc/$(main_pid)/status" && grep -q '^Seccomp:\s*2$' "/proc/$(main_pid)/status"; }
try "it can gain no privilege, and its system calls are filtered" confined
sees_no_network() { [ "$(tail -n +3 "/proc/$(main_pid)/net/dev" | grep -vc '^ *lo:')" -eq 0 ]; }
try "it has no network" sees_no_network
counts_tasks() { [ "$(systemctl show sideman -p TasksCurrent --value)" != '[not set]' ]; }
small() {
  local memory tasks
  memory=$(systemctl show sideman -p MemoryCurrent --value) tasks=$(systemctl show sideman -p TasksCurrent --value)
  echo "     $memory bytes, $tasks tasks; at most $(systemctl show sideman -p MemoryMax,TasksMax --value | paste -sd' ')"
  [ "$tasks" -le 16 ] && { [ "$memory" = '[not set]' ] || [ "$memory" -le $((256 << 20)) ]; }
}
if counts_tasks; then
  tasks_counted=yes
  try "it needs half of the memory and the tasks that it may have" small
else
  tasks_counted=''
  echo "SKIP its limits of memory and tasks: this machine counts neither"
fi
stop
cat >/run/sideman_probe.py <<'PYTHON'
import ctypes, mmap, os, pathlib, resource, socket, subprocess, sys, threading, time
def can(what, action):
    try:
        action()
        print("can", what, flush=True)
    except Exception as error:
        print("cannot", what, "-", error, flush=True)
def threads():
    end = threading.Event()
    try:
        for _ in range(200):
            threading.Thread(target=end.wait, daemon=True).start()
    finally:
        end.set()
can("read its settings", lambda: pathlib.Path("/etc/sideman/config.yaml").read_text())
can("write its state", lambda: pathlib.Path("/var/lib/sideman/probe").write_text("x"))
can("make a callback", lambda: ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)())
can("open a control socket", lambda: socket.socket(socket.AF_UNIX))
can("start a process", lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
can("lower its priority", lambda: os.nice(5))
can("lower its limits", lambda: resource.setrlimit(resource.RLIMIT_CPU, (60, 60)))
can("list a home", lambda: print(os.listdir("/root")))
can("open a network socket", lambda: socket.socket(socket.AF_INET))
can("make itself real-time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
can("raise its priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -20))
can("write its settings", lambda: pathlib.Path("/etc/sideman/config.yaml").write_text("x"))
can("write its program", lambda: pathlib.Path("/opt/sideman/probe").write_text("x"))
can("give a file away", lambda: os.chown("/var/lib/sideman/probe", 0, 0))
can("become root", lambda: os.setuid(0))
can("map memory that it may write and run", lambda: mmap.mmap(-1, 4096, prot=7))
can("read the kernel's memory", lambda: open("/dev/kmsg").close())
can("see other processes", lambda: os.stat("/proc/1/status"))
can("make a namespace", lambda: ctypes.CDLL(None, use_errno=True).unshare(0x10000000) and (_ for _ in ()).throw(OSError(ctypes.get_errno(), "unshare")))
can("start 200 threads", threads)
os.unlink("/var/lib/sideman/probe")
time.sleep(1)
PYTHON
mkdir -p /run/systemd/system/sideman.service.d
cat >/run/systemd/system/sideman.service.d/probe.conf <<'CONF'
[Service]
Type=oneshot
ExecStart=
ExecStart=/opt/sideman/bin/python /run/sideman_probe.py
Restart=no
WatchdogSec=0
CONF
probed() {
  systemctl daemon-reload
  systemctl reset-failed sideman 2>/dev/null
  systemctl start sideman
  said | grep '^can' | sed 's/^/     /'
  rm /run/systemd/system/sideman.service.d/probe.conf
  systemctl daemon-reload
  if [ -z "$tasks_counted" ]; then # so no number of threads is too large
    [ "$(said | grep -c '^can ')" -eq 8 ] && [ "$(said | grep -c '^cannot ')" -eq 12 ] && said | grep -q '^can lower its limits'
    return
  fi
  [ "$(said | grep -c '^can ')" -eq 7 ] && [ "$(said | grep -c '^cannot ')" -eq 13 ] && said | grep -q '^can lower its limits'
}
try "under its restrictions a program can do what sideman needs, and nothing else" probed

# -- the network, where it is asked for
refuses_osc() {
  settings "$FAST"$'\n'"control: {osc: 9000}"
  ! systemctl start sideman 2>/dev/null || return 1
  sleep 3
  all_of "is ExecMainStatus 77" "is NRestarts 0" && journalctl -u sideman -o cat --no-pager -p 3..3 | grep -q 'control.osc.*osc.conf'
}
half_of_osc() { # the families alone: the network is still its own
  printf '[Service]\nRestrictAddressFamilies=AF_INET AF_INET6\n' >/run/systemd/system/sideman.service.d/half.conf
  systemctl daemon-reload
  start && said -p 4..4 | grep -q 'control.osc: there is no network here'
}
takes_osc() {
  cp "$SHARE/osc.conf" /run/systemd/system/sideman.service.d/ && systemctl daemon-reload && start && soon sent_osc
}
sent_osc() { # a message as bytes: /sideman/set play.velocity 77
  /opt/sideman/bin/python -c 'import socket
text = lambda word: (word + b"\0" * 4)[: len(word) // 4 * 4 + 4]
message = text(b"/sideman/set") + text(b",si") + text(b"play.velocity") + (77).to_bytes(4, "big")
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(message, ("127.0.0.1", 9000))'
  said | grep -q 'play.velocity is 77'
}
SHARE=$(/opt/sideman/bin/python -c 'import sideman, pathlib; print(pathlib.Path(sideman.__file__).parent / "share/systemd")')
if /opt/sideman/bin/python -c 'import pythonosc' 2>/dev/null; then
  try "asked for OSC without a network, it ends with 77, says how to allow it, and is not started again" refuses_osc
  mkdir -p /run/systemd/system/sideman.service.d
  try "with half of the lines that OSC needs it says what is missing" half_of_osc
  stop
  rm /run/systemd/system/sideman.service.d/half.conf
  try "with osc.conf it takes OSC messages of this machine" takes_osc
  stop
else echo "SKIP python-osc is not installed"; fi
keeps_a_secret() { # docs/service.md: a configuration that only root may read
  settings "$FAST"
  chmod 600 "$CONFIG"
  mkdir -p /run/systemd/system/sideman.service.d
  printf '%s\n' '[Service]' "LoadCredential=config.yaml:$CONFIG" Environment=SIDEMAN_CONFIG=%d/config.yaml \
    >/run/systemd/system/sideman.service.d/secret.conf
  systemctl daemon-reload
  start && said | grep -q '300 bpm'
}
try "it reads a configuration that only root may read, as a credential" keeps_a_secret
stop
chmod 644 "$CONFIG"
rm -rf /run/systemd/system/sideman.service.d
systemctl daemon-reload
settings "$FAST"
start

# -- a panic
panic() {
  local before pid
  before=$(bars) pid=$(main_pid)
  systemctl kill -s USR1 sideman
  soon more_bars_than $((before + 2)) && [ "$(main_pid)" = "$pid" ] && is NRestarts 0
}
try "SIGUSR1 is a panic, and the music goes on" panic

# -- the control socket
controls() {
  [ "$(stat -c %a /run/sideman/control.sock)" = 600 ] &&
    /opt/sideman/bin/sideman ctl status | grep -q '^mode .*solo' &&
    /opt/sideman/bin/sideman ctl set play.velocity 99 && /opt/sideman/bin/sideman ctl mode off --now &&
    soon bash -c "/opt/sideman/bin/sideman ctl status | grep -q '^mode .*off'" &&
    /opt/sideman/bin/sideman ctl mode solo --now
}
try "root reaches it by its control socket, whose mode is 0600" controls
tells_change() { said | grep -q '^play.velocity is 99$'; }
try "the journal shows the change" tells_change
reads() { /opt/sideman/bin/sideman ctl preset service && /opt/sideman/bin/sideman ctl set chart.file minor-blues; }
try "it reads a preset and a chart on request" reads
/opt/sideman/bin/sideman ctl set chart.file blues >/dev/null
is_kept_out() { ! runuser -u nobody -- /opt/sideman/bin/sideman ctl panic 2>/dev/null; }
try "another user does not reach it" is_kept_out

# -- stop and resume
stops_well() {
  stop
  all_of "is ActiveState inactive" "is SubState dead" "is Result success" "is ExecMainCode 1" "is ExecMainStatus 0"
}
nobody_left() { ! pgrep -f '^/opt/sideman/bin/python.*sideman run' >/dev/null; }
seed_before=$(seed) last_bar=$(said | sed -n 's/^bar \([0-9]*\) .*/\1/p' | tail -n 1)
try "it stops with status 0 and is inactive" stops_well
try "no process is left" nobody_left
try "its state is kept" test -s "$STATE"
try "it starts again" start
goes_on() { [ "$(first_bar)" -ge "$last_bar" ] && [ "$(first_bar)" -le $((last_bar + 3)) ] && [ "$(seed)" = "$seed_before" ]; }
try "the solo continues at the bar where it stopped, with the same seed" goes_on
echo "     stopped in bar $last_bar, went on in bar $(first_bar); seeds $seed_before, $(seed)"
restarted() { systemctl restart sideman && soon more_bars_than 0 && is NRestarts 0; }
try "systemctl restart" restarted
often() {
  local pause
  for pause in 0 0.02 0.05 0.1 0.15 0.2 0.25 0.3 0.4 0.5 0.6 0.8; do
    systemctl start --no-block sideman && sleep $pause && systemctl stop sideman
    all_of "is ActiveState inactive" "is Result success" nobody_left || { echo "     $pause s after its start"; return 1; }
    systemctl reset-failed sideman 2>/dev/null # the starts counted
  done
}
try "stopped at any moment of its start, it ends normally" often
many_stops() {
  local times
  for times in $(seq 10); do start && stops_well && nobody_left || { echo "     at stop $times"; return 1; }; done
}
try "ten more stops" many_stops

# -- restarts by systemd
comes_back() { # with another process, and plays
  local before=$1
  soon eval "[ \"\$(main_pid)\" != $before ] && [ \"\$(main_pid)\" != 0 ]" && soon more_bars_than 1 && is ActiveState active
}
killed() {
  local pid
  start || return 1
  pid=$(main_pid)
  kill -KILL "$pid"
  comes_back "$pid" && is NRestarts 1
}
try "killed (-9), it is started again and plays" killed
frozen() {
  local pid
  pid=$(main_pid)
  kill -STOP "$pid"
  comes_back "$pid" && journalctl -u sideman --no-pager | grep -q 'Watchdog timeout' && [ ! -e "/proc/$pid" ]
}
try "if it hangs, the watchdog ends it, and it is started again and plays" frozen
stop
idle() {
  local pid
  settings "play: {mode: off}"
  systemctl reset-failed sideman
  systemctl start sideman || return 1
  pid=$(main_pid)
  sleep 22 # twice the watchdog's time
  [ "$(main_pid)" = "$pid" ] && all_of "is ActiveState active" "is NRestarts 0"
}
try "without anything to play, it still feeds the watchdog" idle
stop
learns() { # in a process of its own, which ends with it
  settings "$FAST"$'\n'"model: {learn: true}"
  systemctl reset-failed sideman
  start && soon pgrep -P "$(main_pid)" >/dev/null && soon more_bars_than 24 || return 1
  echo "     $(pgrep -c -P "$(main_pid)") process beside it; $(systemctl show sideman -p MemoryCurrent --value) bytes in all"
  ! said -p 0..4 | grep 'learn' && stops_well && nobody_left
}
try "it learns from what is played, within what the unit may have" learns

# -- errors that a restart does not help
wrong() {
  settings "tempo: {bpm: fast}"
  systemctl reset-failed sideman
  ! systemctl start sideman 2>/dev/null || return 1
  sleep 3
  all_of "is ActiveState failed" "is Result exit-code" "is ExecMainStatus 78" "is NRestarts 0"
}
try "an error in the configuration ends it with 78, and it is not started again" wrong
explained() { journalctl -u sideman -o cat --no-pager -p 3..3 | grep -q "$CONFIG.*tempo.bpm"; }
try "the journal has the error and its place, with the priority of an error" explained
unreadable() {
  settings "model: {bundle: /nonexistent}"
  systemctl reset-failed sideman
  ! systemctl start sideman 2>/dev/null || return 1
  sleep 3
  all_of "is ActiveState failed" "is ExecMainStatus 66" "is NRestarts 0"
}
try "a missing network ends it with 66, and it is not started again" unreadable
mended() { settings "$FAST" && start; }
try "after the correction, it starts" mended
stop

# -- missing ports, broken state
waits() {
  settings "midi: {output: No Such Synth}"
  systemctl start sideman && is ActiveState active &&
    systemctl show sideman -p StatusText --value | grep -q "waiting for 'No Such Synth'"
}
try "it waits for a missing port, and the status says so" waits
stop
settings "$FAST"
spoilt() {
  echo 'not a state' >"$STATE"
  start && said -p 4..4 | grep -q "$STATE" && is ActiveState active
}
try "a broken state file is reported, and it plays from the top" spoilt
try "it stops again with status 0" stops_well
ends() {
  settings "$FAST"$'\n'"chart: {changes: '| C |', choruses: 4}"
  rm -f "$STATE"
  systemctl reset-failed sideman
  systemctl start sideman && soon is ActiveState inactive && all_of "is Result success" "is NRestarts 0"
}
try "after the last chorus it ends, and is not started again" ends

rm -f "$CONFIG"
echo
if [ $failures -eq 0 ]; then echo "all passed"; else echo "$failures failed"; fi
[ $failures -eq 0 ]
