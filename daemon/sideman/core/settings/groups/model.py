# SPDX-License-Identifier: Apache-2.0
"""The settings of `model`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from sideman.core.settings.groups.definitions import group, setting
from sideman.core.settings.types import boolean_type, choice_type, text_type


@group
class ModelSettings(Struct, frozen=True):
    """The trained network that plays."""

    bundle: str = setting(
        "default",
        text_type("the name of a bundle or the path of its folder"),
        "The trained network: the name of one that you have trained or that comes with sideman, or the path of its "
        "folder.",
    )
    engine: Literal["numpy", "tensorflow"] = setting(
        "numpy",
        choice_type("numpy", "tensorflow"),
        "The software that computes the network: numpy starts quickly and needs little memory; tensorflow has to be "
        "installed and plays the same notes.",
    )
    learn: bool = setting(
        False,
        boolean_type(),
        "Learn from what you play, while you play: a copy of the network learns beside the music, and replaces the "
        "network as soon as it predicts your notes better. The next start continues with it, unless it has a seed. It "
        "needs model.engine: numpy.",
    )
