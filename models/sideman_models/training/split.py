# SPDX-License-Identifier: Apache-2.0
"""Which pieces are kept from training, to measure on: whole titles, so that no tune is on both sides.

A bundle's facts tell its rule, so that what it is measured on later was kept from it then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sideman_models.corpus.corpus import title_digest, title_number, unseen
from sideman_models.errors import BundleError
from sideman_models.music.solos import Piece

FEW = 5
"""With fewer titles than these, none is kept back unless asked for: each is needed to learn from."""
HELD_BACK = "held_back"
"""Where the facts of a bundle tell its rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which titles are kept back: a `share` of all, or the `titles` whose sha256 these are, or else the fixed tenth.

    Whether it keeps a title depends on that title alone, whatever other titles there are; `words` tell of the rule.
    """

    words: str = "a tenth of all titles, by a hash of the title that never changes"
    share: float | None = None
    titles: tuple[str, ...] | None = None

    def keeps(self, title: str) -> bool:
        """Whether pieces of this title are kept from training."""
        if self.titles is not None:
            return title_digest(title).hex() in self.titles
        return unseen(title) if self.share is None else _place(title) < self.share

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, which `rule_of` reads."""
        told = {"share": self.share, "titles": None if self.titles is None else list(self.titles)}
        return {"words": self.words, **{name: one for name, one in told.items() if one is not None}}


TENTH = Rule()
"""The fixed tenth: `corpus.unseen`."""


def rule_of(facts: Mapping[str, Any], where: object) -> Rule:
    """The rule that a bundle's facts tell of; the fixed tenth where they tell none.

    Raises `BundleError`, which names `where` they stand, for one that makes no sense.
    """
    told = facts.get(HELD_BACK)
    if told is None:
        return TENTH
    words, share, titles = map(told.get, ("words", "share", "titles")) if isinstance(told, dict) else (None,) * 3
    listed = isinstance(titles, list) and all(isinstance(title, str) for title in titles)
    if not isinstance(words, str) or not isinstance(share, float | int | None) or not (listed or titles is None):
        raise BundleError(f"{where}: facts: {HELD_BACK}: not a rule for what is kept back that this program knows")
    return Rule(words, share, tuple(titles) if titles is not None else None)


def lineage(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A bundle's facts, then what they tell of the network it began from, and so on."""
    each = [facts]
    while isinstance(told := each[-1].get("from"), dict):
        each.append(told)
    return each


def learned_from(facts: Mapping[str, Any]) -> set[str]:
    """The sha256 of each file that a bundle's facts name as what it learned from."""
    files = facts.get("files")
    return {one for one in files.values() if isinstance(one, str)} if isinstance(files, dict) else set()


def known_before(
    networks: Sequence[Mapping[str, Any]], rule: Rule, files: Mapping[str, str], where: object
) -> list[str]:
    """Those of the files that one of the networks, by its facts, learned from, and kept other titles of than the rule.

    `files` holds the sha256 of each by its name. Raises `BundleError` as `rule_of` does.
    """
    known = [learned_from(one) for one in networks if rule_of(one, where) != rule]
    return [name for name, sha256 in sorted(files.items()) if any(sha256 in one for one in known)]


@dataclass(frozen=True, slots=True)
class Split:
    """The pieces to learn from and those to measure on, and the rule they were parted by."""

    seen: tuple[Piece, ...]
    unseen: tuple[Piece, ...]
    rule: Rule


def part(pieces: Sequence[Piece], rule: Rule = TENTH) -> Split:
    """Part the pieces that hold anything by the rule.

    Foreign pieces are only learned from, and not even that if the rule or `corpus.unseen` keeps their title.
    """
    kept = {piece.title: rule.keeps(piece.title) for piece in pieces}
    used = [piece for piece in pieces if piece.values]
    ours = tuple(piece for piece in used if kept[piece.title] and not piece.foreign)
    seen = [piece for piece in used if not kept[piece.title] and not (piece.foreign and unseen(piece.title))]
    return Split(tuple(seen), ours, rule)


def keep_back(pieces: Sequence[Piece], share: float | None = None) -> Split:
    """Keep that share of the titles from training; without a share, the titles that `corpus.unseen` always keeps.

    Where the hash happens to keep none of the titles (or all), it is the one whose hash is lowest; fewer than `FEW`
    titles are all learned from, unless a share is asked for and there are two.
    """
    found = {title_digest(piece.title): piece.title for piece in pieces if piece.values and not piece.foreign}
    return part(pieces, _rule([found[digest] for digest in sorted(found)], share))


def _rule(titles: Sequence[str], share: float | None) -> Rule:
    """The rule for these different titles, that of the lowest hash first."""
    if share == 0:
        return Rule("none kept back, as was asked", titles=())
    if len(titles) < (FEW if share is None else 2):
        return Rule(f"too few titles to keep any back ({len(titles)})", titles=())
    rule = TENTH if share is None else Rule(f"{share:.3g} of all titles, by a hash of the title", share)
    if 0 < sum(map(rule.keeps, titles)) < len(titles):
        return rule
    return Rule("one title, the one whose hash is lowest", titles=(title_digest(titles[0]).hex(),))


def _place(title: str) -> float:
    """A number from 0 up to 1 that depends on the title alone."""
    return title_number(title) / (1 << 32)
