# SPDX-License-Identifier: Apache-2.0
"""Which pieces are kept from training, to measure on: whole titles, so that no tune is on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sideman_models.corpus import unseen
from sideman_models.solos import Piece

FEW = 5
"""With fewer titles than these, none is kept back unless asked for: each is needed to learn from."""


@dataclass(frozen=True, slots=True)
class Split:
    """The pieces to learn from and those to measure on, and the `rule` they were parted by, in words."""

    seen: tuple[Piece, ...]
    unseen: tuple[Piece, ...]
    rule: str


def keep_back(pieces: Sequence[Piece], share: float | None = None) -> Split:
    """Keep that share of the titles from training; without a share, the titles that `corpus.unseen` always keeps.

    Foreign pieces are only learned from, and not even that if `corpus.unseen` keeps their title.

    Who is kept depends on the title alone. Where the hash happens to keep none of the titles (or all), it is the one
    whose hash is lowest; fewer than `FEW` titles are all learned from, unless a share is asked for and there are two.
    """
    used = [piece for piece in pieces if piece.values and not (piece.foreign and unseen(piece.title))]
    titles = sorted({_words(piece.title) for piece in used if not piece.foreign}, key=_hash)
    kept, rule = _kept(titles, share)
    sides: tuple[list[Piece], list[Piece]] = ([], [])
    for piece in used:
        sides[_words(piece.title) in kept].append(piece)
    measured = tuple(piece for piece in sides[1] if not piece.foreign)
    return Split(tuple(sides[0]), measured, rule)


def _kept(titles: Sequence[str], share: float | None) -> tuple[set[str], str]:
    if share == 0:
        return set(), "none kept back, as was asked"
    if len(titles) < (FEW if share is None else 2):
        return set(), f"too few titles to keep any back ({len(titles)})"
    if share is None:
        kept = {title for title in titles if unseen(title)}
        rule = "a tenth of all titles, by a hash of the title that never changes"
    else:
        kept = {title for title in titles if _hash(title) < share}
        rule = f"{share:.3g} of all titles, by a hash of the title"
    if 0 < len(kept) < len(titles):
        return kept, rule
    return {titles[0]}, "one title, the one whose hash is lowest"


def _words(title: str) -> str:
    return " ".join(title.lower().split())


def _hash(title: str) -> float:
    """A number from 0 up to 1 that depends on the title alone."""
    return int.from_bytes(hashlib.sha256(title.encode()).digest()[:4]) / (1 << 32)
