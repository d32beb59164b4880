# SPDX-License-Identifier: Apache-2.0
"""Practice in the engine: loops, jumps, rounds that are faster or in another key, all on bar lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sideman.control.api import beat_event
from sideman.core.actions import Faster, Slower, Start, Stop
from sideman.core.chart.chart import ChartError, Meter, parse_meter
from sideman.core.chart.places import Place, check_place, find_place, section_at
from sideman.core.chart.text import parse_changes
from sideman.core.display import LAMP, LAMP_BEFORE_NEWS
from sideman.core.engine import Engine, play_through
from sideman.core.events import (
    BarPlayed,
    BarStarted,
    ChangeSettings,
    ControlChange,
    EventSent,
    JumpToBar,
    NoteOff,
    NoteOn,
    NotePlayed,
    QueueSong,
    SetChart,
)
from sideman.core.parts.count_in import CLICK_PITCH
from sideman.core.settings.groups.practice import CYCLES
from sideman.playing.assembly import engine_from, read_memory, resumed_engine, state_of
from support.fakes import performance, play_on_fake_clock

CHANGES = "key: C\n[A] | C | F | [B] | G7 | Em |"
CHORDS = ("C", "F", "G7", "Em")
FOUR = Meter(4, 4)


def engine(**keys: Any) -> Engine:
    """An engine at 120 beats a minute over four bars of 2 seconds."""
    return performance(**{"chart__changes": CHANGES, "play__rate": "beat", **keys}).make_engine(0.0)


def change(**keys: object) -> ChangeSettings:
    """New values of settings of practice."""
    return ChangeSettings(tuple((f"practice.{name}", value) for name, value in keys.items()))


def bars(one: Engine, arrivals: list[tuple[float, Any]], until: float) -> list[tuple[float, str]]:
    """The beats on which bars begin, with their first chords."""
    recorder, _ = play_on_fake_clock(one, until, arrivals)
    return [(each.beat, each.changes[0][1].text) for each in recorder.reports if isinstance(each, BarStarted)]


def chords(one: Engine, arrivals: list[tuple[float, Any]], until: float) -> list[str]:
    """The first chords of the bars."""
    return [chord for _, chord in bars(one, arrivals, until)]


@given(st.floats(0.05, 1.9), st.integers(1, 4), st.integers(0, 3))
def test_a_loop_is_played_round_and_round(second: float, first: int, more: int) -> None:
    """Guards against: a loop that leaves a bar out, plays one too many, or begins off the bar line."""
    last = min(4, first + more)
    started = bars(engine(), [(second, change(loop=f"{first}-{last}"))], 24.1)
    chart = ["C", "F", "G7", "Em"]
    looped, natural = chart[first - 1 : last], ["C"]
    if first == 1 and last > 1:  # the music is in the loop already
        natural = chart[:last]
    expected = (natural + looped * 12)[: len(started)]
    assert [chord for _, chord in started] == expected
    assert [beat for beat, _ in started] == [4 * bar for bar in range(len(started))]


def test_the_end_of_a_loop_lets_the_chart_go_on() -> None:
    """Guards against: a form that is out of step with the band once a loop has ended, or repeats its last round."""
    arrivals = [(0.5, change(loop="2-3")), (5.5, change(loop=None))]
    assert chords(engine(), arrivals, 14.1)[:7] == ["C", "F", "G7", "Em", "C", "F", "G7"]
    arrivals = [(0.5, change(loop="2-3")), (7.5, change(loop=None))]
    assert chords(engine(), arrivals, 14.1)[:7] == ["C", "F", "G7", "F", "G7", "Em", "C"]


@given(st.integers(0, 3), st.floats(0.05, 1.9) | st.floats(2.05, 3.9) | st.floats(4.05, 5.9))
def test_a_jump_lands_on_the_next_bar_line(bar: int, second: float) -> None:
    """Guards against: a jump in the middle of a bar, or to another bar than was asked for."""
    started = chords(engine(), [(second, JumpToBar(bar))], 14.1)
    at, chart = int(second // 2) + 1, ["C", "F", "G7", "Em"]
    assert started == [*chart[:at], *(chart[(bar + number) % 4] for number in range(len(started) - at))]


def test_a_jump_can_be_taken_back_and_one_out_of_the_chart_does_nothing() -> None:
    """Guards against: a pedal pressed by mistake that cannot be undone, or a bar that does not exist."""
    for second in (JumpToBar(None), JumpToBar(99)):
        assert chords(engine(), [(0.5, JumpToBar(2)), (0.7, second)], 6.1) == ["C", "F", "G7", "Em"]


@pytest.mark.parametrize(("cycle", "second"), [("fourths", "F"), ("fifths", "G"), ("semitones", "Db")])
def test_each_round_is_in_the_next_key(cycle: str, second: str) -> None:
    """Guards against: a cycle of keys that stops, or that has drifted when it comes round to its first key."""
    one = engine(practice__transpose=cycle)
    started = chords(one, [], 12 * 8 + 0.1)
    roots = started[::4]
    assert roots[:2] == ["C", second]
    assert len(set(roots[:12])) == 12
    assert roots[12] == "C"


def test_the_key_of_the_chart_comes_back_when_the_cycle_ends() -> None:
    """Guards against: music that stays in a strange key."""
    arrivals = [(9.0, change(transpose="off"))]
    assert chords(engine(practice__transpose="fourths"), arrivals, 12.1) == ["C", "F", "G7", "Em", "F", "F", "G7"]


@pytest.mark.parametrize(("step", "limit", "expected"), [(10, 135, [120, 130, 135, 135]), (-30, 70, [120, 90, 70, 70])])
def test_each_round_is_faster_up_to_the_limit(step: float, limit: float, expected: list[float]) -> None:
    """Guards against: a tempo that runs away, changes off the bar line, or makes the beats jump."""
    one = engine(practice__loop="1-2", practice__tempo=step, practice__tempo_limit=limit)
    recorder, _ = play_on_fake_clock(one, 16.0)
    starts = [one.timeline.tempo.bpm]
    assert starts[0] == expected[-1]
    found = [bpm for report in recorder.reports if (bpm := dict(getattr(report, "values", ())).get("tempo.bpm"))]
    assert found == [bpm for before, bpm in pairwise(expected) if before != bpm]
    lasted = sum(8 * 60 / bpm for bpm in expected[:2])
    assert one.timeline.tempo.second_at(16.0) == pytest.approx(lasted)


def test_a_tempo_that_is_set_counts_after_slower() -> None:
    """Guards against: a tempo that is called, and the band goes back to the one that was asked for before."""
    called = ChangeSettings((("tempo.bpm", 200.0),))
    one, stopped = engine(), engine()
    play_on_fake_clock(one, 9.0, [(0.3, Slower()), (0.5, called), (0.7, Faster())])
    assert one.tempo.bpm == pytest.approx(200 / 0.9, abs=0.06)
    play_on_fake_clock(stopped, 9.0, [(0.3, Slower()), (0.5, Stop()), (0.7, called), (1.0, Start())])
    assert stopped.tempo.bpm == 200.0


def test_slower_and_faster_on_the_bar_line() -> None:
    """Guards against: a pedal that breaks the bar, or a tempo that is not what it was after slower and faster."""
    one = engine()
    play_on_fake_clock(one, 5.0, [(0.5, Slower()), (1.0, Slower())])
    assert one.tempo.bpm == 97.2
    assert one.tempo.second_at(4.0) == pytest.approx(2.0)
    one = engine()
    play_on_fake_clock(one, 6.5, [(0.5, Slower()), (3.0, Faster())])
    assert one.tempo.bpm == 120.0


@given(st.integers(1, 2), st.sampled_from(["solo", "trade", "answer", "duet"]))
def test_a_round_is_counted_in(count: int, mode: str) -> None:
    """Guards against: notes in the count-in, clicks off the beat, or a loop that starts beside its bar line."""
    keys = {"practice__loop": "2-3", "practice__count_in": count, "play__mode": mode, "play__comp": "bass"}
    one = engine(**keys, play__trade_first="sideman", play__density=4.0)
    started, length = bars(one, [], 40.1), 8 + 4 * count
    begun = [beat for beat, chord in started if chord == "F"]  # the bar that is counted in shows its chord ahead
    rounds = [beat for beat in begun if beat % length == 0]
    assert len(rounds) > 4
    assert begun == sorted({*rounds, *(beat - 4 * count for beat in rounds if beat), *begun[-1:]})
    assert rounds == [length * number for number in range(len(rounds))]
    recorder, _ = play_on_fake_clock(engine(**keys, play__trade_first="sideman", play__density=4.0), 40.1)
    sent = [each for each in recorder.reports if isinstance(each, EventSent)]
    notes = [(each.beat, each.event) for each in sent if isinstance(each.event, NoteOn)]
    for beat, note in notes:
        is_click = note.channel == 10 and note.pitch == CLICK_PITCH
        assert is_click == ((beat + 1e-6) % length >= 8 - 1e-6)
    assert sum(note.channel == 10 for beat, note in notes if beat < length) == 4 * count


METERS = ["1/16", "2/4", "3/4", "4/4", "5/4", "7/8", "12/8", "2/1"]


def counted_bars(
    meters: list[str], loop: tuple[int, int], jump: int | None, count: int
) -> Iterator[tuple[float, str, str]]:
    """Beat, meter and chord of the bars of a loop, with a jump after the first bar; count-ins too, each as one bar."""
    (first, end), beat, bar = loop, 0.0, loop[0]
    while True:
        yield beat, meters[bar], "CDEFG"[bar]
        beat += float(parse_meter(meters[bar]).quarters)
        natural, bar = first <= bar + 1 < end, bar + 1
        if jump is not None or not natural:
            bar, jump = first if jump is None else jump, None
            if count:
                yield beat, meters[bar], "CDEFG"[bar]
                beat += count * float(parse_meter(meters[bar]).quarters)


@example(["2/4", "3/4", "4/4"], 1, 0, 3, 2)  # round and jump put the top of the chart on the same beat
@given(
    st.lists(st.sampled_from(METERS), min_size=1, max_size=5), st.integers(0, 4), st.integers(0, 4), st.integers(0, 3),
    st.none() | st.integers(0, 4),
)  # fmt: skip
def test_a_count_in_loses_no_bar_whatever_the_meters(
    meters: list[str], first: int, more: int, count: int, jump: int | None
) -> None:
    """Guards against: a loop without its second bar, or in another meter, after a count-in among mixed meters."""
    first = min(first, len(meters) - 1)
    loop, jump = (first, min(first + 1 + more, len(meters))), None if jump is None else min(jump, len(meters) - 1)
    changes = "| " + " | ".join(f"{meter} {'CDEFG'[at]}" for at, meter in enumerate(meters)) + " |"
    one = engine(
        chart__changes=changes, practice__loop=f"{loop[0] + 1}-{loop[1]}", practice__count_in=count, tempo__bpm=300,
        play__mode="off",
    )  # fmt: skip
    recorder, _ = play_on_fake_clock(one, 9.0, [] if jump is None else [(0.01, JumpToBar(jump))])
    begun = [each for each in recorder.reports if isinstance(each, BarStarted)]
    found = [(each.beat, str(each.meter), each.changes[0][1].text) for each in begun]
    assert found == list(islice(counted_bars(meters, loop, jump, count), len(found)))
    assert all(len(each.changes) == 1 for each in begun)
    assert found[-1][0] > 19  # of 45 beats, 24 may be one count-in


@pytest.mark.parametrize(("second", "place"), [(3.6, 1.2), (5.3, 1.6), (6.2, 0.4)])
def test_a_count_in_shows_the_bar_that_is_counted_in(second: float, place: float) -> None:
    """Guards against: the view and the status in a wrong bar or chord while a round is counted in."""
    changes = "3/4 | Cm7 | F7 | 5/4 Bb | 7/8 G7 |"
    one = engine(chart__changes=changes, practice__loop="1-2", practice__count_in=2)
    play_on_fake_clock(one, second)
    snapshot = one.snapshot(second)
    shown = beat_event(snapshot, 0.0)
    assert (shown.form_bar, shown.chord, shown.next_chord) == (1, "Cm7", "F7")
    assert (snapshot.beat - shown.top) % one.chart.chart.length == pytest.approx(place, abs=1e-3)
    assert shown.bar == int(second // 1.5) + 1


@given(st.integers(1, 4), st.integers(0, 3), st.integers(1, 4), st.integers(0, 2))
def test_a_round_of_a_loop_counts_as_a_chorus(first: int, more: int, choruses: int, count_in: int) -> None:
    """Guards against: music that goes on for ever, or ends in the middle of a round, where an end was asked for."""
    last = min(4, first + more)
    keys = {"practice__loop": f"{first}-{last}", "practice__count_in": count_in}
    one = engine(chart__choruses=choruses, **keys)
    reports: list[Any] = []
    one.report = reports.append
    played = list(islice(play_through(one), 2000))
    rounds = choruses * 4 * (last - first + 1)
    assert one.timeline.end == rounds + (choruses - 1) * 4 * count_in
    ending = max(played, key=lambda due: due.beat)
    assert isinstance(ending.item, NoteOff | BarPlayed)
    assert ending.beat == one.timeline.end
    final = next(report for report in reversed(reports) if isinstance(report, NotePlayed))
    assert final.beat + final.length_beats == one.timeline.end
    assert one.chart.chord_at(final.beat).text == ["C", "F", "G7", "Em"][last - 1]


def test_without_a_number_of_choruses_a_loop_has_no_end_and_when_it_ends_its_rounds_count() -> None:
    """Guards against: a loop to practise with that stops by itself, or music that does not end after it."""
    assert chords(engine(practice__loop="3-4"), [], 20.1) == ["G7", "Em"] * 5 + ["G7"]
    one = engine(chart__choruses=3)
    arrivals = [(0.5, change(loop="1-2")), (6.5, change(loop=None))]
    assert chords(one, arrivals, 60.0) == ["C", "F", "C", "F", "G7", "Em", "C", "F", "G7", "Em"]


def test_a_song_of_a_set_ends_after_its_rounds() -> None:
    """Guards against: a set that never gets to its second song while bars are repeated."""
    one = engine(chart__choruses=2, practice__loop="2-3")
    one.receive(QueueSong(2, parse_changes("| Ab | Db | Gb |", FOUR, "x")), 0.0)
    started = chords(one, [], 60.0)
    assert started == ["F", "G7"] * 2 + ["Db", "Gb"] * 2


def test_a_jump_moves_the_end() -> None:
    """Guards against: music that ends before the form does, or goes on for ever after it."""
    one = engine(chart__choruses=1)
    assert chords(one, [(6.5, JumpToBar(1))], 60.0) == ["C", "F", "G7", "Em", "F", "G7", "Em"]
    assert one.timeline.end == 28.0


def test_start_begins_with_the_loop_in_the_key_of_the_chart() -> None:
    """Guards against: a start that plays the bars before the loop."""
    one = engine(practice__loop="B", practice__transpose="fourths")
    started = chords(one, [(9.0, Stop()), (9.5, Start())], 12.1)
    assert started == ["G7", "Em", "C7", "Am", "F7", "G7", "Em"]


@given(
    st.sampled_from([None, "2", "2-3", "A", "B"]),
    st.none() | st.integers(0, 5),
    st.sampled_from(["rolling", "stopped", "armed", "resumed"]),
    st.floats(0.1, 20.0),
)
def test_the_status_says_where_a_start_begins(loop: str | None, jump: int | None, state: str, second: float) -> None:
    """Guards against: `ctl start` that promises the top, and a student who plays from there while the band does not."""
    made = performance(chart__changes=CHANGES, play__rate="beat", practice__loop=loop)
    one = made.make_engine(0.0)
    if state == "resumed":
        play_on_fake_clock(one, second)
        saved = state_of(one.memory(), made)
        armed = performance(chart__changes=CHANGES, play__rate="beat", practice__loop=loop, play__start="armed")
        one, second = resumed_engine(armed, saved, 0.0), 1.0
    elif state == "armed":
        one = engine(practice__loop=loop, play__start="armed")
    arrivals: list[tuple[float, Any]] = [(second, Stop())] if state == "stopped" else []
    arrivals += [] if jump is None else [(second + 0.02, JumpToBar(jump))]
    play_on_fake_clock(one, second + 0.03, arrivals)
    expected = CHORDS[one.snapshot(second + 0.03).start_bar - 1]
    recorder, _ = play_on_fake_clock(one, second + 0.2, [(second + 0.04, Start())])
    begun = [each for each in recorder.reports if isinstance(each, BarStarted)]
    assert [each.changes[0][1].text for each in begun][:1] == [expected]


def test_another_chart_ends_what_was_to_come() -> None:
    """Guards against: a jump into the wrong song."""
    other = parse_changes("| Ab | Db |", FOUR, "x")
    assert chords(engine(), [(0.5, JumpToBar(3)), (0.7, SetChart(other))], 4.1)[:3] == ["C", "Ab", "Db"]


@given(st.floats(0.3, 25.0), st.booleans())
def test_what_is_saved_goes_on(second: float, counted_in: bool) -> None:
    """Guards against: practice that begins again, in another key or at another place, after a restart."""
    keys: dict[str, Any] = {
        "practice__loop": "2-3", "practice__transpose": "fourths", "practice__tempo": 5.0, "chart__choruses": 9,
        "practice__count_in": int(counted_in),
    }  # fmt: skip
    one, whole = performance(chart__changes=CHANGES, **keys), performance(chart__changes=CHANGES, **keys)
    played = one.make_engine(0.0)
    play_on_fake_clock(played, second)
    written = json.loads(msgspec.json.encode(played.memory()))
    again = engine_from(read_memory(written), whole, 0.0)
    assert again.memory().practice == played.memory().practice
    assert again.memory().charts == played.memory().charts
    assert again.timeline.end == played.timeline.end


def test_a_solo_goes_on_in_its_key_after_a_restart() -> None:
    """Guards against: a restart that loses the place in a cycle of keys, or in a loop."""
    keys: dict[str, Any] = {"practice__loop": "2-3", "practice__transpose": "fourths"}
    made = performance(chart__changes=CHANGES, **keys)
    for second, following in [(4.5, ["C7", "Eb", "F7", "Ab"]), (6.5, ["Eb", "F7", "Ab", "Bb7"])]:
        played = made.make_engine(0.0)
        play_on_fake_clock(played, second)
        again = resumed_engine(made, state_of(played.memory(), made), 0.0)
        assert chords(again, [], 8.1)[:4] == following


def test_an_older_memory_is_read() -> None:
    """Guards against: a saved solo that is lost with the new version."""
    written = msgspec.to_builtins(engine().memory())
    del written["practice"]
    for span in ("previous", "current"):
        del written["charts"][span]["place"]
    assert read_memory(written) == engine().memory()


def test_the_lamp_and_the_status_say_what_comes() -> None:
    """Guards against: a student who does not know that the key or the place changes with the next bar."""
    one = engine(midi__lamp=20, practice__loop="1-2", practice__transpose="fourths")
    recorder, _ = play_on_fake_clock(one, 3.9)
    sent = [each.event for each in recorder.reports if isinstance(each, EventSent)]
    lamp = [event.value for event in sent if isinstance(event, ControlChange)]
    assert lamp[-3:] == [LAMP["playing"], LAMP_BEFORE_NEWS["playing"], LAMP["idle"]]
    assert one.snapshot(3.9).practice == "bars 1-2 again, then in F"
    one.receive(JumpToBar(2), 3.9)
    assert one.snapshot(3.9).practice.startswith("bar 3 next")
    assert engine().snapshot(0.0).practice == ""


def test_places_are_found_and_refused_by_name() -> None:
    """Guards against: a loop of other bars than were named, or an error that does not say what would be right."""
    chart = parse_changes(CHANGES, FOUR, "x")
    assert [find_place(chart, text) for text in ("b", "A", "2", "2 - 3")] == [
        Place(2, 4),
        Place(0, 2),
        Place(1, 2),
        Place(1, 3),
    ]
    assert (section_at(chart, 1), section_at(chart, 3)) == (Place(0, 2), Place(2, 4))
    for wrong, said in [
        ("C", "no section of that name; its bars are 1-4, its sections are A, B"),
        ("3-5", "no bar 5; its bars are 1-4"),
        ("0", "counted from 1"),
        ("4-2", "the first bar comes first, as in 2-4"),
        ("", "no place"),
    ]:
        with pytest.raises(ChartError, match=said):
            find_place(chart, wrong)
    assert check_place(" 5  -8".replace("  ", " ")) == "5-8"
    assert set(islice(CYCLES, 1)) == {"off"}
