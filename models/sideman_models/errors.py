# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with the things this package reads: each error says where, what, and what would be right."""

from __future__ import annotations


class ModelsError(Exception):
    """Anything this package refuses, told in one line."""


class ChordError(ModelsError):
    """A chord symbol that cannot be read."""


class ValueTextError(ModelsError):
    """The text of a musical value that cannot be read."""


class BundleError(ModelsError):
    """A trained model on disk that is missing, broken or of another kind."""


class NoSuchBundle(BundleError):
    """A name that no bundle has."""


class CorpusError(ModelsError):
    """Music to learn from that is missing or cannot be read."""


class TrainingError(ModelsError):
    """Training that came to nothing."""


class CheckpointError(ModelsError):
    """What a training left behind to go on from: broken, or of another training."""
