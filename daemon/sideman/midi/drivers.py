# SPDX-License-Identifier: Apache-2.0
"""Loads the drivers of this machine's MIDI systems, in the order of `auto`: ALSA, JACK, CoreMIDI or Windows."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

from sideman.core.errors import Unavailable
from sideman.midi.driver import MidiDriver

_ALSA_SEQUENCER = "/dev/snd/seq"


def load_drivers(client: str, on_change: Callable[[], None] = lambda: None) -> list[MidiDriver]:
    """Load the drivers for a client of this name. `on_change` is called in a driver's thread: look after the ports.

    On Linux the list may be empty: sideman also plays without a MIDI system. Raises Unavailable if a library that the
    system needs is missing or broken.
    """
    drivers: list[MidiDriver] = []
    if os.path.exists(_ALSA_SEQUENCER):  # noqa: PTH110 - cheaper
        try:
            import alsa_midi  # without ports, sideman does not need it
        except (ImportError, OSError) as error:
            raise _broken("alsa-midi", error) from error
        from sideman.midi.alsa_driver import AlsaDriver

        drivers.append(AlsaDriver(alsa_midi, client, on_change))
    if sys.platform != "linux" or has_rtmidi():
        drivers += _rtmidi_drivers(client, on_change)
    return drivers


def has_rtmidi() -> bool:
    """Whether python-rtmidi is installed. On Linux only JACK needs it."""
    return "rtmidi" in sys.modules or importlib.util.find_spec("rtmidi") is not None


def no_system_message() -> str:
    """The message that no MIDI system is available."""
    if sys.platform != "linux":
        return "no MIDI here"
    jack = "no JACK server runs" if has_rtmidi() else "JACK needs python-rtmidi, which is not installed"
    return f"no MIDI here: ALSA's sequencer ({_ALSA_SEQUENCER}) cannot be opened, and {jack}"


def _rtmidi_drivers(client: str, on_change: Callable[[], None]) -> list[MidiDriver]:
    from sideman.midi import jack, rtmidi_driver

    try:
        rtmidi: Any = rtmidi_driver.import_rtmidi()
    except ImportError as error:
        raise _broken("python-rtmidi", error) from error
    built, drivers = rtmidi.get_compiled_api(), list[MidiDriver]()
    library = jack.libjack_of(rtmidi) if rtmidi.API_UNIX_JACK in built else None
    if library is not None:
        from sideman.midi.jack_driver import JackDriver

        drivers.append(JackDriver(rtmidi, library, client, on_change))
    others = [api for api in (rtmidi.API_MACOSX_CORE, rtmidi.API_WINDOWS_MM) if api in built]
    drivers += [rtmidi_driver.RtMidiDriver(rtmidi, api, client) for api in others]
    if not drivers and sys.platform != "linux":
        raise Unavailable("the installed python-rtmidi was built without any MIDI system: install it again")
    return drivers


def _broken(library: str, error: Exception) -> Unavailable:
    advice = "install it again, or set midi.output and midi.input to none"
    return Unavailable(f"{library} cannot be loaded ({error}): {advice}")
