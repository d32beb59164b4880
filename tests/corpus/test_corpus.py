# SPDX-License-Identifier: Apache-2.0
"""The solo database and value files: the music as written, and one clear error for anything else."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sideman_models.corpus.corpus import Corpus, corpus_facts, read_corpus
from sideman_models.corpus.midi.reader import ReadingOptions
from sideman_models.corpus.weimar import Feels, read_solos
from sideman_models.errors import CorpusError
from sideman_models.music.solos import Piece
from sideman_models.music.values import Value
from sideman_models.text import printable
from support.corpora import BEAT_S, beat_rows, note_row, solo_record, write_database, write_tiny_corpus
from support.data_files import data_file
from support.strategies import values

CHORDS = ["C^7"] * 4 + ["D-7"] * 2 + ["G7"] * 2


def read_one(path: Path, *args: Any, **other: Any) -> Piece:
    """Return the only piece of a database with one record."""
    [piece] = read_corpus([write_database(path / "one.jsonl", [solo_record(*args, **other)])]).pieces
    return piece


def texts(piece: Piece) -> str:
    """Return the written form of the values."""
    return " ".join(value.text for value in piece.values)


def test_a_solo_is_read_by_its_written_rhythm(tmp_path: Path) -> None:
    """Guards against: a network that learns another rhythm than the transcribed one."""
    notes = [
        note_row(1, 1, 60, length=0.6, phrase_begin=1),
        # The second eighth of a swung pair sounds late and short, but no rest follows it.
        note_row(1, 1, 62, 2, 2, 0.4, onset_s=0.6 * BEAT_S),
        note_row(1, 2, 64, 1, 3, 1 / 3),
        note_row(1, 2, 65, 2, 3, 1 / 3),
        note_row(1, 2, 67, 3, 3, 1 / 3),
        note_row(1, 3, 64, length=1),
        note_row(2, 1, 65, length=2),
    ]
    piece = read_one(tmp_path, notes, beat_rows(CHORDS))
    assert texts(piece) == (
        "C,0.500 S,0.500,+2 C,0.333,+2 S,0.333,+1 C,0.333,+2 C,1.000,-3 R,1.000 C,2.000,+1"
    )  # fmt: skip
    assert piece.pitches == (60, 62, 64, 65, 67, 64, None, 65)
    assert (piece.source_notes, piece.dropped_notes) == (7, 0)


def test_the_chord_is_that_of_the_bar_and_beat(tmp_path: Path) -> None:
    """Guards against: notes shortly before their beat learned over the previous chord."""
    early = note_row(2, 1, 65, onset_s=4 * BEAT_S - 0.03, chord="C^7", phrase_begin=1)
    assert texts(read_one(tmp_path, [early], beat_rows(CHORDS))) == "C,1.000"


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """Guards against: another edition of the database that is misread without an error."""
    row = note_row(1, 1, 60, phrase_begin=1)
    record = solo_record([row[::-1]], beat_rows(CHORDS))
    record["note_fields"] = record["note_fields"][::-1]
    [piece] = read_corpus([write_database(tmp_path / "one.jsonl", [record])]).pieces
    assert texts(piece) == "C,1.000"


def test_a_pick_up_and_odd_bars_do_not_shift_other_bars(tmp_path: Path) -> None:
    """Guards against: wrong downbeats after a bar of three or five beats."""
    grid = [*beat_rows(["C"] * 2, first_bar=0), *beat_rows(["C"] * 5, period=5), *beat_rows(["C"] * 7, first_bar=2)]
    for row, beat in zip(grid, (3, 4), strict=False):
        row[2] = beat
    notes = [note_row(0, 4, 60, phrase_begin=1), note_row(1, 5, 61), note_row(2, 1, 62), note_row(3, 2, 64)]
    piece = read_one(tmp_path, notes, grid)
    assert piece.places is not None
    assert [place.tick_in_bar for place, pitch in zip(piece.places, piece.pitches or (), strict=True) if pitch] == [
        36,
        0,
        12,
    ]
    assert (piece.source_notes, piece.dropped_notes) == (4, 1)


def test_bars_of_one_beat_are_counted_in_fours(tmp_path: Path) -> None:
    """Guards against: a solo in which each beat is a downbeat."""
    grid = [[at * BEAT_S, at - 2, 1, 1, "C"] for at in range(12)]
    notes = [note_row(bar, 1, 60 + bar, phrase_begin=int(bar == -1), onset_s=bar * BEAT_S) for bar in (-1, 1, 2, 5)]
    piece = read_one(tmp_path, notes, grid)
    assert piece.places is not None
    assert [place.tick_in_bar for place, pitch in zip(piece.places, piece.pitches or (), strict=True) if pitch] == [
        24,
        0,
        12,
        0,
    ]


def test_solos_that_are_left_out_are_counted(tmp_path: Path) -> None:
    """Guards against: a user who believes that the network was trained on solos that were never read."""
    row = [note_row(1, 1, 60)]
    path = write_database(
        tmp_path / "all.jsonl",
        [
            solo_record(row, beat_rows(CHORDS)),
            solo_record(row, beat_rows(CHORDS), rhythmfeel="LATIN"),
            solo_record(row, beat_rows(CHORDS), signature="3/4"),
            solo_record(row, beat_rows(["NC"] * 8)),
            solo_record([], beat_rows(CHORDS)),
            solo_record([note_row(1, 9, 60)], beat_rows(CHORDS)),
        ],
    )
    corpus = read_corpus([path])
    assert len(corpus.pieces) == 1
    reasons = {"not in 4/4": 1, "without chords": 1, "empty": 1, "without notes on their beats": 1}
    assert corpus.left_out == {**reasons, "not swing": 1}
    all_feels = read_corpus([path], ReadingOptions(feels="all"))
    assert [piece.other_feel for piece in all_feels.pieces] == [False, True]
    assert all_feels.left_out == reasons


def test_solos_of_one_feel_can_be_chosen(tmp_path: Path) -> None:
    """Guards against: a network for ballads or latin that has learned from swing, or not from all that it could."""
    row, beats, slowly = [note_row(1, 1, 60)], beat_rows(CHORDS), note_row(1, 1, 60, beat_duration_s=60 / 99)
    feels = ("SWING", "LATIN", "A:LATIN/B:SWING", "BALLAD", "FUNK")
    records = [solo_record(row, beats, rhythmfeel=feel, title=feel) for feel in feels]
    path = write_database(tmp_path / "all.jsonl", [*records, solo_record([slowly], beats, title="slow")])

    def titles(feels: Feels) -> list[str]:
        pieces = read_corpus([path], ReadingOptions(feels=feels)).pieces
        assert not any(piece.other_feel for piece in pieces)
        return [piece.title for piece in pieces]

    assert titles("swing") == ["SWING", "slow"]
    assert titles("latin") == ["LATIN", "A:LATIN/B:SWING"]
    assert titles("ballad") == ["BALLAD", "slow"]


def test_beats_without_a_chord_have_none(tmp_path: Path) -> None:
    """Guards against: breaks over chords that were not played."""
    notes = [note_row(1, 1, 61, phrase_begin=1), note_row(2, 1, 66, phrase_begin=1)]
    piece = read_one(tmp_path, notes, beat_rows(["NC"] * 4 + ["Bbalt"] * 2 + ["C7?"] * 2))
    assert texts(piece) == "S,1.000 R,3.000 C,1.000"
    assert piece.solo is not None
    assert piece.solo.unread_chords == ("C7?",)
    assert piece.solo.changes.chord_at(0).text == "N.C."
    assert piece.solo.changes.chord_at(6).text == "N.C."


def test_a_compressed_database_is_read_in_the_same_way(tmp_path: Path) -> None:
    """Guards against: the database that cannot be read in the form in which it is distributed."""
    plain = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=2)
    packed = tmp_path / "tiny.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert [piece.values for piece in read_corpus([plain]).pieces] == [
        piece.values for piece in read_corpus([packed]).pieces
    ]


BROKEN: Mapping[str, tuple[object, str]] = {
    "not JSON": ("{", "not a JSON object"),
    "not an object": ("[1]", "Expected `object`, got `array`"),
    "deep": ("[" * 100_000, "not a JSON object"),
    "no title": ({"title": None}, r"Expected `str`, got `null` - at `\$.title`"),
    "a title that is none": ({"title": 3}, r"Expected `str`, got `int` - at `\$.title`"),
    "no notes": ({"notes": None}, r"got `null` - at `\$.notes`"),
    "notes that are none": ({"notes": {"a": 1}}, r"Expected `array`, got `object` - at `\$.notes`"),
    "no columns": ({"note_fields": None}, r"at `\$.note_fields`"),
    "a missing column": ({"beat_fields": ["onset_s", "bar", "beat", "period"]}, "beats: .* required field `chord`"),
    "a short row": ({"notes": [[1, 2]]}, r"notes: .* missing required field"),
    "a wrong type": (
        {"notes": [note_row(1, 1, 60, beat_duration_s="x")]},
        r"notes: Expected `float`, got `str` - at `\$\[0\].beat_duration_s`",
    ),
    "no bar": ({"beats": [[0.0, None, 1, 4, "C"]]}, r"beats: Expected `int`, got `null` - at `\$\[0\].bar`"),
    "true": ({"notes": [note_row(1, 1, True)]}, r"Expected `int`, got `bool` - at `\$\[0\].midi_pitch`"),
    "no such pitch": ({"notes": [note_row(1, 1, 200)]}, r"Expected `int` <= 127 - at `\$\[0\].midi_pitch`"),
    "no such tatum": ({"notes": [note_row(1, 1, 60, 3, 2)]}, "no tatum 3 of 2"),
    "no division": ({"notes": [note_row(1, 1, 60, 1, 0)]}, r"Expected `int` >= 1 - at `\$\[0\].division`"),
    "no time": ({"notes": [note_row(1, 1, 60, beat_duration_s=0)]}, r"Expected `float` > 0.0 - at `\$\[0\].beat_dur"),
    "endless time": ({"notes": [note_row(1, 1, 60, duration_s=float("inf"))]}, "Infinity is not a number"),
    "beats in no bar": ({"beats": [[0.0, 1, 9, 4, "C"]]}, "beats: none of them lies in a bar"),
    "a bar far away": ({"beats": [[0.0, 10**9, 1, 4, "C"]]}, r"Expected `int` <= 10000 - at `\$\[0\].bar`"),
    "a beat far away": ({"beats": [[0.0, 1, -(1 << 40), 4, "C"]]}, r"Expected `int` >= -100 - at `\$\[0\].beat`"),
    "a note far away": (
        {"notes": [note_row(1, 1 << 40, 60, onset_s=0.0)]},
        r"Expected `int` <= 100 - at `\$\[0\].beat`",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_error_names_the_broken_line(tmp_path: Path, what: str) -> None:
    """Guards against: one broken line among hundreds that stops the reading and cannot be found."""
    broken, message = BROKEN[what]
    good = solo_record([note_row(1, 1, 60)], beat_rows(CHORDS))
    path = tmp_path / "some.jsonl"
    line = broken if isinstance(broken, str) else json.dumps(good | broken) if isinstance(broken, dict) else ""
    path.write_text(json.dumps(good) + "\n\n" + line + "\n")
    with pytest.raises(CorpusError, match=message) as refusal:
        read_corpus([path])
    assert str(refusal.value).startswith(f"{path}:3: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("cut.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], "compressed file is broken"),
        ("no.jsonl.gz", b"not gzip", "compressed file is broken"),
        ("latin.jsonl", b"\xe9\n", "not text"),
        ("empty.jsonl", b"", "no piece"),
        ("values.txt", b"C,0.500 nonsense", r"values.txt:1: 'nonsense'"),
        ("values.txt", b"", "values.txt: no piece"),
    ],
)
def test_the_error_names_the_broken_file(tmp_path: Path, name: str, raw: bytes, message: str) -> None:
    """Guards against: a broken download that ends in a traceback."""
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(CorpusError, match=message):
        read_corpus([tmp_path / name])
    with pytest.raises(CorpusError, match="cannot be read"):
        read_corpus([tmp_path / "none.jsonl"])


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """Guards against: a file from a Windows editor that is refused because of an invisible character."""
    with_mark = tmp_path / "values.txt"
    with_mark.write_bytes(b"\xef\xbb\xbfC,1.000 S,0.500,+2\nC,1.000")
    assert [texts(piece) for piece in read_corpus([with_mark]).pieces] == ["C,1.000 S,0.500,+2", "C,1.000"]
    plain = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=2)
    pieces = read_corpus([plain]).pieces
    plain.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    assert read_corpus([plain]).pieces == pieces


@pytest.mark.parametrize("name", ["pipe.jsonl", "pipe.jsonl.gz", "pipe.txt"])
def test_a_pipe_is_refused(tmp_path: Path, name: str) -> None:
    """Guards against: a library call that waits without end."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(CorpusError, match=f"{name}: cannot be read: not a plain file"):
        read_corpus([tmp_path / name])


