# SPDX-License-Identifier: Apache-2.0
"""What reading costs: nanoseconds a byte at four sizes of the worst shapes of each kind of file.

If the cost grows in proportion to the size, the figures of a row are alike. The largest size is the limit of the kind
(`sideman_models.limits`), or where the reader stops before it.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.figures import Budget, Figure
from sideman.charts.abc import abc_songs
from sideman.charts.ireal import read_ireal
from sideman.charts.midi import read_midi_chart
from sideman.charts.musicxml import read_musicxml
from sideman.config.reading import ChartJob
from sideman.config.yaml import parse_yaml
from sideman.control.readings import Readings, Steps
from sideman.core.chart.chart import Meter
from sideman.core.chart.form import MAX_BARS
from sideman.core.chart.text import parse_changes
from sideman.core.errors import SidemanError
from sideman.core.settings.resolve import resolve_settings
from sideman_models.errors import ModelsError
from sideman_models.files import ZipReader
from sideman_models.limits import CHART, CHART_TEXT, DESCRIPTION, MIDI, PLAYLIST, SCORE, SETTINGS, SONG, TUNE, TUNES
from sideman_models.music.harmony import parse_chord
from sideman_models.network.storage import read_npz

STEPS = 4
GROWTH = 2.5
"""By how much a byte may cost more at the largest size than at a quarter of it: twice is noise, 4 is quadratic."""

MAX_KEPT_MS = 20
"""For how long the main thread may be kept by a file that is read for it: a panic that comes then waits for that."""

Reader = Callable[[bytes], object]
Shape = Callable[[int], bytes]


def _repeated(text: str, before: str = "", after: str = "") -> Shape:
    """A text of this size that repeats `text`."""
    return lambda size: f"{before}{text * max(1, (size - len(before) - len(after)) // len(text))}{after}".encode()


_CHORD = "<harmony><root><root-step>C</root-step></root><kind>dominant</kind></harmony>"
_PART, _PART_END = "<score-partwise><part><measure>", "</measure></part></score-partwise>"


def _odd_divisions(size: int) -> bytes:
    """Notes in one bar, each with other divisions: without a limit, their places become ever longer fractions."""
    each = "<attributes><divisions>{}</divisions></attributes><note><duration>1</duration></note>" + _CHORD
    count = size // 180
    return (_PART + "".join(each.format(10**14 + 7 * number) for number in range(count)) + _PART_END).encode()


def _midi(track: bytes, size: int, tracks: int = 1) -> bytes:
    """A MIDI file whose tracks repeat these events."""
    events = track * max(1, size // len(track) // tracks)
    chunk = b"MTrk" + struct.pack(">I", len(events)) + events
    return b"MThd" + struct.pack(">IHHH", 6, 1, tracks, 96) + chunk * tracks


def _deflated(size: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.xml", bytes(size))
    return packed.getvalue()


def _npz(size: int) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, a=np.zeros(size // 4, np.float32))
    return packed.getvalue()


def _attributes(size: int) -> bytes:
    names = " ".join(f'a{number}=""' for number in range(size // 12))
    return f"<score-partwise {names}/>".encode()


def _keys(size: int) -> bytes:
    return "".join(f"play{number}: {number}\n" for number in range(size // 18)).encode()


def _chart(data: bytes) -> object:
    return parse_changes(data.decode(), Meter(4, 4), "x")


def _settings(data: bytes) -> object:
    content = parse_yaml(data, "x")
    return resolve_settings([content.values], content.problems)


def _score(data: bytes) -> object:
    return read_musicxml(data, "x")


def _midi_chart(data: bytes) -> object:
    return read_midi_chart(data, "x")


def _ireal(data: bytes) -> object:
    return read_ireal(data.decode(), "x", "no such song")


def _tune(data: bytes) -> object:
    return abc_songs(data.decode(), "x")[0].read()


_MIDI_BYTES = 4 * MIDI.count  # the smallest file that can have the largest number of notes
_SONG = "Song=Her=Swing=C=n=[T44C |F Z=="

READERS: dict[str, tuple[Reader, Shape, int]] = {
    "text: bars of one chord": (_chart, _repeated("| C7 "), CHART_TEXT.bytes),
    "text: all chords in one bar": (_chart, _repeated("C7 "), CHART_TEXT.bytes),
    "text: one long chord": (_chart, _repeated("7", "C"), CHART_TEXT.bytes),
    "text: many chords a bar": (_chart, _repeated("| 16/16 " + "C G " * 16), CHART_TEXT.bytes),
    "text: endings": (_chart, _repeated(" [1] C :|[2] D |||: C "), CHART_TEXT.bytes),
    "text: bar lines": (_chart, _repeated("|"), CHART_TEXT.bytes),
    "text: blanks": (_chart, _repeated(" ", "| C |", "x"), CHART_TEXT.bytes),
    "text: signs": (_chart, _repeated("D.C. al \t"), CHART_TEXT.bytes),
    "text: brackets": (_chart, _repeated("["), CHART_TEXT.bytes),
    "text: comments": (_chart, _repeated(" #"), CHART_TEXT.bytes),
    "score: chords in one bar": (_score, _repeated(_CHORD, _PART, _PART_END), SCORE.bytes),
    "score: other divisions for each note": (_score, _odd_divisions, SCORE.bytes),
    "score: degrees of one chord": (
        _score,
        _repeated(
            "<degree><degree-value>9</degree-value></degree>",
            _PART + _CHORD.replace("</harmony>", ""),
            "</harmony>" + _PART_END,
        ),
        SCORE.bytes,
    ),
    "score: elements": (_score, _repeated("<a/>", _PART, _PART_END), SCORE.bytes // 2),
    "score: nesting": (_score, _repeated("<a>", "<score-partwise>"), SCORE.bytes // 4),
    "score: a long name": (_score, _repeated("a", "<", "/>"), SCORE.bytes),
    "score: attributes": (_score, _attributes, SCORE.bytes),
    "score: a long title": (
        _score,
        _repeated("x", "<score-partwise><movement-title>", "</movement-title>" + _PART[16:] + _CHORD + _PART_END),
        SCORE.bytes,
    ),
    "score: single ampersands": (_score, _repeated("&a", _PART), SCORE.bytes),
    "score: cut off": (_score, _repeated("<a>", _PART + _CHORD), SCORE.bytes // 4),
    "score: chords of one element": (
        _score,
        _repeated("<function>V</function>", _PART + "<harmony>", "</harmony>" + _PART_END),
        SCORE.bytes,
    ),
    "score: compressed zeros": (lambda data: ZipReader(data, SCORE.bytes).read("a.xml"), _deflated, SCORE.bytes),
    "iReal: songs": (_ireal, _repeated(_SONG, "irealbook://"), PLAYLIST.bytes),
    "iReal: links": (_ireal, _repeated("irealbook://\n"), PLAYLIST.bytes),
    "iReal: half open signs": (_ireal, _repeated("<", "irealbook://A=B=C=C=n=", "="), SONG.bytes),
    "ABC: tunes": (_tune, _repeated('X:1\nK:C\n"C"c8|\n\n'), 16 * TUNES.count),
    "ABC: notes of one bar": (_tune, _repeated('"C"c', "X:1\nK:C\n"), TUNE.bytes),
    "ABC: bars": (_tune, _repeated('"C"c8|', "X:1\nK:C\n"), 6 * MAX_BARS),
    "ABC: half open signs": (_tune, _repeated('[(!+"', "X:1\nK:C\n"), TUNE.bytes),
    "ABC: odd tuplets": (_tune, _repeated('(9:7:3"C"c13/11', "X:1\nK:C\n"), TUNE.bytes),
    "text: a line without bar lines": (_chart, _repeated("C "), 2 * MAX_BARS),
    "text: alternatives": (_chart, _repeated("| C (", "| C "), CHART_TEXT.bytes),
    "text: wrong chords": (_chart, _repeated("| Q "), CHART_TEXT.bytes),
    "text: headers": (_chart, _repeated("key: F, "), CHART_TEXT.bytes),
    "MIDI: notes": (_midi_chart, lambda size: _midi(b"\x01\x90\x40\x40\x01\x80\x40\x40", size), _MIDI_BYTES),
    "MIDI: notes without an end": (_midi_chart, lambda size: _midi(b"\x01\x90\x40\x40", size), _MIDI_BYTES),
    "MIDI: chords": (
        _midi_chart,
        lambda size: _midi(b"\x30\x90\x40\x40\x00\x43\x40\x00\x47\x40\x30\x40\x00\x00\x43\x00\x00\x47\x00", size),
        _MIDI_BYTES,
    ),
    "MIDI: meta events": (_midi_chart, lambda size: _midi(b"\x00\xff\x01\x01C", size), _MIDI_BYTES),
    "MIDI: meters": (
        _midi_chart,
        lambda size: _midi(b"\x20\xff\x58\x04\x03\x02\x18\x08\x20\xff\x58\x04\x04\x02\x18\x08\x00\x90\x40\x40", size),
        _MIDI_BYTES,
    ),
    "MIDI: tracks": (_midi_chart, lambda size: _midi(b"\x10\x90\x40\x40\x10\x80\x40\x40", size, 1024), _MIDI_BYTES),
    "YAML: unknown keys": (_settings, _keys, SETTINGS.bytes),
    "YAML: nesting": (_settings, _repeated("{a: "), SETTINGS.bytes),
    "YAML: aliases": (_settings, _repeated("b: [*a, *a]\n", "a: &a [x, x]\n"), SETTINGS.bytes),
    "YAML: one long word": (_settings, _repeated("x", "play: {gate: ", "}"), SETTINGS.bytes),
    "bundle: description": (json.loads, _repeated("[],", "[", "[]]"), DESCRIPTION.bytes),
    "bundle: weights": (lambda data: read_npz(data, len(data)), _npz, 1 << 26),
    "chord: a long text": (lambda data: parse_chord(data.decode()), _repeated("b9", "C"), CHART.bytes),
}
"""Each shape: what reads it, what makes it at a size, and its largest size."""


def figures(effort: float) -> Iterator[Figure]:
    """Each shape at `STEPS` sizes, each twice as large as the one before."""
    for what, (read, shape, largest) in READERS.items():
        sizes = [max(64, int(largest * min(1.0, effort)) >> step) for step in reversed(range(STEPS))]
        times = {size: _seconds(read, shape(size)) for size in sizes}
        costs = {size: 1e9 * seconds / size for size, seconds in times.items()}
        last, quarter = sizes[-1], sizes[-3]
        growth = costs[last] / max(costs[quarter], 1e-9)
        alike = min(growth, times[last] / 0.05)  # what takes some milliseconds is no worse for having grown
        budget = Budget(f"at most {GROWTH:g} times as much a byte as at a quarter of the size", GROWTH, alike)
        beside = {f"{size >> 10} KiB": cost for size, cost in costs.items() if size != last}
        yield Figure(f"reading {what}", "ns a byte", costs[last], None, beside, budget, f"{times[last]:.2f} s in all")
    with tempfile.TemporaryDirectory() as folder:
        for what in KEPT:
            yield _main_thread_kept(Path(folder), what, effort)


KEPT = (
    "text: bars of one chord",
    "text: many chords a bar",
    "score: other divisions for each note",
    "score: nesting",
    "score: attributes",
)


def _seconds(read: Reader, data: bytes) -> float:
    """How long it takes to read `data`, or to refuse it: the shorter of two times."""
    times = []
    for _ in range(2):
        began = time.process_time()
        with contextlib.suppress(SidemanError, ModelsError):
            read(data)
        times.append(time.process_time() - began)
    return min(times)


def _main_thread_kept(folder: Path, what: str, effort: float) -> Figure:
    """For how long the main thread of the daemon is kept, at most, while a process reads such a file for it."""
    _, shape, largest = READERS[what]
    file = folder / f"chart{'.musicxml' if what.startswith('score') else '.chart'}"
    file.write_bytes(shape(max(64, int(largest * min(1.0, effort)))))
    outcomes: list[object] = []
    pieces: list[float] = []
    began = time.monotonic()
    with contextlib.closing(Readings()) as reader:
        reader.perform("chart", _one_job(ChartJob({"chart.file": str(file)}))).then(outcomes.append)
        while not outcomes:
            reader.selector.select(max(0.0, min(1.0, reader.wakes_at() - time.monotonic())))
            before = time.monotonic()
            reader.serve(before)
            pieces.append(time.monotonic() - before)
    took = time.monotonic() - began
    budget = Budget(f"at most {MAX_KEPT_MS} ms", MAX_KEPT_MS, 1e3 * max(pieces))
    answer = type(outcomes[0]).__name__
    return Figure(
        f"the main thread while {what}", "ms", 1e3 * max(pieces), None, {}, budget, f"{answer} in {took:.2f} s"
    )


def _one_job(job: ChartJob) -> Steps:
    answer = yield job
    return answer
