# SPDX-License-Identifier: Apache-2.0
"""The settings of `control`: the socket and OSC."""

from __future__ import annotations

from msgspec import Struct

from sideman.core.settings.groups.definitions import group, setting
from sideman.core.settings.types import integer_type, optional_type, secret_type, text_type


@group
class ControlSettings(Struct, frozen=True):
    """Remote control while sideman plays.

    A `socket` of None means the usual path, an `osc` of None no port, an `osc_key` of None that none is asked for.
    """

    socket: str | None = setting(
        None,
        optional_type("auto", text_type("none or the path of a socket")),
        "The socket through which `sideman ctl` and other programs control sideman; auto: in the runtime folder of the "
        "service, or else of your login.",
    )
    osc: int | None = setting(
        None,
        optional_type(None, integer_type(1024, 65535), "none"),
        "The UDP port that takes the same requests as OSC messages (the extra osc has to be installed).",
    )
    osc_host: str = setting(
        "127.0.0.1",
        text_type("an address of this machine", max_length=200),
        "The address of that port. On 127.0.0.1 every user of this machine can control sideman; if other machines can "
        "reach the address, everybody on them can. osc_key keeps them out.",
    )
    osc_key: str | None = setting(
        None,
        optional_type(None, secret_type(12, 100), "none is asked for"),
        "A key that each OSC message has to give after /sideman, as in /sideman/KEY/play/temperature; all others are "
        "ignored. sideman never shows it. Keep this file readable for yourself alone (chmod 600).",
    )
