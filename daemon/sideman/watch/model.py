# SPDX-License-Identifier: Apache-2.0
"""What whoever watches knows: made of the events of the control socket alone, and never upset by one of them.

Events of a kind nobody here knows, and fields that are missing or make no sense, are passed over: a viewer of another
version than the daemon shows what it understands. Beats are quarter notes from the top of the music.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from sideman.core.chart.chart import ChartError, Meter, parse_meter
from sideman_models.music.harmony import pitch_name
from sideman_models.text import printable

NoteSource = Literal["own", "comp", "heard"]
FeedEvent = Mapping[str, object]

EVENT_KINDS = frozenset(
    ("status", "beat", "value", "heard", "mode", "doing", "changed", "coming", "chart", "ports", "timing", "log")
)
"""The events that are understood."""
MAX_NOTES = 1000
"""Notes that are kept: more than any terminal can show."""
MAX_LOG_LINES = 20
_MAX_BEAT = 1e9  # beats; further on no music is
_MAX_AHEAD_BEATS = 1.0  # beats; so long it is taken to go on in tempo when nothing is told
_JUMP_BACK_BEATS = 0.5  # beats; a step back of more than this is another place of the music
_MAX_COUNT = 10**12  # of anything that is counted
_EPSILON_BEATS = 1e-6  # beats; what was rounded on its way here
_COUNTS = ("late", "heard", "echoes", "played")


@dataclass(frozen=True, slots=True)
class ViewNote:
    """A note and who plays it, from `beat` to `end`."""

    source: NoteSource
    pitch: int
    beat: float
    end: float


@dataclass(frozen=True, slots=True)
class NextNote:
    """What it plans to play on `beat`: `value` as the network writes it, and its pitch unless it is a rest."""

    beat: float
    pitch: int | None
    value: str


@dataclass(slots=True)
class WatchState:
    """What the view knows. `apply_event` takes an event in; what has not come yet is empty or None."""

    title: str = ""
    bars: tuple[tuple[str, ...], ...] = ()
    meters: tuple[Meter, ...] = (Meter(4, 4),)
    """Of each bar."""
    sections: tuple[tuple[int, str], ...] = ()
    top: float = 0.0
    """The beat on which the chart began."""
    bars_before: int = 0
    """How many bars were over by then."""
    chord: str = ""
    next_chord: str = ""
    bpm: float | None = None
    rolling: bool = True
    mode: str = ""
    requested_mode: str = ""
    """The mode that was asked for, until it is the mode."""
    state: str = ""
    seed: int | None = None
    ports: str = ""
    clock: str = ""
    next_note: NextNote | None = None
    counts: dict[str, int] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    log: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=MAX_LOG_LINES))
    """Level and text, the last one last."""
    last_event_s: float | None = None
    """The second of the last event."""
    _bar_line_beats: tuple[float, ...] = (0.0, 4.0)
    """The beats from the top of the chart to its bar lines, and to its end."""
    _beat: float | None = None
    _beat_s: float = 0.0
    _now_s: float = 0.0
    _notes: deque[ViewNote] = field(default_factory=lambda: deque(maxlen=MAX_NOTES))
    _held_onsets: dict[int, float] = field(default_factory=dict)

    def apply_event(self, event: object, second: float) -> None:
        """Take in what came at `second`, of a clock that never goes back."""
        if not isinstance(event, Mapping):
            return
        self.last_event_s = self._now_s = second
        if event.get("ok") is False:
            self.requested_mode = ""
            self._take_log({"level": "error", "text": event.get("error")})
        kind = event.get("event")
        if isinstance(kind, str) and kind in EVENT_KINDS:
            getattr(self, f"_take_{kind}")(event)

    def apply_request(self, request: Mapping[str, object]) -> None:
        """Take what was asked for as it will be, so that it can be gone on from before the daemon tells of it."""
        if request.get("do") == "mode":
            self.requested_mode = _text_field(request, "mode", "")
        elif request.get("do") == "set":
            self.settings[str(request.get("key"))] = request.get("value")

    def beat_at(self, second: float) -> float | None:
        """The beat at `second`: the last that was told, gone on from in tempo for a beat at most."""
        if self._beat is None or self.bpm is None or not self.rolling:
            return self._beat
        gone = (second - self._beat_s) * self.bpm / 60
        return self._beat + min(max(gone, 0.0), _MAX_AHEAD_BEATS)

    def notes(self, beat: float) -> Iterator[ViewNote]:
        """The notes that are remembered; those still held end at `beat`."""
        yield from self._notes
        yield from (
            ViewNote("heard", pitch, onset, max(onset, beat)) for pitch, onset in list(self._held_onsets.items())
        )

    def pitch_name(self, pitch: int) -> str:
        """The name of a MIDI pitch in the key of the player's instrument; empty where there is none."""
        transpose = self.settings.get("midi.transpose")
        shown = pitch - transpose if isinstance(transpose, int) else pitch
        return pitch_name(shown) if 0 <= shown <= 127 else ""

    @property
    def meter(self) -> Meter:
        """The meter of the first bar."""
        return self.meters[0]

    def bar_at(self, beat: float) -> int:
        """The bar that `beat` lies in, counted from 0 at the top of the chart that is played."""
        *lines, length = self._bar_line_beats
        chorus, place = divmod(beat - self.top + _EPSILON_BEATS, length)
        return int(chorus) * len(lines) + bisect_right(lines, place) - 1

    def bar_line_beat(self, bar: int) -> float:
        """The beat on which a bar begins, counted so."""
        chorus, index = divmod(bar, len(self.meters))
        return self.top + chorus * self._bar_line_beats[-1] + self._bar_line_beats[index]

    def meter_of_bar(self, bar: int) -> Meter:
        """The meter of a bar, counted so."""
        return self.meters[bar % len(self.meters)]

    def sounding_chord(self, bar: int, beat: float) -> int:
        """Which of the chords of `bar` of the chart sounds at `beat`: the one of that name nearest to its share."""
        chords = self.bars[bar]
        at = self.bar_at(beat)
        place = (beat - self.bar_line_beat(at)) / float(self.meter_of_bar(at).quarters)
        share = max(0, min(int(place * len(chords)), len(chords) - 1))
        named = [at for at, chord in enumerate(chords) if chord == self.chord]
        return min(named, key=lambda at: abs(at - share), default=share)

    # -- what each kind of event tells

    def _take_status(self, event: FeedEvent) -> None:
        bpm, seed = _number_field(event, "bpm", 1000), _integer_field(event, "seed", 2**64)
        self.bpm = bpm if bpm is not None and bpm > 0 else self.bpm
        self.seed = self.seed if seed is None else seed
        rolling = event.get("rolling")
        self.rolling = rolling if isinstance(rolling, bool) else self.rolling
        self._take_beat(event)
        self._take_mode(event)
        self._update_counts(event)
        self.ports = _text_field(event, "ports", self.ports)
        self.clock = _text_field(event, "clock", self.clock)
        settings, coming = event.get("settings"), event.get("coming", self.next_note)
        self.settings |= settings if isinstance(settings, dict) else {}
        if isinstance(coming, Mapping):
            self._take_coming(coming)
        elif coming is None:
            self.next_note = None

    def _take_beat(self, event: FeedEvent) -> None:
        beat = _number_field(event, "beat", _MAX_BEAT)
        if beat is not None:
            self._move_to(beat)
            self._find_top(event, beat)
        self.chord = _text_field(event, "chord", self.chord)
        self.next_chord = _text_field(event, "next_chord", self.next_chord)

    def _move_to(self, beat: float) -> None:
        """Go on to `beat`; where that is back, what was to be seen there is of another time."""
        if self._beat is not None and beat < self._beat - _JUMP_BACK_BEATS:
            self._notes.clear()
            self._held_onsets.clear()
            self.next_note = None
        self._beat, self._beat_s = beat, self._now_s

    def _find_top(self, event: FeedEvent, beat: float) -> None:
        """Where the chart began, if the event tells that."""
        top, bar = _number_field(event, "top", _MAX_BEAT), _integer_field(event, "bar", _MAX_COUNT)
        self.top = self.top if top is None else top
        self.bars_before = self.bars_before if bar is None else bar - 1 - self.bar_at(beat)

    def _take_mode(self, event: FeedEvent) -> None:
        self.mode = _text_field(event, "mode", self.mode)
        self.state = _text_field(event, "doing", self.state)
        self.requested_mode = "" if self.requested_mode == self.mode else self.requested_mode

    _take_doing = _take_mode

    def _take_value(self, event: FeedEvent) -> None:
        beat, length = _number_field(event, "beat", _MAX_BEAT), _number_field(event, "beats", 1000)
        pitch, voice = _integer_field(event, "pitch", 127), event.get("voice", "solo")
        if beat is None or length is None or pitch is None or length < 0 or voice not in ("solo", "comp"):
            return
        self._notes.append(ViewNote("own" if voice == "solo" else "comp", pitch, beat, beat + length))

    def _take_heard(self, event: FeedEvent) -> None:
        beat, pitch = _number_field(event, "beat", _MAX_BEAT), _integer_field(event, "pitch", 127)
        if beat is None or pitch is None:
            return
        onset = self._held_onsets.pop(pitch, None)
        if onset is not None:
            self._notes.append(ViewNote("heard", pitch, onset, max(onset, beat)))
        if event.get("on") is True:
            self._held_onsets[pitch] = beat

    def _take_changed(self, event: FeedEvent) -> None:
        values = event.get("values")
        if isinstance(values, dict):
            self.settings |= values
            self._take_log({"text": ", ".join(f"{name} is {value}" for name, value in values.items())})

    def _take_coming(self, event: FeedEvent) -> None:
        beat = _number_field(event, "beat", _MAX_BEAT)
        told = NextNote(beat or 0.0, _integer_field(event, "pitch", 127), _text_field(event, "value", ""))
        self.next_note = None if beat is None else told

    def _take_chart(self, event: FeedEvent) -> None:
        bars, sections = event.get("bars"), event.get("sections")
        if not isinstance(bars, list) or not bars:
            return
        self.bars = tuple(tuple(map(printable, bar)) if isinstance(bar, list) else () for bar in bars)
        self.title = _text_field(event, "title", "")
        self.sections = tuple(_read_sections(sections)) if isinstance(sections, list) else ()
        self.meters = tuple(_bar_meters(event, len(bars)))
        quarters = (float(meter.quarters) for meter in self.meters)
        self._bar_line_beats = tuple(accumulate(quarters, initial=0.0))

    def _take_ports(self, event: FeedEvent) -> None:
        self.ports = _text_field(event, "text", self.ports)

    def _take_timing(self, event: FeedEvent) -> None:
        self._update_counts(event)
        names = [name for name in event if name not in ("v", "event", "beat", *_COUNTS)]
        found = {printable(name): _number_field(event, name, 1e12) for name in names}
        self.timing = {name: number for name, number in found.items() if number is not None}

    def _take_log(self, event: FeedEvent) -> None:
        text = _text_field(event, "text", "")
        if text:
            self.log.append((_text_field(event, "level", "info").lower(), text))

    def _update_counts(self, event: FeedEvent) -> None:
        found = {name: _integer_field(event, name, _MAX_COUNT) for name in _COUNTS}
        self.counts |= {name: count for name, count in found.items() if count is not None}