def test_a_title_can_always_be_written(tmp_path: Path) -> None:
    """Guards against: half a character in the title of one solo that ends the training."""
    [piece] = read_corpus(
        [
            write_database(
                tmp_path / "odd.jsonl", [solo_record([note_row(1, 1, 60)], beat_rows(CHORDS), title="a\ud800")]
            )
        ]
    ).pieces
    assert piece.title == r"a\ud800"


@given(st.text() | st.binary().map(os.fsdecode))
def test_every_text_can_be_made_printable(text: str) -> None:
    """Guards against: a name that no file or terminal can hold, and that ends the program."""
    shown = printable(text)
    assert shown.encode().decode() == shown == printable(shown)
    assert len(shown.splitlines()) <= 1
    assert shown == text or not text.isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.sampled_from(["title", "notes", "beats", "note_fields", "beat_fields", "signature"]), json_values, st.data())
def test_any_record_is_read_or_refused(tmp_path: Path, key: str, odd: object, data: st.DataObject) -> None:
    """Guards against: a strange file that ends the training with a traceback, or blocks it."""
    record = solo_record([note_row(1, 1, 60), note_row(1, 2, 62)], beat_rows(CHORDS))
    if isinstance(record[key], list) and data.draw(st.booleans()):
        row = data.draw(st.sampled_from(range(len(record[key]))))
        cells = record[key][row]
        if isinstance(cells, list):
            cells[data.draw(st.sampled_from(range(len(cells))))] = odd
        else:
            record[key][row] = odd
    else:
        record[key] = odd
    try:
        assert list(read_solos(write_database(tmp_path / "odd.jsonl", [record]))) is not None
    except CorpusError as error:
        assert "odd.jsonl:1: " in str(error)  # noqa: PT017 - many odd entries are harmless


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(values(), min_size=1), min_size=1))
def test_a_value_file_is_read_as_it_is_written(tmp_path: Path, pieces: list[list[Value]]) -> None:
    """Guards against: output of `sideman corpus --values` that cannot be used for training."""
    path = tmp_path / "values.txt"
    path.write_text("\n\n".join(" ".join(value.text for value in piece) for piece in pieces))
    assert [list(piece.values) for piece in read_corpus([path]).pieces] == pieces


