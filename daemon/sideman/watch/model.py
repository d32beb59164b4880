# SPDX-License-Identifier: Apache-2.0
"""What the view knows of the daemon: made of the events of the control socket alone.

Events come as the structs of `sideman.control.protocol`. A line that is not one of them is ignored, and so is one whose
fields make no sense: nothing that comes can break the view. Beats are quarter notes from the top of the music.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from typing import Literal

from msgspec import Struct, field

from sideman.control import events, protocol, requests
from sideman.control.codec import Message, decode_message
from sideman.core.chart.chart import ChartError, Meter, parse_meter
from sideman.core.settings.voices import VOICES
from sideman_models.music.harmony import pitch_name
from sideman_models.text import count_noun, printable

_DRAWN = frozenset(VOICES) - {"drums"}  # the voices whose notes have a pitch
NoteSource = Literal["own", "comp", "heard", "next"]

_MAX_NOTES = 1000  # that are kept: more than any terminal can show
_MAX_LOG_LINES = 20
_MAX_AHEAD_BEATS = 1.0  # beats; without events the music is assumed to go on in tempo for this long
_JUMP_BACK_BEATS = 0.5  # beats; a step back of more than this means that the music continues somewhere else
_EPSILON_BEATS = 1e-6  # beats; for positions that were rounded in the daemon
# The fields of events that the state keeps under the same names:
_KEPT_FIELDS = (
    "mode",
    "doing",
    "rolling",
    "waiting",
    "practice",
    "target",
    "bpm",
    "seed",
    "ports",
    "clock",
    "top",
    "chord",
    "next_chord",
    "turn_ends",
)


class ViewNote(Struct, frozen=True):
    """A note and its player, from `beat` to `end`."""

    source: NoteSource
    pitch: int
    beat: float
    end: float


class WatchState(Struct):
    """What the view knows. `apply_event` takes an event in; before the first event of a kind, its part is empty."""

    title: str = ""
    bars: tuple[tuple[str, ...], ...] = ()
    meters: tuple[Meter, ...] = (Meter(4, 4),)  # of each bar
    sections: tuple[tuple[int, str], ...] = ()
    top: float = 0.0  # the beat on which the chart began
    bars_before: int = 0  # the number of bars that were played before that
    chord: str = ""
    next_chord: str = ""
    bpm: float | None = None
    rolling: bool = True
    waiting: str = ""  # for what, before the music begins
    practice: str = ""  # what practice brings next
    target: str = ""  # the next target note
    mode: str = ""
    requested_mode: str = ""  # by the user, until it takes effect
    doing: str = ""
    turn_ends: float | None = None  # the beat on which the turn goes to the other player, if that is known
    motif: int = 0  # how many of the player's notes and rests the solo's last note repeats in a row
    seed: int | None = None
    ports: str = ""
    clock: str = ""
    next_note: protocol.NextNote | None = None
    counts: dict[str, int] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    log: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_MAX_LOG_LINES))
    """Level and text of the last lines, the newest at the end."""
    last_event_s: float | None = None  # the second of the last event
    selected: str = "temperature"  # the setting below `play` that keys change
    command: str | None = None  # the request that the user types; None: none is typed
    shows_keys: bool = False  # instead of the roll
    _bar_line_beats: tuple[float, ...] = (0.0, 4.0)  # from the top of the chart to its bar lines, and to its end
    _beat: float | None = None
    _beat_s: float = 0.0
    _notes: deque[ViewNote] = field(default_factory=lambda: deque(maxlen=_MAX_NOTES))
    _held_onsets: dict[int, float] = field(default_factory=dict)

    def apply_event(self, event: Message | None, second: float) -> None:
        """Take in what came at `second`, of a clock that never goes back. None is ignored."""
        if event is None:
            return
        self.last_event_s = second
        for name in _KEPT_FIELDS:
            if hasattr(event, name):
                value = getattr(event, name)
                setattr(self, name, printable(value) if isinstance(value, str) else value)
        if self.requested_mode == self.mode:
            self.requested_mode = ""
        if isinstance(event, events.StatusEvent | events.BeatEvent):
            if self._beat is not None and event.beat < self._beat - _JUMP_BACK_BEATS:
                self._notes.clear()
                self._held_onsets.clear()
                self.next_note = None
            self._beat, self._beat_s = event.beat, second
            self.bars_before = event.bar - 1 - self.bar_at(event.beat)
        if isinstance(event, events.StatusEvent | events.TimingEvent):
            self.counts = {name: getattr(event, name) for name in ("late", "heard", "echoes", "played")}
        self._apply_music(event)
        self._apply_text(event)

    def _apply_music(self, event: Message) -> None:
        match event:
            case events.StatusEvent(coming=coming):
                self.next_note = coming and protocol.NextNote(coming.beat, coming.pitch, printable(coming.value))
            case events.ComingEvent(beat, pitch, value):
                self.next_note = None if beat is None else protocol.NextNote(beat, pitch, printable(value or ""))
            case events.ValueEvent(beat=beat, pitch=pitch, beats=beats, voice=voice, motif=motif) if voice in _DRAWN:
                self.motif = motif if voice == "solo" else self.motif
                self._notes.append(ViewNote("own" if voice == "solo" else "comp", pitch, beat, beat + beats))
            case events.HeardEvent(beat, on, pitch):
                onset = self._held_onsets.pop(pitch, None)
                if onset is not None:
                    self._notes.append(ViewNote("heard", pitch, onset, max(onset, beat)))
                if on:
                    self._held_onsets[pitch] = beat
            case events.ChartEvent() as chart if chart.bars:
                self.bars = tuple(tuple(map(printable, bar)) for bar in chart.bars)
                self.title = printable(chart.title)
                self.sections = tuple((bar, printable(name)) for bar, name in chart.sections)
                changes, meter, meters = {0: chart.meter, **dict(chart.meters)}, Meter(4, 4), []
                for bar in range(len(chart.bars)):
                    with suppress(ChartError):  # a meter that makes no sense is ignored
                        meter = parse_meter(changes[bar]) if bar in changes else meter
                    meters.append(meter)
                self.meters = tuple(meters)
                quarters = (float(meter.quarters) for meter in self.meters)
                self._bar_line_beats = tuple(accumulate(quarters, initial=0.0))

    def _apply_text(self, event: Message) -> None:
        match event:
            case events.StatusEvent(settings=values):
                self.settings |= values
            case events.ChangedEvent(values):
                self.settings |= values
                self.add_log("info", ", ".join(f"{name} is {value}" for name, value in values.items()))
            case events.PortsEvent(text):
                self.ports = printable(text)
            case events.LearnedEvent(binding, target):
                self.add_log("info", f"learned: {binding} is {target}")
            case events.LogEvent(level, text):
                self.add_log(level, text)
            case requests.Refusal():
                self.requested_mode = ""
                self.add_log("error", event.error)

    def apply_request(self, request: requests.Request) -> None:
        """Assume that the daemon does what the user requests, so that the next key can start from it."""
        match request:
            case requests.ModeRequest(mode):
                self.requested_mode = mode
            case requests.SetRequest(key, value):
                self.settings[key] = value

    def beat_at(self, second: float) -> float | None:
        """Return the beat at `second`. After the last known beat it goes on in tempo, for one beat at most."""
        if self._beat is None or self.bpm is None or not self.rolling:
            return self._beat
        beats = (second - self._beat_s) * self.bpm / 60
        return self._beat + min(max(beats, 0.0), _MAX_AHEAD_BEATS)

    def notes(self, beat: float) -> Iterator[ViewNote]:
        """Return the notes that are kept. Those that the player still holds end at `beat`."""
        yield from self._notes
        for pitch, onset in self._held_onsets.items():
            yield ViewNote("heard", pitch, onset, max(onset, beat))

    def pitch_name(self, pitch: int) -> str:
        """Return the name of a MIDI pitch in the key of the player's instrument; empty if there is none."""
        transpose = self.settings.get("midi.transpose")
        shown = pitch - transpose if isinstance(transpose, int) else pitch
        return pitch_name(shown) if 0 <= shown <= 127 else ""

    def bar_at(self, beat: float) -> int:
        """Return the bar that contains `beat`, counted from 0 at the top of the chart that is played."""
        *lines, length = self._bar_line_beats
        chorus, place = divmod(beat - self.top + _EPSILON_BEATS, length)
        return int(chorus) * len(lines) + bisect_right(lines, place) - 1

    def bar_line_beat(self, bar: int) -> float:
        """Return the beat on which a bar begins; `bar` as `bar_at` counts it."""
        chorus, index = divmod(bar, len(self.meters))
        return self.top + chorus * self._bar_line_beats[-1] + self._bar_line_beats[index]

    def meter_of_bar(self, bar: int) -> Meter:
        """Return the meter of a bar; `bar` as `bar_at` counts it."""
        return self.meters[bar % len(self.meters)]

    def sounding_chord(self, bar: int, beat: float) -> int:
        """Return which chord of bar `bar` of the chart sounds at `beat`.

        The event names the chord, but not its place in the bar. If the bar has the chord twice, it is the one nearer to
        the place that `beat` would have if all chords of the bar were of the same length.
        """
        chords = self.bars[bar]
        at = self.bar_at(beat)
        place = (beat - self.bar_line_beat(at)) / float(self.meter_of_bar(at).quarters)
        share = max(0, min(int(place * len(chords)), len(chords) - 1))
        named = [index for index, chord in enumerate(chords) if chord == self.chord]
        return min(named, key=lambda index: abs(index - share), default=share)

    def turn_words(self, beat: float) -> str:
        """Return whose turn comes, and when: in bars, or in beats before the last bar line; empty if unknown."""
        if self.turn_ends is None or self.turn_ends <= beat:
            return ""
        bars = self.bar_at(self.turn_ends) - self.bar_at(beat)
        left = count_noun(bars, "bar") if bars > 1 else count_noun(math.ceil(self.turn_ends - beat), "beat")
        return f"{'you' if self.doing == 'playing' else 'sideman'} in {left}"

    def add_log(self, level: str, text: str) -> None:
        """Add a line to the log."""
        if text:
            self.log.append((printable(level).lower(), printable(text)))


def read_message(line: str) -> Message | None:
    """Return the message in a line; None for a line that is not understood."""
    try:
        return decode_message(line)
    except ValueError:
        return None