def read_event(line: str) -> object:
    """The event that a line holds; None for a line that is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _number_field(event: FeedEvent, name: str, most: float) -> float | None:
    """The number of that name, if there is one between `-most` and `most`."""
    found = event.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not -most <= found <= most:
        return None
    return float(found)


def _integer_field(event: FeedEvent, name: str, most: int) -> int | None:
    """The whole number of that name, if there is one from 0 to `most`."""
    found = event.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= most else None


def _text_field(event: FeedEvent, name: str, default: str) -> str:
    """The text of that name as a terminal may show it: no escape sequence of anyone's takes it over."""
    found = event.get(name)
    return printable(found) if isinstance(found, str) else default


def _bar_meters(event: FeedEvent, bars: int) -> Iterator[Meter]:
    """The meter of each of so many bars; one that makes no sense is that before it, at first 4/4."""
    changes = event.get("meters")
    told: dict[object, object] = {0: event.get("meter")}
    told |= dict(each for each in changes if _is_meter_change(each)) if isinstance(changes, list) else {}
    meter = Meter(4, 4)
    for bar in range(bars):
        with suppress(ChartError):
            meter = parse_meter(str(told[bar])) if bar in told else meter
        yield meter


def _is_meter_change(told: object) -> bool:
    return isinstance(told, list) and len(told) == 2 and isinstance(told[0], int)


def _read_sections(told: list[object]) -> Iterator[tuple[int, str]]:
    for each in told:
        if isinstance(each, list) and len(each) == 2 and isinstance(each[0], int) and isinstance(each[1], str):
            yield each[0], printable(each[1])
