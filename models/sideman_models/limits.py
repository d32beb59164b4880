# SPDX-License-Identifier: Apache-2.0
"""The limits of everything that is read: bytes, items, and for a playing daemon also seconds and memory.

A reader stops at its limit and says so. Up to there its cost grows in proportion to the size of the file, whatever the
file holds: `bench.readers` measures this for the worst shapes of each kind. SECURITY.md has the table.
"""

from __future__ import annotations

from msgspec import Struct


class Limit(Struct, frozen=True):
    """The limits of one kind of file: its bytes, and in all of them together the items, which `items` names.

    A compressed file has `bytes` before it is unpacked, and what is unpacked of it has as many again.
    """

    what: str
    bytes: int
    count: int = 0
    items: str = ""

    @property
    def size_text(self) -> str:
        """The bytes as people write them."""
        for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
            if self.bytes >= 1 << shift:
                return f"{self.bytes / (1 << shift):.4g} {unit}"
        return f"{self.bytes} bytes"


CHART = Limit("a chart file of any kind", 1 << 23, 1 << 14, "chords, in 4096 bars as they are played")
CHART_TEXT = Limit("a chart as text", 1 << 20)
PLAYLIST = Limit("a playlist of iReal Pro", 1 << 23, 10_000, "songs")
SONG = Limit("the music of one song of iReal Pro", 1 << 14)
TUNES = Limit("an ABC tune book", 1 << 23, 10_000, "tunes")
TUNE = Limit("one tune in ABC", 1 << 17)
SCORE = Limit("a MusicXML score (compressed: also unpacked)", 1 << 23, 1 << 16, "elements in the measures of a part")
XML_TAGS = Limit("the XML of a score", 1 << 23, 1 << 20, "tags")
MIDI = Limit("a MIDI file", 1 << 23, 250_000, "events")
CHORD_SYMBOL = Limit("a chord symbol", 64)
SETTINGS = Limit("a configuration file or a preset", 1 << 18, 1000, "keys")
REQUEST = Limit("a request on the control socket, or of a page", 1 << 16, 500, "values")
STATE = Limit("the saved state", 1 << 22)
CRASH_MARK = Limit("the mark of a crash", 1 << 16)
JOURNAL_LINE = Limit("a line of a take's journal", 1 << 22)
DESCRIPTION = Limit("values.json of a bundle", 1 << 22, 100_000, "values")
CARD = Limit("CARD.md of a bundle", 1 << 20)
WEIGHTS = Limit("weights.npz of a bundle (also unpacked)", 1 << 28)
KERAS = Limit("a .keras file (also unpacked)", 1 << 28)
KERAS_CONFIG = Limit("config.json of a .keras file", 1 << 22)
CHECKPOINT = Limit("the checkpoint of a training (also unpacked)", 1 << 30)
ARCHIVE = Limit("a zip archive, if it is read (stored or deflated members only)", 1 << 30, 1000, "members")
CORPUS_LINE = Limit("a line of a corpus (.gz: unpacked)", 1 << 23)
CORPUS_TEXT = Limit("a corpus of lines (.gz: unpacked)", 1 << 32)
CORPUS_CACHE = Limit("a reading of a MIDI file that is kept on disk", 1 << 26)

LIMITS = tuple(value for value in list(globals().values()) if isinstance(value, Limit))
"""The table of limits."""

LEARNING_MEMORY_BYTES = 1 << 29
"""What the process gets that learns while a daemon plays."""
READING_SECONDS, READING_CPU_SECONDS, READING_MEMORY_BYTES = 10, 5, 1 << 29
"""What a process gets that reads for a playing daemon: from its start to its end, of the processor, of memory."""
EXPORT_SECONDS, EXPORT_MEMORY_BYTES = 300, 1 << 31
"""What a process gets that writes a take in another form for a playing daemon, sound too: in all, and of memory."""
