# SPDX-License-Identifier: Apache-2.0
"""Texts from anywhere, made printable (sideman_models.text, and the places that all texts pass)."""

from __future__ import annotations

import io
import json

import mido
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.control.codec import encode_json
from sideman.core.chart.chart import ChartInfo
from sideman.takes.midi_file import TakeMidiFile
from sideman.takes.replay import make_header
from sideman_models.text import PrintableStream, printable, printable_lines, terminal_of
from support.fakes import performance

HOSTILE = "a\nb\r\t\0\x1b[2J\x07\x7f\x85\x9b31m\u200f\u202e\u2066\u2028\u2029\ufeff\U000e0041c"
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
@example(HOSTILE)
def test_a_printable_text_is_one_line_that_gives_no_orders(text: str) -> None:
    """Guards against: a title with an escape sequence, a line end, or letters that turn the text around."""
    assert all(letter.isprintable() or letter.isspace() for letter in printable(text))
    assert len(printable(text).splitlines()) <= 1


@given(texts)
@example(HOSTILE)
def test_printed_json_stays_the_same_json(text: str) -> None:
    """Guards against: a file name that a program cannot use any more, because its JSON was changed."""
    for written in (printable_lines(json.dumps([text], ensure_ascii=False)), encode_json([text]).decode()):
        assert json.loads(written) == [text]
        assert len(written.splitlines()) == 1
        assert all(letter.isprintable() or letter.isspace() for letter in written)


def test_the_stream_lets_through_lines_and_nothing_else() -> None:
    """Guards against: one command that forgets to make a name printable."""
    behind = io.StringIO()
    stream = PrintableStream(behind)
    print(HOSTILE, "é", file=stream)
    assert behind.getvalue() == (
        "a\nb\\r\t\\u0000\\u001b[2J\\u0007\\u007f\\u0085\\u009b31m"
        "\\u200f\\u202e\\u2066\\u2028\\u2029\\ufeff\\udb40\\udc41c é\n"
    )
    assert terminal_of(stream) is behind  # type: ignore[arg-type]
    assert terminal_of(behind) is behind


def test_the_texts_of_a_chart_are_printable_wherever_it_came_from() -> None:
    """Guards against: a reader of charts that lets through what the others do not."""
    info = ChartInfo(title=HOSTILE, composer=HOSTILE, sections=((0, HOSTILE),))
    assert info.title == info.composer == info.sections[0][1] == printable(HOSTILE)
    assert len(str(info).splitlines()) == 1


def test_the_texts_of_a_midi_file_are_printable() -> None:
    """Guards against: a MIDI file that writes lines of its own into a configuration or a key file."""
    made = performance()
    header = make_header(made, made.make_engine(0.1))
    contents = TakeMidiFile(replace(header, name=HOSTILE, bundle=HOSTILE)).contents()
    song = mido.MidiFile(file=io.BytesIO(contents), charset="utf-8")
    written = [message.text for track in song.tracks for message in track if message.type == "text"]
    assert f"@I bundle: {printable(HOSTILE.replace(chr(10), ' '))}" in written
    assert song.tracks[0].name == printable(HOSTILE)


@pytest.mark.parametrize("text", ["Über den Wolken", "枯葉", "a\u00a0b", "🎷"])
def test_what_musicians_write_stays(text: str) -> None:
    """Guards against: titles in other languages that become escapes."""
    assert printable(text) == printable_lines(text) == text
