# SPDX-License-Identifier: Apache-2.0
"""The settings of `chart`: the chords, and the songs of a set."""

from __future__ import annotations

from msgspec import Struct

from sideman.core.settings.groups.definitions import group, setting
from sideman.core.settings.set_list import SetSong, set_list_type
from sideman.core.settings.types import boolean_type, integer_type, optional_type, text_type

DEFAULT_CHANGES = """\
| F7  | Bb7    | F7    | Cm7 F7     |
| Bb7 | Bdim7  | F7    | Am7b5 D7b9 |
| Gm7 | C7     | F7 D7 | Gm7 C7     |"""


@group
class ChartSettings(Struct, frozen=True):
    """The chords that sideman plays over.

    A `choruses` of None means that the music does not end.
    """

    changes: str = setting(
        DEFAULT_CHANGES,
        text_type("chords between bar lines, such as | Dm7 | G7 | Cmaj7 | % |", max_length=100_000, multiline=True),
        "The chords, bar by bar; % repeats a bar. After the last bar they start again from the top.",
    )
    file: str | None = setting(
        None,
        optional_type(
            None,
            text_type("the path of a chart file, or the name of one that comes with sideman"),
            "play chart.changes",
        ),
        "A file with the chords to play instead of chart.changes. A relative path starts at the folder of this file.",
    )
    transpose: int = setting(
        0, integer_type(-11, 11), "Move the chords up, or down if negative, by this many semitones."
    )
    tempo: bool = setting(
        True,
        boolean_type(),
        "Play a chart at the tempo that it gives, if it gives one. Where you set tempo.bpm in your configuration, in a "
        "preset or on the command line, and not this, it is false.",
    )
    set: tuple[SetSong, ...] = setting(
        (),
        set_list_type(),
        "A set: the songs of the evening, played one after the other instead of chart.file, for instance [blues, "
        "'autumn, in Bb, 160 bpm, 3 choruses']. A song without a number of choruses goes on until the action next, "
        "after which the song is played to the end of its form; next once more goes on at the next bar line.",
    )
    song: int = setting(
        1, integer_type(0, 200), "The song of chart.set that is played, from 1; 0 plays chart.file or chart.changes."
    )
    choruses: int | None = setting(
        None,
        optional_type(None, integer_type(1, 1_000_000), "without end"),
        "How many times sideman plays through the chords before it stops; while bars are repeated (practice.loop), how "
        "many times through these. With an external clock it stops until the next start.",
    )
