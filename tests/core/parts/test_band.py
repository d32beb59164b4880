# SPDX-License-Identifier: Apache-2.0
"""The band: each part plays the chart in its style, quieter than the solo, and disturbs no other part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.actions import Panic, Start, Stop
from sideman.core.chart.chart import Chart, parse_meter
from sideman.core.chart.styles import STYLES, style_of
from sideman.core.chart.text import parse_changes
from sideman.core.engine import Engine, play_through
from sideman.core.errors import ConfigError
from sideman.core.events import ChangeSettings, Command, MidiEvent, NoteOff, NoteOn, NotePlayed, SetChart
from sideman.core.parts.band import QUIETER
from sideman.core.parts.comp import SHELL_PITCHES
from sideman.core.parts.drumming import CRASH, HIGH_CLICK, LOW_CLICK, PEDAL_HAT, RIDE, SNARE
from sideman.core.parts.walking import BASS_PITCHES
from sideman.render.render import render_take
from sideman_models.music.values import TICKS_PER_QUARTER
from support.fakes import hanging_notes, performance, play_on_fake_clock, tempo_change
from support.strategies import charts as any_charts

BAND = ["bass", "shells", "drums"]
BASS, SHELLS, DRUMS, SOLO = 3, 2, 10, 1
seeds = st.integers(0, 999)
styles = st.sampled_from(STYLES)
SONG = "[A] | Dm7 | G7 | Cmaj7 | A7alt | [B] | Fm7 | Bb7 | Ebmaj7/G | G7 |"


def chart_of(text: str, meter: str = "4/4") -> Chart:
    """A chart from text."""
    return parse_changes(text, parse_meter(meter), "test")


def engine(chart: Chart | None = None, beats: float | None = 32, comp: object = BAND, **keys: Any) -> Engine:
    """An engine with a band."""
    made = performance(play__comp=comp, **{"midi__bass": BASS, **keys})
    return (made if chart is None else replace(made, chart=chart)).make_engine(0.0, beats=beats)


def notes_of(made: Engine) -> list[NotePlayed]:
    """Everything that an engine plays."""
    played: list[NotePlayed] = []
    made.report = lambda report: played.append(report) if isinstance(report, NotePlayed) else None
    for _ in play_through(made):
        pass
    return played


def of_voice(played: Iterable[NotePlayed], voice: str) -> list[tuple[float, float, NoteOn]]:
    """Onset, length and note of each note of a voice."""
    return [(note.beat, note.length_beats, note.note) for note in played if note.voice == voice]


# -- no part is disturbed


@settings(max_examples=25)
@given(any_charts(), styles, st.sampled_from(["beat", "phrase"]), seeds, st.sets(st.sampled_from(BAND)), st.booleans())
def test_solo_and_parts_are_the_same_whoever_plays_with_them(
    chart: Chart, style: str, rate: str, seed: int, some: set[str], clicks: bool
) -> None:
    """Guards against: a seed that plays another solo, or a bass that plays other notes, when the drums come in."""
    keys: dict[str, Any] = {"play__style": style, "play__rate": rate, "play__seed": seed}
    everything = notes_of(engine(chart, **keys, play__click="beats"))
    part = notes_of(engine(chart, comp=sorted(some), **keys, play__click="beats" if clicks else "off"))
    voices = {
        "solo": True,
        "bass": "bass" in some,
        "comp": "shells" in some,
        "drums": "drums" in some,
        "clicks": clicks,
    }
    for voice, plays in voices.items():
        assert of_voice(part, voice) == (of_voice(everything, voice) if plays else [])


things = st.one_of(
    st.builds(tempo_change, st.sampled_from([40.0, 133.0, 400.0])),
    st.builds(SetChart, any_charts()),
    st.sampled_from([Panic(), Stop(), Start()]),
    st.builds(lambda comp: ChangeSettings((("play.comp", comp),)), st.sampled_from([(), ("bass",), tuple(BAND)])),
    st.builds(lambda style: ChangeSettings((("play.style", style),)), st.sampled_from([*STYLES, "plain", None])),
    st.builds(lambda share: ChangeSettings((("play.anticipation", share),)), st.floats(0, 1)),
    st.builds(NoteOn, st.integers(0, 127), st.integers(1, 127), st.sampled_from([1, 4])),
)


@settings(max_examples=30)
@given(any_charts(), styles, st.lists(st.tuples(st.floats(0, 6), things), max_size=8), st.floats(0, 0.2))
def test_whatever_happens_nothing_hangs_and_the_order_of_beats_is_kept(
    chart: Chart, style: str, given_: list[tuple[float, MidiEvent | Command]], late: float
) -> None:
    """Guards against: a note of the band that hangs, or is played again after a change of chart, chord or style."""
    items = sorted(given_, key=lambda item: item[0])
    made = engine(chart, None, play__style=style, midi__chords=4)
    recorder, _ = play_on_fake_clock(made, 6.0, items, late)
    assert not hanging_notes(message for _, message in recorder.sent)
    for voice in ("bass", "comp", "drums"):
        beats = [note.beat for note in recorder.reports if isinstance(note, NotePlayed) and note.voice == voice]
        assert beats == sorted(beats)


@settings(max_examples=20)
@given(any_charts(), styles, st.integers(1, 127), seeds)
def test_the_band_is_quieter_than_the_solo(chart: Chart, style: str, velocity: int, seed: int) -> None:
    """Guards against: a band that drowns the soloist."""
    played = notes_of(engine(chart, play__style=style, play__velocity=velocity, play__seed=seed))
    loudest = max(1, velocity - QUIETER)
    assert all(1 <= note.note.velocity <= loudest for note in played if note.voice != "solo")


# -- what is planned


@settings(max_examples=25)
@given(any_charts(), styles, seeds)
def test_what_is_planned_is_played(chart: Chart, style: str, seed: int) -> None:
    """Guards against: a client that is sent notes ahead which never sound, or that misses one."""
    made = engine(chart, 24, play__style=style, play__seed=seed, play__mode="off")
    played: list[NotePlayed] = []
    made.report = lambda report: played.append(report) if isinstance(report, NotePlayed) else None
    planned_notes: dict[str, set[tuple[float, int, int, float]]] = {part.name: set() for part in made.band}
    while (second := made.deadline()) is not None:
        made.prepare(second)
        for part in made.band:
            planned_notes[part.name] |= {
                (round(one.beat, 6), one.note.pitch, one.note.velocity, round(one.end - one.beat, 6))
                for one in part.planned
            }
        list(made.advance(second))
    for name, voice in (("bass", "bass"), ("shells", "comp"), ("drums", "drums")):
        sounded = {
            (round(note.beat, 6), note.note.pitch, note.note.velocity, round(note.length_beats, 6))
            for note in played
            if note.voice == voice
        }
        assert sounded == planned_notes[name]


def test_a_bar_is_planned_before_it_begins() -> None:
    """Guards against: a page that learns of a note only when it should sound already."""
    made = engine(chart_of(SONG), play__mode="off")
    assert {part.name: part.planned[0].beat for part in made.band if part.planned} == dict.fromkeys(BAND, 0.0)
    list(made.advance(0.0))
    made.prepare(0.0)
    for part in made.band[:3]:
        assert part.planned[0].beat > 0.0
        assert part.planned[-1].beat >= 6.0


@pytest.mark.parametrize(
    "change",
    [SetChart(chart_of("| F#m7 |")), ChangeSettings((("play.comp", ()),)), ChangeSettings((("play.style", "bossa"),))],
)
def test_a_change_takes_back_what_was_planned_for_the_next_bar(change: Command) -> None:
    """Guards against: a page that plays a chart which has been replaced, or a part that has left."""
    made = engine(chart_of(SONG), None, play__mode="off", play__swing=0.5, tempo__bpm=60)
    list(made.advance(1.0))
    made.prepare(1.0)
    before = {part.name: part.planned for part in made.band[:3]}
    made.receive(change, 1.5)
    for part in made.band[:3]:
        assert {one.beat for one in part.planned if one.beat <= 2} == {
            one.beat for one in before[part.name] if one.beat <= 2
        }
        assert [one for one in part.planned if one.beat >= 4] != [one for one in before[part.name] if one.beat >= 4]


def test_a_held_chord_is_played_from_the_next_beat() -> None:
    """Guards against: a band that goes on with the chart under the chord that the player holds."""
    chord = [(2.3, NoteOn(pitch, 70, 4)) for pitch in (54, 57, 61, 64)]  # F#m7
    made = engine(chart_of("| C7 |"), None, play__mode="off", tempo__bpm=60, midi__chords=4)
    recorder, _ = play_on_fake_clock(made, 5.0, chord)
    played = [note for note in recorder.reports if isinstance(note, NotePlayed)]
    assert next(note.pitch % 12 for beat, _, note in of_voice(played, "bass") if beat >= 3) == 6
    assert {note.pitch % 12 for beat, _, note in of_voice(played, "comp") if beat == 3} == {9, 4}


# -- bass


@settings(max_examples=60)
@given(any_charts(), styles, seeds)
def test_the_bass_is_on_the_root_or_the_written_bass_at_every_change(chart: Chart, style: str, seed: int) -> None:
    """Guards against: a player who loses the changes, or a slash chord over a wrong bass."""
    played = of_voice(notes_of(engine(chart, 24, play__style=style, play__seed=seed, play__swing=0.5)), "bass")
    at = {round(beat * TICKS_PER_QUARTER): note.pitch for beat, _, note in played}
    assert all(pitch in BASS_PITCHES for pitch in at.values())
    beat = 0.0
    while beat < 24:
        chord = chart.chord_at(beat)
        _, length = chart.next_change(beat)
        tick, end = (
            math.ceil(beat * TICKS_PER_QUARTER - 1e-6),
            math.ceil((beat + min(length, 24.0)) * TICKS_PER_QUARTER),
        )
        if chord.tones and tick < min(end, 24 * TICKS_PER_QUARTER):
            assert at[tick] % 12 == (chord.root if chord.bass is None else chord.bass)
        beat += length


def test_the_bass_walks_into_the_next_chord() -> None:
    """Guards against: a bass that plays scales and arrives by chance."""
    steps, again = [], 0
    for seed in range(20):
        played = of_voice(notes_of(engine(chart_of(SONG), 64, ["bass"], play__seed=seed)), "bass")
        pitches = [note.pitch for _, _, note in played]
        steps += [abs(after - before) for before, after in pairwise(pitches)]
        again += sum(after == before for before, after in pairwise(pitches))
        assert len(pitches) == 64
    assert again <= len(steps) * 0.02
    assert sum(step <= 5 for step in steps) > 0.85 * len(steps)


@pytest.mark.parametrize(
    ("style", "meter", "beats"),
    [
        ("swing", "4/4", [0, 1, 2, 3]),
        ("bossa", "4/4", [0, 1.5, 2, 3.5]),
        ("waltz", "3/4", [0, 1, 2]),
        ("swing", "6/8", [0, 1.5]),
        ("ballad", "5/4", [0, 2, 4]),
    ],
)
def test_each_style_has_its_bass_figure(style: str, meter: str, beats: list[float]) -> None:
    """Guards against: a bossa that walks."""
    made = engine(chart_of("| C7 |", meter), beats[-1] + 0.4, ["bass"], play__style=style, play__swing=0.5)
    assert [beat for beat, _, _ in of_voice(notes_of(made), "bass")] == beats


# -- shells


def shell_chords(made: Engine) -> list[tuple[float, tuple[int, ...]]]:
    """The shells that are played: onset and pitches."""
    chords: dict[float, list[int]] = {}
    for beat, _, note in of_voice(notes_of(made), "comp"):
        chords.setdefault(beat, []).append(note.pitch)
    return [(beat, tuple(sorted(pitches))) for beat, pitches in chords.items()]


@pytest.mark.parametrize("root", ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"])
@pytest.mark.parametrize("quality", ["sus", "7sus", "m", "dim7", "7alt", "6", "5", "+"])
def test_there_is_a_shell_for_every_chord(root: str, quality: str) -> None:
    """Guards against: a chord whose two tones fit nowhere in the narrow range, and stop the music."""
    assert len(shell_chords(engine(chart_of(f"| {root}{quality} |"), 1, ["shells"]))) == 1


@settings(max_examples=30)
@given(any_charts(), styles, st.floats(0, 1), seeds)
def test_every_chord_of_some_length_is_heard_and_nothing_else(
    chart: Chart, style: str, share: float, seed: int
) -> None:
    """Guards against: a chord that is left out, a shell of no chord, shells in the register of the bass or the solo."""
    keys = {"play__style": style, "play__anticipation": share, "play__seed": seed, "play__swing": 0.5}
    chords = shell_chords(engine(chart, 24, ["shells"], **keys))
    for beat, pitches in chords:
        assert len(pitches) == 2
        assert all(pitch in SHELL_PITCHES for pitch in pitches)
        meant = [chart.chord_at(beat + ahead) for ahead in (0, 0.5)]
        assert any({pitch % 12 for pitch in pitches} <= chord.tones | chord.scale for chord in meant)
    beat = 0.0
    while beat < 23:
        length = min(chart.next_change(beat)[1], 24.0)
        if chart.chord_at(beat).tones and length >= 2:
            assert any(beat - 0.5 <= onset < beat + 1 / 12 for onset, _ in chords)
        beat += length


def test_shells_move_little_and_anticipate_as_often_as_is_asked() -> None:
    """Guards against: shells that jump about; anticipations that cannot be turned off."""
    changes = chart_of(SONG)
    early = {}
    for share in (0.0, 1.0):
        chords = shell_chords(engine(changes, 128, ["shells"], play__anticipation=share, play__swing=0.5))
        moves = [sum(abs(a - b) for a, b in zip(one, two, strict=True)) for (_, one), (_, two) in pairwise(chords)]
        assert sum(moves) / len(moves) < 3
        early[share] = sum((beat + 0.5) % 4 == 0 for beat, _ in chords), sum(beat % 4 == 0 for beat, _ in chords)
    assert early[0.0][1] == 32
    assert early[1.0] == (31, 1)


# -- drums


def drum_places(made: Engine) -> dict[int, list[float]]:
    """The beats of each drum."""
    places: dict[int, list[float]] = {}
    for beat, _, note in of_voice(notes_of(made), "drums"):
        places.setdefault(note.pitch, []).append(beat)
    return places


@pytest.mark.parametrize(("bpm", "hand", "other"), [(100, SNARE, RIDE), (200, RIDE, None)])
def test_brushes_or_sticks_by_tempo_with_the_hat_on_two_and_four(bpm: int, hand: int, other: int | None) -> None:
    """Guards against: sticks on a slow tune, and a hi-hat on one and three."""
    places = drum_places(engine(chart_of(SONG), 32, ["drums"], tempo__bpm=bpm, play__swing=0.5))
    assert places[PEDAL_HAT] == [bar * 4 + beat for bar in range(8) for beat in (1.0, 3.0)]
    assert {0.0, 1.0, 1.5, 2.0, 3.0, 3.5} <= {beat for beat in places[hand] if beat < 4}
    assert other not in places


def test_a_fill_leads_to_each_section_and_a_crash_is_on_the_top() -> None:
    """Guards against: a form that cannot be heard."""
    made = engine(chart_of(SONG), 64, ["drums"], tempo__bpm=200, play__swing=0.5)
    places = drum_places(made)
    assert places[CRASH] == [0.0, 32.0]
    bars_of_ride = {int(beat // 4): 0 for beat in range(0, 64, 4)}
    for beat in places[RIDE]:
        bars_of_ride[int(beat // 4)] += 1
    assert {bar for bar, count in bars_of_ride.items() if count < 6} == {3, 7, 11, 15}


def test_a_bossa_is_straight_and_has_its_clave() -> None:
    """Guards against: a bossa that swings."""
    made = engine(chart_of("style: Bossa Nova\n| Dm7 | G7 | C6 | % |"), 8, BAND)
    assert made.timeline.swing == 0.5
    rim = drum_places(made)[37]
    assert rim == [0.0, 1.5, 3.0, 5.0, 6.5]


# -- styles, click, the end


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("Medium Up Swing", "swing"), ("Bossa Nova", "bossa"), ("Jazz Waltz", "waltz"), ("Ballad", "ballad"),
        ("Even 8ths", "even"), ("Latin-Swing", "bossa"), ("Samba", "bossa"), ("Rock Pop", "even"), ("Zydeco", None),
        ("Changes", None), ("", None),
    ],
)  # fmt: skip
def test_the_style_of_a_chart_chooses_the_style_of_the_band(text: str, style: str | None) -> None:
    """Guards against: a bossa of iReal Pro that is played as swing."""
    assert style_of(text) == style


def test_an_unknown_style_and_an_unknown_part_are_refused_with_the_list() -> None:
    """Guards against: a mistyped style that is silently swing."""
    with pytest.raises(ConfigError, match="swing, bossa, waltz, ballad, even or plain"):
        performance(play__style="polka")
    with pytest.raises(ConfigError, match="'tuba' is not one of them; allowed is off, bass, shells or drums"):
        performance(play__comp=["bass", "tuba"])


@pytest.mark.parametrize(("click", "beats"), [("off", []), ("beats", [0, 1, 2, 3]), ("backbeat", [1, 3])])
def test_a_click_while_playing(click: str, beats: list[float]) -> None:
    """Guards against: a player who practises without the click that was asked for."""
    made = engine(chart_of("| C7 |"), 4, [], play__click=click, play__mode="off")
    clicks = of_voice(notes_of(made), "clicks")
    assert [beat for beat, _, _ in clicks] == beats
    assert {note.pitch for _, _, note in clicks} <= {HIGH_CLICK, LOW_CLICK}


def test_all_end_together_on_the_last_chord() -> None:
    """Guards against: a band that stops in the middle of a walk."""
    made = performance(play__comp=BAND, chart__choruses=2).make_engine(0.0)
    played = notes_of(made)
    for voice in ("bass", "comp"):
        beat, length, note = of_voice(played, voice)[-1]
        assert (beat, beat + length) == (28.0, 32.0)
        assert note.pitch % 12 == 9 or voice == "comp"
    assert {note.pitch for beat, _, note in of_voice(played, "drums") if beat >= 28} == {CRASH, 36}


def test_what_comes_too_late_is_left_out() -> None:
    """Guards against: a burst of missed beats after the machine was busy."""
    made = engine(chart_of("| C7 |"), None, ["bass"], play__mode="off", tempo__bpm=60)
    list(made.advance(0.0))
    assert not [due for due in made.advance(2.5) if isinstance(due.item, NoteOn)]
    assert [due.beat for due in made.advance(3.0) if isinstance(due.item, NoteOn)] == [3.0]
    assert made.late_notes == 2


def test_the_bass_alone_is_where_the_accompaniment_was() -> None:
    """Guards against: an update after which a configuration with a bass is silent on its channel."""
    alone, beside = (
        notes_of(performance(play__comp=comp, midi__comp=5).make_engine(0.0, beats=4)) for comp in ("bass", BAND)
    )
    assert {note.note.channel for note in alone if note.voice != "solo"} == {5}
    assert {(note.voice, note.note.channel) for note in beside if note.voice != "solo"} == {
        ("bass", 3), ("comp", 5), ("drums", 10),
    }  # fmt: skip


def sent(played: Engine) -> Sequence[MidiEvent]:
    """What an engine sends."""
    return [due.item for due in play_through(played) if isinstance(due.item, NoteOn | NoteOff)]


def test_the_same_seed_plays_the_same_band_and_another_does_not() -> None:
    """Guards against: a take that cannot be played again."""
    assert sent(engine(play__seed=4)) == sent(engine(play__seed=4))
    assert sent(engine(play__seed=4, play__mode="off")) != sent(engine(play__seed=5, play__mode="off"))


@settings(max_examples=60, deadline=None)
@given(
    swing=st.floats(0.5, 0.75),
    style=st.sampled_from(["auto", "plain", *STYLES]),
    comp=st.lists(st.sampled_from(BAND), unique=True),
    meter=st.sampled_from(["4/4", "3/4", "5/4", "6/8", "7/8"]),
    rate=st.sampled_from(["phrase", "beat", "eighth", "triplet", "sixteenth"]),
    gate=st.sampled_from([0.1, 0.9, 1.0]),
    apart=st.sampled_from(["auto", 0.0]),
    seed=seeds,
)
@example(swing=0.75, style="auto", comp=[], meter="7/8", rate="phrase", gate=0.9, apart="auto", seed=66)
def test_every_note_ends_after_it_began(**keys: Any) -> None:
    """Guards against: a note that ends before it begins, hangs, or leaves a file that cannot be written."""
    given_keys = {f"play__{key}": value for key, value in keys.items() if key != "meter"}
    made = performance(tempo__meter=keys["meter"], midi__bass=BASS, play__click="beats", **given_keys)
    made = replace(made, chart=chart_of("| Dm7 G7 | Cmaj7 | % | A7alt |", keys["meter"]))
    one = made.make_engine(0.0, beats=made.chart.length)
    played = notes_of(one)
    assert all(note.length_beats > 0 for note in played)
    assert all(note.beat + note.length_beats <= made.chart.length for note in played)
    for voice in ("solo", "bass", "comp", "drums", "clicks"):
        onsets = [note.beat for note in played if note.voice == voice]
        assert onsets == sorted(onsets)
    beats, sounding = [0.0], dict[tuple[int, int], float]()
    for due in play_through(made.make_engine(0.0, beats=made.chart.length)):
        beats.append(due.beat)
        if isinstance(due.item, NoteOn):
            sounding[due.item.channel, due.item.pitch] = due.beat
        elif isinstance(due.item, NoteOff):
            assert due.beat > sounding.pop((due.item.channel, due.item.pitch))
    assert not sounding
    assert beats == sorted(beats)
    assert render_take(made, 4, "test").midi