def test_the_facts_add_up(tmp_path: Path) -> None:
    """Guards against: a card that describes another corpus than that of the training."""
    corpus = read_corpus([write_tiny_corpus(tmp_path / "tiny.jsonl")])
    facts = corpus_facts(corpus)
    kinds = Counter(value.kind for piece in corpus.pieces for value in piece.values)
    assert facts["pieces"] == facts["titles"] == 12
    assert facts["kinds"] == kinds
    assert facts["values"] == sum(kinds.values()) == sum(facts["durations"].values())
    assert facts["notes"] == facts["values"] - kinds["R"] + facts["dropped"]
    assert list(corpus.files) == ["tiny.jsonl"]


@pytest.fixture(scope="module")
def weimar() -> Corpus:
    """Return the database itself."""
    return read_corpus([data_file("wjd/solos_train.jsonl.gz")])


@pytest.mark.slow
def test_the_database_is_read_whole(weimar: Corpus) -> None:
    """Guards against: a default network trained on less or other music than its card says."""
    facts = corpus_facts(weimar)
    assert facts["pieces"] == 307
    assert facts["left_out"] == {"not swing": 74, "not in 4/4": 21, "without chords": 5}
    assert facts["unread_chords"] == []
    assert facts["notes"] == 139_409
    assert facts["dropped_share"] < 0.015
    assert 0.13 < facts["kinds"]["R"] / facts["values"] < 0.15
