# SPDX-License-Identifier: Apache-2.0
"""How the band plays, over charts of every style: what a listener would count; and how late it is sent.

The lateness stands beside that of the same daemon without a band, measured in the same rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec.structs import replace

from bench.figures import Budget, Figure, Samples, median, p99
from bench.scene import SEED, performance, undisturbed
from bench.timing import BUSY, daemon_lateness, unread_log
from sideman.core.chart.chart import Chart
from sideman.core.chart.styles import STYLES
from sideman.core.engine import play_through
from sideman.core.events import NotePlayed
from sideman.service.service import THREAD_SWITCH_S

ROOTS_AT_LEAST, LATE_US = 0.95, 200
_BAND: list[str] = ["bass", "shells", "drums"]
_CHARTS = (
    "| Fmaj7 | Fmaj7/A Abdim7 | Gm7 | C7sus C7 | Cm7 F7 | Bbmaj7 Bbm6 | Am7 D7b9 | Gm7 C7 |",
    "| F7 | Bb7 | F7 | Cm7 F7 | Bb7 | Bdim7 | F7 | Am7b5 D7b9 | Gm7 | C7 | F7 D7 | Gm7 C7 |",
    "| Dm9 | % | % | % | Ebm9 | % | % | % | Cmaj7/E Eb7 | Dm7 Db7 | N.C. | Gsus G7alt |",
)
_CHORUSES, _ROUNDS = 8, 6


def figures(effort: float) -> Iterator[Figure]:
    """What the band plays, and the lateness with it."""
    choruses = max(1, round(_CHORUSES * effort))
    played = [_play(changes, style, choruses) for changes in _CHARTS for style in STYLES]
    yield _roots(played)
    yield _leading(played)
    yield _collisions(played)
    rounds = max(1, round(_ROUNDS * effort))
    with undisturbed(THREAD_SWITCH_S), unread_log():
        yield _lateness(rounds)


_Played = tuple[Chart, list[NotePlayed]]


def _play(changes: str, style: str, choruses: int) -> _Played:
    """The notes of solo and band over a chart; the beats are those that are written."""
    keys = {"play.comp": _BAND, "play.style": style, "play.rate": "phrase", "play.swing": 0.5}
    made = performance({**keys, "chart.changes": changes})
    engine, notes = made.make_engine(0.0, beats=choruses * made.chart.length), list[NotePlayed]()
    engine.report = lambda report: notes.append(report) if isinstance(report, NotePlayed) else None
    for _ in play_through(engine):
        pass
    return made.chart, notes


def _of(notes: Sequence[NotePlayed], voice: str) -> list[NotePlayed]:
    return [note for note in notes if note.voice == voice]


def _roots(played: Sequence[_Played]) -> Figure:
    """At how many changes the bass is on the root, or on the written bass."""
    hits = list[float]()
    for chart, notes in played:
        at = {note.beat: note.note.pitch % 12 for note in _of(notes, "bass")}
        beat, end = 0.0, max((note.beat for note in notes), default=0.0)
        while beat < end:
            chord = chart.chord_at(beat)
            if chord.tones:
                hits.append(float(at.get(beat) == (chord.root if chord.bass is None else chord.bass)))
            beat += chart.next_change(beat)[1]
    share = sum(hits) / len(hits)
    budget = Budget(f"at least {ROOTS_AT_LEAST}", ROOTS_AT_LEAST, share, at_least=True)
    return Figure("band: bass notes on roots at changes", "share", share, budget=budget)


def _leading(played: Sequence[_Played]) -> Figure:
    """How far each voice of the shells moves from one chord to the next, and the bass from note to note."""
    moves, steps = list[float](), list[float]()
    for _, notes in played:
        shells: dict[float, list[int]] = {}
        for note in _of(notes, "comp"):
            shells.setdefault(note.beat, []).append(note.note.pitch)
        voicings = list(dict.fromkeys(zip(shells, map(tuple, map(sorted, shells.values())), strict=True)))
        changes = ((one, two) for (_, one), (_, two) in pairwise(voicings) if one != two)
        moves += [abs(a - b) for one, two in changes for a, b in zip(one, two, strict=True)]
        steps += [abs(b.note.pitch - a.note.pitch) for a, b in pairwise(_of(notes, "bass"))]
    beside = {"the bass, from note to note": sum(steps) / len(steps)}
    step = sum(moves) / len(moves)
    budget = Budget("at most 2 semitones", 2.0, step)
    return Figure("band: a voice of the shells moves", "semitones", step, p99(moves), beside, budget)


def _collisions(played: Sequence[_Played]) -> Figure:
    """How often a note of the solo begins within two semitones of a sounding shell, or below one."""
    near = below = count = 0
    for _, notes in played:
        shells = [(note.beat, note.beat + note.length_beats, note.note.pitch) for note in _of(notes, "comp")]
        for note in _of(notes, "solo"):
            sounding = [pitch for start, end, pitch in shells if start <= note.beat < end]
            near += any(0 < abs(pitch - note.note.pitch) <= 2 for pitch in sounding)
            below += any(note.note.pitch < pitch for pitch in sounding)
            count += 1
    beside = {"below a shell": below / max(1, count)}
    share = near / max(1, count)
    budget = Budget("at most a quarter", 0.25, share)
    return Figure("band: notes of the solo beside a shell", "share", share, None, beside, budget)


def _lateness(rounds: int) -> Figure:
    """The whole daemon with the band and without it, alternately."""
    ours, bare = list[Samples](), list[Samples]()
    for number in range(rounds):
        made = performance({**BUSY, "play.seed": SEED + number})
        bare.append(daemon_lateness(made))
        settings = replace(made.settings, play=replace(made.settings.play, comp=tuple(_BAND), click="beats"))
        ours.append(daemon_lateness(replace(made, settings=settings)))
    beyond = 1e6 * median([p99(one) - p99(other) for one, other in zip(ours, bare, strict=True)])
    budget = Budget(f"p99 at most {LATE_US} µs beyond that, median of rounds", LATE_US, beyond)
    with_band, without = ([late for each in rounds_ for late in each] for rounds_ in (ours, bare))
    beside = {"without a band": 1e6 * median(without), "without a band, p99": 1e6 * p99(without)}
    return Figure("band: all parts are late by", "µs", 1e6 * median(with_band), 1e6 * p99(with_band), beside, budget)
