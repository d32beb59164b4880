# SPDX-License-Identifier: Apache-2.0
"""The songs of a set in the engine: one after the other, each at its tempo, for its choruses or until `next`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.actions import NextSong, Start, Stop
from sideman.core.chart.chart import Chart, Meter
from sideman.core.chart.text import parse_changes
from sideman.core.engine import Engine
from sideman.core.events import BarStarted, QueueSong, SetChart, SettingsChanged
from sideman.core.settings.set_list import SetSong, find_song, parse_set_song
from sideman.core.settings.written import setting_from_json, setting_to_json
from sideman.playing.assembly import engine_from, read_memory, resumed_engine, state_of
from support.fakes import performance, play_on_fake_clock

FIRST = "| C | F | G7 | C |"
SECOND = parse_changes("title: Two\nkey: F\n3/4 | Dm7 | Gm7 |", Meter(4, 4), "x")
OTHER = parse_changes("| Ab | Db |", Meter(4, 4), "x")
SONGS = ["one", "two"]


def engine(**keys: Any) -> Engine:
    """An engine at 120 beats a minute over the first of two songs; bars last 2 seconds."""
    keys = {"chart__set": SONGS, "chart__song": 1, "play__rate": "beat", **keys}
    return performance(chart__changes=FIRST, **keys).make_engine(0.0)


def bar_starts(one: Engine, arrivals: list[tuple[float, Any]], until: float) -> list[tuple[float, str]]:
    """The beats on which bars begin, with their first chords."""
    recorder, _ = play_on_fake_clock(one, until, arrivals)
    return [(each.beat, each.changes[0][1].text) for each in recorder.reports if isinstance(each, BarStarted)]


def queue(bpm: float | None = None, chart: Chart | None = SECOND) -> QueueSong:
    """The second song."""
    return QueueSong(2, chart, bpm)


@given(st.floats(0.1, 7.5), st.sampled_from([None, 60.0, 240.0]))
def test_next_goes_on_at_the_end_of_the_form(second: float, bpm: float | None) -> None:
    """Guards against: a song that is cut in the middle of its form, or goes on for a chorus more."""
    one = engine()
    starts = bar_starts(one, [(0.05, queue(bpm)), (second, NextSong())], 12.0)
    assert starts[:6] == [(0, "C"), (4, "F"), (8, "G7"), (12, "C"), (16, "Dm7"), (19, "Gm7")]
    assert one.settings.chart.song == 2
    assert one.tempo.bpm == pytest.approx(bpm or 120.0)
    assert one.beat_at(8.0) == pytest.approx(16.0)
    assert one.beat_at(9.0) == pytest.approx(16.0 + (bpm or 120.0) / 60)


def test_next_twice_goes_on_at_the_next_bar_line() -> None:
    """Guards against: a band that has to play a song to its end that no one listens to."""
    starts = bar_starts(engine(), [(0.05, queue()), (2.5, NextSong()), (2.7, NextSong())], 8.0)
    assert starts[:3] == [(0, "C"), (4, "F"), (8, "Dm7")]


def test_next_that_comes_before_its_song_is_not_lost() -> None:
    """Guards against: a pedal that does nothing just after a song has begun."""
    starts = bar_starts(engine(), [(0.05, NextSong()), (3.0, queue())], 10.0)
    assert (16, "Dm7") in starts
    assert (12, "C") in starts


@pytest.mark.parametrize("choruses", [1, 2])
def test_the_choruses_of_a_song_are_counted(choruses: int) -> None:
    """Guards against: a medley in which a song is a chorus too long, or after which the music goes on."""
    one = engine(chart__set=[f"one, {choruses} choruses", "two, 2 choruses"])
    starts = bar_starts(one, [(0.05, queue())], 60.0)
    beats = [beat for beat, chord in starts if chord in ("Dm7", "Gm7")]
    assert beats == [16 * choruses + 3 * bar for bar in range(4)]
    assert one.timeline.end == 16 * choruses + 12
    assert starts[-1][0] == beats[-1]


@given(
    st.lists(st.tuples(st.floats(0.05, 13.0), st.sampled_from([None, OTHER, SECOND])), max_size=5),
    st.none() | st.floats(0.1, 7.5) | st.floats(8.1, 11.0),
)
def test_a_song_that_takes_the_place_of_the_next_one_follows_as_well(
    before: list[tuple[float, Chart | None]], asked: float | None
) -> None:
    """Guards against: a set list that is edited on stage, after which the song that is played never ends."""
    keys: dict[str, Any] = {} if asked is not None else {"chart__set": ["one, 2 choruses", "two"]}
    songs = [(0.01, SECOND), *sorted(before, key=lambda each: each[0])]
    if asked is not None:  # a request for a song that is not there waits for it
        songs = [each for each in songs if each[0] < asked and each[1] is not None]
    arrivals: list[tuple[float, Any]] = [(second, queue(chart=chart)) for second, chart in songs]
    arrivals += [] if asked is None else [(asked, NextSong())]
    end, (_, wanted) = 32 if asked is None else 16 * (1 + int((asked + 0.1) // 8)), songs[-1]
    starts = bar_starts(engine(**keys), arrivals, end / 2 + 3.0)
    assert starts[: end // 4] == [(4 * bar, ["C", "F", "G7", "C"][bar % 4]) for bar in range(end // 4)]
    following = starts[end // 4 :][:1]
    assert following == ([] if wanted is None else [(end, wanted.bars[0].chords[0][1].text)])


def test_after_the_last_song_next_ends_the_music() -> None:
    """Guards against: a set that has no end but a stop in the middle of a chorus."""
    one = engine(chart__song=2)
    starts = bar_starts(one, [(1.0, QueueSong(3, None)), (3.0, NextSong())], 60.0)
    assert [beat for beat, _ in starts] == [0, 4, 8, 12]
    assert one.timeline.end == 16


def test_without_a_set_next_does_nothing() -> None:
    """Guards against: a pedal that ends the music by mistake."""
    starts = bar_starts(engine(chart__set=None), [(1.0, NextSong())], 12.0)
    assert [beat for beat, _ in starts] == [0, 4, 8, 12, 16, 20, 24]


def test_another_chart_in_between_keeps_the_next_song() -> None:
    """Guards against: a tune that is called from the audience, after which the set is lost."""
    third = parse_changes("| Ab | Db |", Meter(4, 4), "x")
    arrivals = [(0.05, queue()), (6.5, NextSong()), (7.0, SetChart(third)), (9.0, NextSong())]
    starts = bar_starts(engine(), arrivals, 14.0)
    assert [chord for _, chord in starts[:7]] == ["C", "F", "G7", "C", "Ab", "Db", "Dm7"]


def test_next_while_the_music_stands_chooses_the_next_song() -> None:
    """Guards against: a band that stops after a song and then plays it again."""
    one = engine()
    arrivals = [(0.05, queue(90.0)), (3.0, Stop()), (4.0, NextSong()), (5.0, Start())]
    starts = bar_starts(one, arrivals, 9.0)
    assert [chord for _, chord in starts][2:4] == ["Dm7", "Gm7"]
    assert (one.settings.chart.song, one.tempo.bpm) == (2, 90.0)


def test_a_stop_and_start_within_the_last_bar_begins_the_next_song() -> None:
    """Guards against: the chords of one song under the number and the tempo of another."""
    one = engine()
    starts = bar_starts(one, [(0.05, queue(90.0)), (6.5, NextSong()), (7.0, Stop()), (7.5, Start())], 10.0)
    assert [chord for _, chord in starts][4] == "Dm7"
    assert (one.settings.chart.song, one.tempo.bpm) == (2, 90.0)


@pytest.mark.parametrize("second", [1.0, 3.0, 7.0, 9.0])
def test_a_saved_state_goes_on_with_the_set(second: float) -> None:
    """Guards against: a restart after which the next song is forgotten, or comes at another bar."""
    keys: dict[str, Any] = {"chart__set": ["one, 1 chorus", "two"]}
    whole = bar_starts(engine(**keys), [(0.05, queue(90.0))], 20.0)
    broken = engine(**keys)
    play_on_fake_clock(broken, second, [(0.05, queue(90.0))])
    memory = broken.memory()
    made = replace(performance(), settings=broken.settings, chart=broken.chart.chart)
    written = state_of(memory, made)
    assert read_memory(written["memory"]) == memory
    one = engine_from(memory, made, 0.0) if second == 7.0 else resumed_engine(made, written, 0.0)
    starts = bar_starts(one, [], 20.0)
    chords = [chord for beat, chord in whole if beat >= starts[0][0]]
    assert [chord for _, chord in starts][: len(chords)] == chords[: len(starts)]
    assert one.settings.chart.song == 2


# -- songs as they are written


@given(
    st.sampled_from(["blues", "gig.html#Blue Rain", "/a b/c.chart", "One, Two and Three"]),
    st.sampled_from([None, "Bb", "F#m", "C"]),
    st.sampled_from([None, 60.0, 132.5]),
    st.sampled_from([None, 1, 12]),
)
def test_a_song_is_read_as_it_is_written(chart: str, key: str | None, bpm: float | None, choruses: int | None) -> None:
    """Guards against: a set that is another one after a restart."""
    song = SetSong(chart, key, bpm, choruses)
    assert parse_set_song(song.text) == song
    assert parse_set_song(f"  {song.text} ") == song
    written = json.loads(json.dumps(setting_to_json("chart.set", (song, song))))
    assert setting_from_json("chart.set", written) == ("chart.set", (song, song))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blues, 10 bpm", "20 to 400"),
        ("blues, 0 choruses", "1 to 1000000"),
        ("blues, in C, in D", "one key"),
        ("", "^$"),
        (", 80 bpm", "^$"),
        ("a\nb", "^$"),
    ],
)
def test_a_wrong_song_is_refused(text: str, words: str) -> None:
    """Guards against: a song at an impossible tempo, or a part of the text that is taken for a file's name."""
    with pytest.raises(ValueError, match=words):
        parse_set_song(text)


