# SPDX-License-Identifier: Apache-2.0
"""The settings of `takes`."""

from __future__ import annotations

from msgspec import Struct

from sideman.core.settings.groups.definitions import group, setting
from sideman.core.settings.types import boolean_type, integer_type, optional_type, text_type


@group
class TakesSettings(Struct, frozen=True):
    """Recordings of what is played and heard.

    A `folder` of None means the usual folder.
    """

    record: bool = setting(False, boolean_type(), "Record everything that is played and heard, as a take.")
    folder: str | None = setting(
        None,
        optional_type("auto", text_type("the path of a folder")),
        "The folder of the takes; auto: the folder takes, next to the bundles that you have trained.",
    )
    limit_mb: int = setting(
        500,
        integer_type(1, 1_000_000),
        "When all recorded takes together are larger than this many megabytes, the oldest ones are deleted.",
    )
