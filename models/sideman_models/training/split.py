# SPDX-License-Identifier: Apache-2.0
"""Which pieces are kept from training, to measure on: whole titles, so that no tune is on both sides.

A bundle's facts tell its rule, so that what it is measured on later was kept from it then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sideman_models.errors import BundleError
from sideman_models.music.solos import Piece

MIN_TITLES = 5
"""With fewer titles than these, none is kept back unless asked for: each is needed to learn from."""
SPLIT_RULE_KEY = "held_back"
"""Where the facts of a bundle tell its rule."""
_HELD_OUT_DIVISOR = 10


@dataclass(frozen=True, slots=True)
class SplitRule:
    """Which titles are kept back: a `share` of all, or the `titles` whose sha256 these are, or else the fixed tenth.

    Whether it keeps a title depends on that title alone, whatever other titles there are; `description` tell of the
    rule.
    """

    description: str = "a tenth of all titles, by a hash of the title that never changes"
    share: float | None = None
    titles: tuple[str, ...] | None = None

    def holds_out(self, title: str) -> bool:
        """Whether pieces of this title are kept from training."""
        if self.titles is not None:
            return title_sha256(title).hex() in self.titles
        return is_held_out(title) if self.share is None else title_hash_number(title) / (1 << 32) < self.share

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, which `read_split_rule` reads."""
        told = {"share": self.share, "titles": None if self.titles is None else list(self.titles)}
        return {"words": self.description, **{name: one for name, one in told.items() if one is not None}}


FIXED_TENTH = SplitRule()
"""The fixed tenth: `is_held_out`."""


def read_split_rule(facts: Mapping[str, Any], source: object) -> SplitRule:
    """The rule that a bundle's facts tell of; the fixed tenth where they tell none.

    Raises `BundleError`, which names `source` they stand, for one that makes no sense.
    """
    told = facts.get(SPLIT_RULE_KEY)
    if told is None:
        return FIXED_TENTH
    words, share, titles = map(told.get, ("words", "share", "titles")) if isinstance(told, dict) else (None,) * 3
    listed = isinstance(titles, list) and all(isinstance(title, str) for title in titles)
    if not isinstance(words, str) or not isinstance(share, float | int | None) or not (listed or titles is None):
        raise BundleError(
            f"{source}: facts: {SPLIT_RULE_KEY}: not a rule for what is kept back that this program knows"
        )
    return SplitRule(words, share, tuple(titles) if titles is not None else None)


def lineage(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A bundle's facts, then what they tell of the network it began from, and so on."""
    each = [facts]
    while isinstance(told := each[-1].get("from"), dict):
        each.append(told)
    return each


def training_file_hashes(facts: Mapping[str, Any]) -> set[str]:
    """The sha256 of each file that a bundle's facts name as what it learned from."""
    files = facts.get("files")
    return {one for one in files.values() if isinstance(one, str)} if isinstance(files, dict) else set()


def files_known_before(
    networks: Sequence[Mapping[str, Any]], rule: SplitRule, files: Mapping[str, str], source: object
) -> list[str]:
    """Those of the files that one of the networks, by its facts, learned from, and kept other titles of than the rule.

    `files` holds the sha256 of each by its name. Raises `BundleError` as `read_split_rule` does.
    """
    known = [training_file_hashes(one) for one in networks if read_split_rule(one, source) != rule]
    return [name for name, sha256 in sorted(files.items()) if any(sha256 in one for one in known)]


@dataclass(frozen=True, slots=True)
class Split:
    """The pieces to learn from and those to measure on, and the rule they were parted by."""

    training: tuple[Piece, ...]
    held_out: tuple[Piece, ...]
    rule: SplitRule


def split_by_rule(pieces: Sequence[Piece], rule: SplitRule = FIXED_TENTH) -> Split:
    """Part the pieces that hold anything by the rule.

    Foreign pieces are only learned from, and not even that if the rule or `is_held_out` keeps their title.
    """
    kept = {piece.title: rule.holds_out(piece.title) for piece in pieces}
    used = [piece for piece in pieces if piece.values]
    ours = tuple(piece for piece in used if kept[piece.title] and not piece.other_feel)
    seen = [piece for piece in used if not kept[piece.title] and not (piece.other_feel and is_held_out(piece.title))]
    return Split(tuple(seen), ours, rule)


def split_by_share(pieces: Sequence[Piece], share: float | None = None) -> Split:
    """Keep that share of the titles from training; without a share, the titles that `is_held_out` always keeps.

    Where the hash happens to keep none of the titles (or all), it is the one whose hash is lowest; fewer than
    `MIN_TITLES` titles are all learned from, unless a share is asked for and there are two.
    """
    found = {title_sha256(piece.title): piece.title for piece in pieces if piece.values and not piece.other_feel}
    return split_by_rule(pieces, _choose_rule([found[digest] for digest in sorted(found)], share))


def _choose_rule(titles: Sequence[str], share: float | None) -> SplitRule:
    """The rule for these different titles, that of the lowest hash first."""
    if share == 0:
        return SplitRule("none kept back, as was asked", titles=())
    if len(titles) < (MIN_TITLES if share is None else 2):
        return SplitRule(f"too few titles to keep any back ({len(titles)})", titles=())
    rule = FIXED_TENTH if share is None else SplitRule(f"{share:.3g} of all titles, by a hash of the title", share)
    if 0 < sum(map(rule.holds_out, titles)) < len(titles):
        return rule
    return SplitRule("one title, the one whose hash is lowest", titles=(title_sha256(titles[0]).hex(),))


def is_held_out(title: str) -> bool:
    """Whether the fixed tenth of all titles, which never changes, holds out this title from training.

    The split is by title, so that no tune is in the training set and among the pieces to measure on.
    """
    return title_hash_number(title) % _HELD_OUT_DIVISOR == 0


def title_hash_number(title: str) -> int:
    """A number from 0 up to 2^32 that depends on the title alone, but not on case or white space."""
    return int.from_bytes(title_sha256(title)[:4])


def title_sha256(title: str) -> bytes:
    """The sha256 (32 bytes) of the title in lower case, with single spaces."""
    return hashlib.sha256(" ".join(title.lower().split()).encode()).digest()
