# SPDX-License-Identifier: Apache-2.0
"""Music to learn from: the solos of the Weimar Jazz Database, and plain value files.

**A value file** is text: a piece a line, its values parted by spaces. It knows no chords, so no context either.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sideman_models.errors import CorpusError, ValueTextError
from sideman_models.solos import BAR_TICKS, BEATS, BeatChanges, Piece, Solo, write
from sideman_models.textfile import numbered_lines
from sideman_models.values import TICKS, parse_value
from sideman_models.weimar import DATABASE, WEIMAR, read_solos

__all__ = [
    "BAR_TICKS", "BEATS", "WEIMAR", "BeatChanges", "Corpus", "Piece", "Solo", "facts", "read", "read_solos",
    "read_values", "unseen", "write",
]  # fmt: skip

_UNSEEN_SHARE = 10


@dataclass(slots=True)
class Corpus:
    """Pieces, and where they come from.

    `left_out` counts solos that were not taken, by reason; `files` holds the sha256 of each file by its name; `sources`
    what is known of their origin and licence.
    """

    pieces: list[Piece] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)

    def split(self) -> tuple[list[Piece], list[Piece]]:
        """The pieces to learn from, and those of `unseen` titles."""
        kept = [piece for piece in self.pieces if piece.values]
        return [one for one in kept if not unseen(one.title)], [one for one in kept if unseen(one.title)]


def read(paths: Iterable[Path]) -> Corpus:
    """All pieces of the files, in order. Raises `CorpusError` naming the file and the line, and if there are none."""
    corpus = Corpus()
    for path in paths:
        if path.name.endswith(DATABASE):
            solos = read_solos(path, corpus.left_out)
            corpus.pieces += [write(solo) for solo in solos]
            source = WEIMAR
        else:
            corpus.pieces += read_values(path)
            source = f"{path.name}: a value file, its origin and licence not known to the program"
        corpus.files[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        corpus.sources += [] if source in corpus.sources else [source]
    if not corpus.pieces:
        reasons = ", ".join(f"{count} {reason}" for reason, count in corpus.left_out.items())
        raise CorpusError("no piece to learn from" + (f" (left out: {reasons})" if reasons else ""))
    return corpus


def unseen(title: str) -> bool:
    """Whether pieces of this title are kept from training, to measure on: a tenth of all titles, the same for ever.

    The split is by title, so that no tune is on both sides, whoever plays it.
    """
    words = " ".join(title.lower().split())
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4]) % _UNSEEN_SHARE == 0


def facts(corpus: Corpus) -> dict[str, Any]:
    """What the corpus holds, as plain JSON."""
    values = [value for piece in corpus.pieces for value in piece.values]
    texts = [value.text for value in values]
    notes, dropped = (sum(getattr(piece, name) for piece in corpus.pieces) for name in ("notes", "dropped"))
    kinds, durations = Counter(value.kind for value in values), Counter(value.ticks for value in values)
    return {
        "pieces": len(corpus.pieces),
        "titles": len({piece.title for piece in corpus.pieces}),
        "left_out": dict(corpus.left_out),
        "unread_chords": sorted({text for piece in corpus.pieces if piece.solo for text in piece.solo.unread}),
        "notes": notes,
        "dropped": dropped,
        "dropped_share": round(dropped / notes, 4) if notes else 0.0,
        "values": len(values),
        "different_values": len(set(values)),
        "kinds": {kind: kinds[kind] for kind in "CSAXR" if kinds[kind]},
        "durations": {f"{ticks / TICKS:.3f}": count for ticks, count in sorted(durations.items())},
        "values_sha256": _sha256(texts),
        "different_values_sha256": _sha256(sorted(set(texts))),
    }


def _sha256(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def read_values(path: Path) -> list[Piece]:
    """The pieces of a value file: a piece a line, values parted by spaces; empty lines are skipped.

    Raises `CorpusError` naming the file and the line.
    """
    pieces = []
    for number, line in numbered_lines(path):
        if not (texts := line.split()):
            continue
        try:
            values = tuple(parse_value(text) for text in texts)
        except ValueTextError as error:
            raise CorpusError(f"{path}:{number}: {error}") from error
        notes = sum(value.kind != "R" for value in values)
        pieces.append(Piece(f"{path.name}:{number}", "", values, notes=notes))
    return pieces