@pytest.mark.parametrize(
    ("key", "wanted", "first", "warns"),
    [
        ("F", "G", "Em7", False),
        ("F", "Bb", "Gm7", False),
        ("F", "B", "G#m7", False),
        ("F", "F", "Dm7", False),
        ("Dm", "Em", "Em7", False),
        ("Dm", "F", "Fm7", True),
        ("", "G", "Dm7", True),
    ],
)
def test_a_song_is_played_in_its_key(key: str, wanted: str, first: str, *, warns: bool) -> None:
    """Guards against: a singer who cannot reach the melody, and a key that is ignored without a word."""
    chart = parse_changes(f"title: Two\nkey: {key}\n| Dm7 | Gm7 |", Meter(4, 4), "x")
    moved = SetSong("two", wanted).in_key(chart)
    assert moved.bars[0].chords[0][1].root == parse_changes(f"| {first} |", Meter(4, 4), "x").bars[0].chords[0][1].root
    assert bool(moved.info.warnings) is warns


def test_a_song_of_the_set_is_found() -> None:
    """Guards against: another song than the one that was called."""
    songs = (SetSong("blues"), SetSong("gig.html#Blue Rain"), SetSong("gig.html#2"))
    found = {"1": 1, "blues": 1, "BLUE RAIN": 2, "3": 3, "4": None, "rain": None, "gig.html#2": 3}
    assert {wanted: find_song(songs, wanted) for wanted in found} == found


def test_the_settings_follow_the_song() -> None:
    """Guards against: a status, a take and a saved state that name another song than the one that sounds."""
    recorder, _ = play_on_fake_clock(engine(), 9.0, [(0.05, queue(90.0)), (1.0, NextSong())])
    assert SettingsChanged((("chart.song", 2), ("tempo.bpm", 90.0))) in recorder.reports
