# SPDX-License-Identifier: Apache-2.0
"""The title of a MIDI file: what its makers called the music.

It is the first text after `@T` in a karaoke file, or the name of the music (`MidiFile.name`), whichever means
something first. Names that programs give (untitled, Track 1, Soft karaoke), of sites, and of parts (Melody, Piano) mean
nothing as a title: many files have them.
"""

from __future__ import annotations

import re
from itertools import islice

from sideman_models.corpus.midi.parser import MidiFile

_MEANINGLESS_NAMES = re.compile(
    r"[\W\d_]*(untitled|(new )?(song|track|sequence|seq|tempo|conductor|master|control|midi|meta|file|type|no name)"
    r"[\W\d_]*)*|.*(www\.|http|@|copyright|\(c\)|©).*"
    r"|[\W\d_]*((soft|midi)? ?karaoke( file)?|words|lyrics?|copyright|chords?|melod(y|ie)|solo|lead|vocals?|voice"
    r"|drums?|bass|strings|guitar|organ|(acoustic )?(grand )?piano|(left|right) hand)[\W\d_]*",
    re.IGNORECASE,
)
_KARAOKE_TITLE, _MAX_KARAOKE_TITLES = "@T", 8


def find_title(midi: MidiFile) -> str:
    """Return the title of the music, or an empty text if the file has none."""
    texts = (one.text for track in midi.tracks for one in track.texts)
    karaoke = (text.removeprefix(_KARAOKE_TITLE).strip() for text in texts if text.startswith(_KARAOKE_TITLE))
    return next(
        (name for name in (*islice(karaoke, _MAX_KARAOKE_TITLES), midi.name) if not _MEANINGLESS_NAMES.fullmatch(name)),
        "",
    )
