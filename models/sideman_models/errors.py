# SPDX-License-Identifier: Apache-2.0
"""The errors of this package: each message is one line that says where the problem is, and what would be valid."""

from __future__ import annotations


class ModelsError(Exception):
    """The base class of all errors of this package."""


class ChordError(ModelsError):
    """A chord symbol cannot be read."""


class ValueTextError(ModelsError):
    """The text of a musical value cannot be read."""


class BundleError(ModelsError):
    """A trained model on disk is missing, broken or of the wrong kind."""


class NoSuchBundle(BundleError):
    """No bundle has this name."""


class ArchiveError(ModelsError):
    """A zip archive, or an array in one, cannot be read."""


class CorpusError(ModelsError):
    """Music to train on is missing or cannot be read."""


class TrainingError(ModelsError):
    """A training has no usable result."""


class CheckpointError(ModelsError):
    """The checkpoint of a training is broken, or belongs to another training."""
