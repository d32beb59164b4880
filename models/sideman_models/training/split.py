# SPDX-License-Identifier: Apache-2.0
"""Which pieces are held out from training, to measure on. Whole titles are held out, so that no tune is on both sides.

The rule is written to the facts of the bundle, so that a later evaluation holds out the same titles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sideman_models.errors import BundleError
from sideman_models.music.solos import Piece

MIN_TITLES = 5
"""With fewer titles, none is held out unless a share is asked for: all are needed for training."""
SPLIT_RULE_KEY = "held_back"
"""The key of the rule in the facts of a bundle."""


class SplitRule(msgspec.Struct, frozen=True, omit_defaults=True, rename={"description": "words"}):
    """Which titles are held out: listed `titles`, or a `share` of all, or by default the fixed tenth.

    Whether a title is held out depends on that title alone, not on which other titles there are.
    """

    description: str
    """The rule in words, for the model card. Two rules with different words count as different: keep the texts."""
    share: float | None = None
    titles: tuple[str, ...] | None = None
    """The sha256 of each held-out title, in hexadecimal."""

    def holds_out(self, title: str) -> bool:
        """Return whether pieces of this title are held out from training."""
        if self.titles is not None:
            return title_sha256(title).hex() in self.titles
        return is_held_out(title) if self.share is None else title_hash_number(title) / (1 << 32) < self.share


FIXED_TENTH = SplitRule("a tenth of all titles, by a hash of the title that never changes")
"""The default rule: see `is_held_out`."""


def read_split_rule(facts: Mapping[str, Any], source: object) -> SplitRule:
    """Return a bundle's rule, or without one the fixed tenth. Raises `BundleError`, which names `source`, its path."""
    rule = facts.get(SPLIT_RULE_KEY)
    try:
        return FIXED_TENTH if rule is None else msgspec.convert(rule, SplitRule)
    except msgspec.ValidationError as error:
        raise BundleError(f"{source}: facts: {SPLIT_RULE_KEY}: not a rule for held-out titles: {error}") from error


def lineage(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the facts of a bundle, then those of the networks that it started from or that taught it, and so on."""
    networks = [facts]
    for network in networks:  # the list grows in the loop
        teachers = network.get("teachers")
        before = [network.get("from"), *(teachers if isinstance(teachers, list) else [])]
        networks += [each for each in before if isinstance(each, dict)]
    return networks


def training_file_hashes(facts: Mapping[str, Any]) -> set[str]:
    """Return the sha256 of each file that a bundle was trained on, from its facts."""
    files = facts.get("files")
    return {sha256 for sha256 in files.values() if isinstance(sha256, str)} if isinstance(files, dict) else set()


def files_known_before(
    networks: Sequence[Mapping[str, Any]], rule: SplitRule, files: Mapping[str, str], source: object
) -> list[str]:
    """Return the names of the files that one of the networks was trained on with another rule than `rule`.

    The titles that `rule` holds out of these files may not be new to that network. `networks` are the facts of each,
    `files` the sha256 of each file by its name. Raises `BundleError` as `read_split_rule` does.
    """
    known = [training_file_hashes(facts) for facts in networks if read_split_rule(facts, source) != rule]
    return [name for name, sha256 in sorted(files.items()) if any(sha256 in hashes for hashes in known)]


class Split(msgspec.Struct, frozen=True):
    """The pieces to train on, the pieces to measure on, and the rule that separates them."""

    training: tuple[Piece, ...]
    held_out: tuple[Piece, ...]
    rule: SplitRule


def split_by_rule(pieces: Sequence[Piece], rule: SplitRule = FIXED_TENTH) -> Split:
    """Split the pieces by the rule; pieces without values are left out.

    Pieces of another feel are never measured on. They are trained on, unless the rule or `is_held_out` holds out their
    title.
    """
    used = [(piece, rule.holds_out(piece.title)) for piece in pieces if piece.values]
    training = [piece for piece, held in used if not held and not (piece.other_feel and is_held_out(piece.title))]
    return Split(tuple(training), tuple(piece for piece, held in used if held and not piece.other_feel), rule)


def split_by_share(pieces: Sequence[Piece], share: float | None = None) -> Split:
    """Hold out a share (0..1) of the titles; without a share, the fixed tenth of `is_held_out`.

    If the hash selects none of the titles or all of them, the title with the lowest hash is held out. With fewer than
    `MIN_TITLES` titles, or with a share fewer than 2, nothing is held out.
    """
    by_hash = {title_sha256(piece.title): piece.title for piece in pieces if piece.values and not piece.other_feel}
    titles = [by_hash[digest] for digest in sorted(by_hash)]
    if share == 0:
        rule = SplitRule("none kept back, as was asked", titles=())
    elif len(titles) < (MIN_TITLES if share is None else 2):
        rule = SplitRule(f"too few titles to keep any back ({len(titles)})", titles=())
    else:
        rule = FIXED_TENTH if share is None else SplitRule(f"{share:.3g} of all titles, by a hash of the title", share)
        if not 0 < sum(map(rule.holds_out, titles)) < len(titles):
            rule = SplitRule("one title, the one whose hash is lowest", titles=(title_sha256(titles[0]).hex(),))
    return split_by_rule(pieces, rule)


def is_held_out(title: str) -> bool:
    """Whether the fixed tenth of all titles, which never changes, holds out this title from training."""
    return title_hash_number(title) % 10 == 0


def title_hash_number(title: str) -> int:
    """A number from 0 up to 2^32 that depends on the title alone, but not on case or white space."""
    return int.from_bytes(title_sha256(title)[:4])


def title_sha256(title: str) -> bytes:
    """The sha256 (32 bytes) of the title in lower case, with single spaces."""
    return hashlib.sha256(" ".join(title.lower().split()).encode()).digest()
