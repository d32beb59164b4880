# SPDX-License-Identifier: Apache-2.0
"""Recorded performances: what the program of 22 November 2026 played; every later version has to play the same.

`python tests/support/recordings.py` writes the files of `tests/recorded/` again, after a change that is meant to be
heard. A scene is a performance of the network that came with that version, which is in `data`, on the clock that jumps,
with a player whose notes come from a seed; its take is kept as the journal that the program wrote. `renders.json` holds
a hash of what `sideman render` writes for each preset, chart and seed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
from msgspec.structs import replace

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT.parent / "daemon"), str(ROOT.parent / "models")]

from sideman.config import resources  # noqa: E402
from sideman.config.sources import SettingsSources, load_chart, read_preset  # noqa: E402
from sideman.core.actions import Panic, PlayVariation, Start, Stop, TapTempo  # noqa: E402
from sideman.core.events import (  # noqa: E402
    ChangeSettings,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    ControlChange,
    LearnBinding,
    LinkState,
    MidiEvent,
    NoteOff,
    NoteOn,
    PitchBend,
    ProgramChange,
    ReleaseChannel,
    SetChart,
    SetMode,
    SetPortPeriod,
    SongPosition,
)
from sideman.core.settings.bindings import read_learn_target  # noqa: E402
from sideman.core.settings.presets import preset_difference  # noqa: E402
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, resolve_settings  # noqa: E402
from sideman.core.settings.schema import with_values  # noqa: E402
from sideman.playing.assembly import Performance, load_performance, resumed_engine, state_of  # noqa: E402
from sideman.render.render import render_take  # noqa: E402
from sideman.takes.folder import TakeFolder  # noqa: E402
from sideman.takes.journal import Journal  # noqa: E402
from sideman.takes.lines import settings_to_json  # noqa: E402
from sideman.takes.midi_file import TakeMidiFile  # noqa: E402
from support.takes import clock_config, perform_with_reports, recorded_take  # noqa: E402

RECORDED = ROOT / "recorded"
DATA = RECORDED / "data"
"""The data folder of a user whose own `default` is the network of that version."""
RENDERS = RECORDED / "renders.json"
MIDIS = RECORDED / "midis.json"
BY_THE_DAEMON = ("daemon-hands", "daemon-midi-clock", "daemon-new-seed")
"""Takes that the daemon itself recorded, on JACK ports, with a second program that played to it."""
RENDER_BARS, RENDER_SEEDS = 16, range(10)
RENDER_CHARTS = ("blues", "waltz", "coda")

Arrivals = list[tuple[float, MidiEvent | Command]]


@dataclass(frozen=True)
class Scene:
    """Settings by key, what arrives until `until`, and by how much the clock oversleeps, in turn."""

    keys: Mapping[str, Any]
    arrives: Callable[[], Arrivals] = list
    until: float = 40.0
    oversleeps: Sequence[float] = (0.0001,)
    goes_on: bool = False
    """Whether the take continues an earlier performance."""


def phrases(seed: int, until: float, *, bpm: float = 120, busy: float = 0.5, channel: int = 1) -> Arrivals:
    """Random playing: swung lines, some chords, repeated notes, pedal and pitch bend."""
    rng = np.random.default_rng(seed)
    beat, events = 60 / bpm, Arrivals()
    at, pitch = 0.4, 62
    while at < until:
        if rng.random() > busy:
            at += float(rng.integers(2, 9)) * beat
            continue
        step = float(rng.choice([0.25, 1 / 3, 0.5, 0.5, 1.0])) * beat
        for _ in range(int(rng.integers(3, 14))):
            pitch = int(np.clip(pitch + rng.integers(-5, 6), 45, 88))
            onset = at + float(rng.normal(0, 0.012))
            chord = [pitch, *([pitch - 4, pitch - 9] if rng.random() < 0.15 else [])]
            for number, each in enumerate(chord):
                struck = max(0.0, onset + 0.004 * number)
                events.append((struck, NoteOn(each, int(rng.integers(30, 120)), channel)))
                events.append((struck + step * float(rng.uniform(0.3, 1.2)), NoteOff(each, channel)))
            at += step
        if rng.random() < 0.3:
            events += [(at - beat, ControlChange(64, 127, channel)), (at + beat, ControlChange(64, 0, channel))]
        if rng.random() < 0.2:
            events += [(at, PitchBend(4096, channel)), (at + beat, PitchBend(0, channel))]
        at += float(rng.integers(1, 6)) * beat
    return in_order(events)


def in_order(*parts: Arrivals) -> Arrivals:
    """All parts together, sorted by second."""
    return sorted((one for part in parts for one in part), key=lambda one: one[0])


def notes(pitches: str, at: float, lasts: float, channel: int) -> Arrivals:
    """Pitches held together."""
    numbers = [int(pitch) for pitch in pitches.split()]
    return [(at, NoteOn(each, 70, channel)) for each in numbers] + [
        (at + lasts, NoteOff(each, channel)) for each in numbers
    ]


def ticks(start: float, bpm: float, count: int, jitter: float = 0.001, lost: int = 0) -> Arrivals:
    """Ticks of a clock with jitter; one in `lost` does not arrive."""
    apart = 60 / bpm / 24
    return [
        (start + at * apart + jitter * ((at * 7) % 5 - 2) / 2, ClockTick())
        for at in range(count)
        if not lost or at % lost != lost - 1
    ]


def modes() -> Arrivals:
    """The modes one after another, from bar lines and at once."""
    order = ("trade", "answer", "duet", "solo", "off", "trade", "duet", "off", "answer", "solo")
    asked: Arrivals = [(3.1 + 3.7 * at, SetMode(mode, now=at % 3 == 1)) for at, mode in enumerate(order)]  # type: ignore[arg-type]
    return in_order(phrases(5, 40), asked)


def midi_clock() -> Arrivals:
    """Start, stop, continue, a song position while it plays and while it is stopped, and a clock that is lost."""
    first: Arrivals = [(0.2, SetPortPeriod(0.0)), (0.9, ClockStart()), *ticks(0.92, 104, 24 * 14), (9.1, ClockStop())]
    first = [one for one in first if one[0] <= 9.1]
    on: Arrivals = [(10.0, ClockContinue()), *ticks(10.02, 104, 24 * 8, lost=97)]
    far: Arrivals = [(14.8, SongPosition(36)), *ticks(14.85, 132, 24 * 10)]
    stopped: Arrivals = [
        (19.6, ClockStop()),
        (20.0, SongPosition(70)),
        (20.5, ClockContinue()),
        *ticks(20.52, 132, 24 * 12),
    ]
    again: Arrivals = [(32.0, ClockStart()), *ticks(32.03, 96, 24 * 10, 0.002)]
    return in_order(first, on, far, stopped, again, phrases(6, 38, bpm=104))


def link() -> Arrivals:
    """A session that starts, changes its tempo, jumps, stops and starts again."""
    states: Arrivals = [
        (0.5 + at / 10, LinkState(112.0, at * 0.1 * 112 / 60 + (0.01 if at % 7 else 0), at > 15, 1))
        for at in range(120)
    ]
    beat = 120 * 0.1 * 112 / 60
    faster: Arrivals = [(12.5 + at / 10, LinkState(140.0, beat + at * 0.1 * 140 / 60, True, 2)) for at in range(80)]
    jumped: Arrivals = [
        (20.5 + at / 10, LinkState(140.0, 61.3 + at * 0.1 * 140 / 60, at < 60 or at > 90, 0)) for at in range(150)
    ]
    return in_order(states, faster, jumped, phrases(7, 35, bpm=112))


def hands() -> Arrivals:
    """Knobs, pedals and pads, bound by the settings or learned."""
    sweep: Arrivals = [(4 + place / 40, ControlChange(20, place, 1)) for place in range(128)]
    fine: Arrivals = [(9 + place / 200, ControlChange(21, 127 - place, 3)) for place in range(128)]
    learn: Arrivals = [(11.0, LearnBinding(read_learn_target("play.density 0.2-2"))), (11.6, ControlChange(74, 30, 1))]
    learn += [(12 + place / 30, ControlChange(74, place, 1)) for place in range(30, 120)]
    learn += [
        (16.0, LearnBinding(read_learn_target("again"))),
        (16.5, NoteOn(30, 80, 2)),
        (16.6, NoteOff(30, 2)),
        (19.0, NoteOn(30, 80, 2)),
    ]
    pedal: Arrivals = [
        (second, ControlChange(65, value, 1))
        for at in (18.0, 18.55, 19.1, 19.65)
        for second, value in ((at, 127), (at + 0.1, 0))
    ]
    pads: Arrivals = [
        (22.0, NoteOn(24, 90, 10)),
        (22.1, NoteOff(24, 10)),
        (26.0, NoteOn(26, 90, 1)),
        (26.2, NoteOff(26, 1)),
    ]
    pads += [(27.5, NoteOn(25, 90, 1)), (30.0, ControlChange(66, 127, 1)), (31.0, ControlChange(66, 0, 1))]
    return in_order(phrases(8, 38, busy=0.4), sweep, fine, learn, pedal, pads)


def presets(order: Sequence[str]) -> Arrivals:
    """Program changes that select presets, and the changed settings with which the daemon answers."""
    base, arrivals = settings_of(PROGRAMS), Arrivals()
    settings, former = base, NO_LAYER
    for at, name in enumerate(order):
        second = 3.0 + 6.0 * at
        preset = read_preset(name)
        found = preset_difference(settings, preset, former, base)
        arrivals += [(second, ProgramChange(at, 1)), (second + 0.02, ChangeSettings(found.values))]
        settings, former = with_values(settings, found.values), preset
    return in_order(arrivals, phrases(9, 40))


def charts() -> Arrivals:
    """Other charts while it plays, two of them close together; panic, a released channel, start and stop."""
    asked: Arrivals = [
        (2.2, SetChart(chart_of("| Fm7 Bb7 | Ebmaj7 | % | G7alt |"))),
        (7.9, SetChart(chart_of("3/4 Am7 | 2/4 D7 | 7/8 Gmaj7 C"))),
        (8.3, SetChart(chart_of("| Cm7 | F7 | Bbmaj7 |"))),
        (12.0, Panic()),
        (14.0, Stop()),
        (15.0, NoteOn(60, 80, 1)),
        (15.2, NoteOff(60, 1)),
        (16.0, Start()),
        (22.3, Start()),
        (27.0, ReleaseChannel(3)),
        (28.0, PlayVariation()),
        (33.0, ChangeSettings((("tempo.bpm", 171.0), ("play.swing", 0.62)))),
    ]
    return in_order(phrases(10, 38), asked)


def live() -> Arrivals:
    """Settings that change within a bar, one after another."""
    values: list[tuple[str, object]] = [
        ("play.rate", "sixteenth"),
        ("play.temperature", 0.4),
        ("play.gate", 0.4),
        ("play.comp", ("bass",)),
        ("play.rate", "phrase"),
        ("play.offset_ms", 40),
        ("play.velocity", 50),
        ("play.swing", 0.7),
        ("tempo.bpm", 190.0),
        ("play.rate", "triplet"),
        ("play.comp", ("shells",)),
        ("midi.transpose", -2),
        ("play.harmony", 2.0),
        ("play.rests", 0),
        ("play.contour", 0.5),
        ("play.mode", "trade"),
        ("play.trade_bars", 1),
        ("play.offset_ms", -30),
        ("play.top_k", 5),
    ]
    asked: Arrivals = [(1.3 + 1.9 * at, ChangeSettings((value,))) for at, value in enumerate(values)]
    return in_order(phrases(11, 40, busy=0.3), asked)


def storm(seed: int, until: float) -> Arrivals:
    """Random events and commands at random times."""
    rng = np.random.default_rng(seed)
    words: list[Callable[[], MidiEvent | Command]] = [
        lambda: NoteOn(int(rng.integers(40, 90)), int(rng.integers(1, 128)), 1),
        lambda: NoteOff(int(rng.integers(40, 90)), 1),
        lambda: ControlChange(int(rng.choice([1, 20, 64])), int(rng.integers(0, 128)), 1),
        lambda: ChangeSettings((("tempo.bpm", float(rng.integers(60, 300))),)),
        lambda: SetChart(
            chart_of(str(rng.choice(["| Fm7 Bb7 | Ebmaj7 |", "3/4 Am7 | 2/4 D7 | 7/8 Gmaj7 C", "| C6 |"])))
        ),
        lambda: SetMode(str(rng.choice(["solo", "trade", "answer", "duet", "off"])), bool(rng.integers(2))),  # type: ignore[arg-type]
        lambda: ChangeSettings((("play.rate", str(rng.choice(["beat", "eighth", "triplet", "sixteenth", "phrase"]))),)),
        lambda: ChangeSettings((("play.comp", ((), ("shells",), ("bass",))[int(rng.integers(3))]),)),
        lambda: ChangeSettings((("play.offset_ms", int(rng.integers(-60, 60))), ("play.swing", 0.6))),
        Panic,
        Start,
        Stop,
        PlayVariation,
        TapTempo,
    ]
    weights = np.array([14, 10, 5, 2, 2, 3, 2, 1, 1, 0.5, 1.5, 1, 2, 2])
    arrivals: Arrivals = []
    at = 0.2
    while (at := at + float(rng.exponential(0.35))) < until:
        arrivals.append((at, words[int(rng.choice(len(words), p=weights / weights.sum()))]()))
    return arrivals


NO_LAYER: SettingsLayer = {}
LATE = (0.0001, 0.0, 0.0004, 0.003, 0.0, 0.045, 0.0002, 0.0, 0.2, 0.0, 0.0001)
PROGRAMS = {
    "midi.programs.1": "ballad",
    "midi.programs.2": "bebop",
    "midi.programs.3": "fours",
    "midi.programs.4": "modal",
    "midi.programs.5": "wild",
    "play.seed": 3,
}
MIXED = "title: Mixed\n4/4 Dm7 | 3/4 G7 | Cmaj7 | 4/4 A7alt | 5/4 Dm7 G7 | 7/8 Em7b5 A7 | 6/8 Fmaj7 | 4/4 N.C. |"
HELD = in_order(
    notes("53 57 60 63", 1.97, 1.0, 3),
    notes("46 50 56", 5.03, 2.0, 3),
    notes("48 55", 8.0, 1.0, 3),
    notes("52 55 58 61", 10.5, 0.4, 3),
    notes("50 53 57 60", 14.02, 3.0, 3),
    notes("55 59 62 65", 17.0, 1.0, 3),
    notes("48 52 55 59", 21.0, 4.0, 3),
    phrases(4, 30),
)
KNOBS = {
    "midi.cc.20": "play.rate",
    "midi.cc.21": "play.velocity 1-127",
    "midi.cc.65": "tap",
    "midi.cc.66": "mode",
    "midi.notes.C1": "mode",
    "midi.notes.D1": "stop",
    "midi.notes.C#1": "start",
    "play.trade_bars": 1,
}

SCENES: Mapping[str, Scene] = {
    "solo": Scene({"play.rate": "eighth"}, partial(phrases, 1, 38)),
    "solo-phrase": Scene({"play.rate": "phrase", "tempo.bpm": 180}, partial(phrases, 2, 38, bpm=180)),
    "solo-beat": Scene({}, partial(phrases, 3, 38)),
    "trade-you-first": Scene(
        {"play.mode": "trade", "play.trade_bars": 2, "play.rate": "phrase"}, partial(phrases, 12, 38)
    ),
    "trade-it-first": Scene(
        {"play.mode": "trade", "play.trade_first": "sideman", "play.rate": "eighth"}, partial(phrases, 13, 38)
    ),
    "answer": Scene({"play.mode": "answer", "play.rate": "phrase"}, partial(phrases, 14, 38)),
    "answer-triplet": Scene(
        {"play.mode": "answer", "play.rate": "triplet", "play.patience": 3}, partial(phrases, 15, 38)
    ),
    "duet": Scene({"play.mode": "duet", "play.rate": "eighth"}, partial(phrases, 16, 38, busy=0.7)),
    "off": Scene({"play.mode": "off", "play.comp": "shells"}, partial(phrases, 17, 20), 22),
    "modes": Scene({"play.rate": "eighth", "play.trade_bars": 1, "midi.lamp": 50, "midi.program": 67}, modes),
    "held-chords": Scene({"midi.chords": 3, "play.rate": "eighth", "play.comp": "bass"}, lambda: HELD, 32),
    "midi-clock": Scene({"tempo.source": "midi-clock", "play.rate": "eighth"}, midi_clock),
    "midi-clock-passed-on": Scene(
        {"tempo.source": "midi-clock", "tempo.wait_start": False, "tempo.clock_out": True, "play.rate": "phrase"},
        midi_clock,
    ),
    "link": Scene({"tempo.source": "link", "play.rate": "eighth", "tempo.clock_out": True}, link),
    "hands": Scene({**KNOBS, "midi.lamp": 20}, hands),
    "presets": Scene(PROGRAMS, partial(presets, ("ballad", "bebop", "fours", "modal", "wild")), 36),
    "mixed-meters": Scene(
        {"chart.changes": MIXED, "play.rate": "eighth", "play.comp": "bass", "play.swing": 0.62},
        partial(phrases, 18, 38),
    ),
    "mixed-trade": Scene(
        {"chart.changes": MIXED, "play.mode": "trade", "play.trade_bars": 2, "play.rate": "phrase"}, charts
    ),
    "shells": Scene({"play.comp": "shells", "play.rate": "phrase", "chart.file": "coda"}, partial(phrases, 19, 30), 32),
    "bass": Scene(
        {"play.comp": "bass", "play.rate": "sixteenth", "chart.file": "waltz", "play.gate": 0.5},
        partial(phrases, 20, 30),
        32,
    ),
    "count-in-and-ending": Scene(
        {
            "play.count_in": 2,
            "chart.choruses": 1,
            "play.rate": "phrase",
            "tempo.clock_out": True,
            "play.comp": "shells",
        },
        partial(phrases, 21, 20),
        60,
    ),
    "begun-again": Scene({"play.count_in": 1, "chart.choruses": 2, "play.rate": "eighth"}, charts, 70),
    "late-machine": Scene({"play.rate": "sixteenth", "play.comp": "bass"}, partial(phrases, 22, 38), oversleeps=LATE),
    "late-clock": Scene({"tempo.source": "midi-clock", "play.rate": "sixteenth"}, midi_clock, oversleeps=LATE),
    "charts": Scene({"play.rate": "eighth", "play.comp": "shells"}, charts),
    "live": Scene({}, live),
    "early": Scene({"play.offset_ms": -80, "play.rate": "eighth", "tempo.clock_out": True}, modes),
    "smooth": Scene(
        {"play.rate": "phrase", "play.settle": True, "play.leap": 9, "play.apart": 0.25, "play.window": 2},
        partial(phrases, 23, 30),
        32,
    ),
    "gone-on": Scene(
        {"play.rate": "eighth", "play.comp": "bass"},
        lambda: [(second + 100, item) for second, item in phrases(24, 20)],
        122,
        goes_on=True,
    ),
    "storm-1": Scene({"midi.cc.20": "play.density", "play.count_in": 1}, partial(storm, 31, 38)),
    "storm-2": Scene(
        {"midi.cc.20": "play.mode", "play.mode": "answer", "tempo.clock_out": True},
        partial(storm, 32, 38),
        oversleeps=LATE,
    ),
    "storm-3": Scene(
        {"midi.cc.1": "tempo.bpm", "play.mode": "duet", "play.offset_ms": -40, "chart.changes": MIXED},
        partial(storm, 33, 38),
    ),
    "storm-4": Scene(
        {"play.mode": "trade", "midi.chords": 1, "play.comp": "bass", "midi.lamp": 3}, partial(storm, 34, 38)
    ),
    "storm-5": Scene(
        {"chart.choruses": 1, "play.rate": "phrase", "chart.changes": "| Dm7 | G7 | Cmaj7 | A7 |"},
        partial(storm, 35, 38),
    ),
    "storm-6": Scene(
        {"chart.file": "waltz", "play.comp": "shells", "play.swing": 0.7}, partial(storm, 36, 38), oversleeps=LATE
    ),
}


def settings_of(keys: Mapping[str, Any]) -> Any:
    """Settings with these keys, and the accompaniment of that version."""
    given = {"play.seed": 1, "play.style": "plain", "control.socket": "none", **keys}
    return resolve_settings([{name: WrittenValue(value, "scene") for name, value in given.items()}])


def chart_of(changes: str) -> Any:
    """The chart of these changes."""
    return load_chart(settings_of({"chart.changes": changes}))


def record(scene: Scene, folder: Path) -> Journal:
    """The take of a scene, played by this version of the program."""
    settings = settings_of(scene.keys)
    made = load_performance(settings, load_chart(settings))
    clocks, waits = clock_config(made), cycle(scene.oversleeps)
    engine = made.make_engine(0.1, clocks=clocks)
    if scene.goes_on:
        perform_with_reports(made, phrases(25, 7), 7.3, engine=engine)
        engine = resumed_engine(made, state_of(engine.memory(), made), 100.0, clocks)
    header, reports, _ = perform_with_reports(made, scene.arrives(), scene.until, lambda: next(waits), engine)
    header = msgspec.structs.replace(header, path="", date="2026-11-22T12:00:00+00:00", python="3.11")
    return recorded_take(folder, header, reports)


def rendered(preset: str | None, chart: str, made: Performance | None = None) -> Iterator[tuple[str, str]]:
    """For each seed, the name of the render of a preset over a chart, and a hash of its MIDI file."""
    given: dict[str, WrittenValue] = {"chart.file": WrittenValue(chart, "render")}
    settings = SettingsSources(preset, None, given).read()
    of_that_version = [("play.repeats", 1.0), ("play.variety", 0)]
    of_that_version += [("play.repetition", 2)] if settings.play.repetition is None else []
    settings = with_values(settings, of_that_version)
    made = load_performance(settings, load_chart(settings))
    for seed in RENDER_SEEDS:
        take = render_take(replace(made, seed=seed), RENDER_BARS, "sideman")
        yield f"{preset or 'none'} {chart} {seed}", hashlib.sha256(take.midi).hexdigest()[:16]


def render_presets() -> list[str | None]:
    """Every bundled preset, and none."""
    return [None, *resources.resource_names("presets", ".yaml")]


def hashes() -> dict[str, str]:
    """The hash of every render, by preset, chart and seed."""
    return dict(one for preset in render_presets() for chart in RENDER_CHARTS for one in rendered(preset, chart))


def journal_of(name: str, folder: Path) -> Journal:
    """The recorded take of a scene, unpacked into `folder`."""
    path = TakeFolder(folder).journal(name)
    path.write_bytes(gzip.decompress((RECORDED / f"{name}.jsonl.gz").read_bytes()))
    return Journal(path)


def midi_hash(journal: Journal) -> str:
    """A hash of the MIDI file of a take. It names the settings; those that are newer than the take do not count."""
    with journal.path.open(encoding="utf-8") as lines:
        recorded = json.loads(next(lines))["settings"]
    known = {name: value for name, value in settings_to_json(journal.header.settings).items() if name in recorded}
    with patch("sideman.takes.midi_file.settings_to_json", return_value=known):
        midi = TakeMidiFile(journal.header, journal.reports())
    return hashlib.sha256(midi.contents()).hexdigest()[:16]


def main() -> None:
    """Write everything except the takes that the daemon recorded."""
    os.environ["XDG_DATA_HOME"] = str(DATA)
    RECORDED.mkdir(exist_ok=True)
    for name, scene in SCENES.items():
        with tempfile.TemporaryDirectory() as folder:
            journal = record(scene, Path(folder))
            packed = gzip.compress(journal.path.read_bytes(), 9, mtime=0)
            (RECORDED / f"{name}.jsonl.gz").write_bytes(packed)
    with tempfile.TemporaryDirectory() as folder:
        midis = {name: midi_hash(journal_of(name, Path(folder))) for name in (*SCENES, *BY_THE_DAEMON)}
    MIDIS.write_text(json.dumps(midis, indent=0) + "\n", "utf-8")
    RENDERS.write_text(json.dumps(hashes(), indent=0) + "\n", "utf-8")


if __name__ == "__main__":
    main()
