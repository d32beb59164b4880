# SPDX-License-Identifier: Apache-2.0
"""The settings of `midi`: ports, channels and controllers."""

from __future__ import annotations

from msgspec import Struct

from sideman.core.actions import action_list
from sideman.core.settings.groups.definitions import PORTS, group, setting
from sideman.core.settings.types import bindings_type, boolean_type, integer_type, optional_type, text_type
from sideman.core.targets import Bindings

NO_BINDINGS = Bindings()


@group
class MidiSettings(Struct, frozen=True):
    """MIDI ports, channels and controllers.

    A `listen` of None means all channels; a `comp_output` or `drums_output` of None means `output`, a `bass_output` of
    None `comp_output`. For a `bass` of None see `sideman.core.settings.voices`.
    """

    input: tuple[str, ...] = setting(
        ("auto",),
        PORTS,
        "The MIDI port on which sideman hears you: auto makes a port that other programs can connect to, none means "
        "that sideman hears nothing. With a list, such as [Keystep, Launchpad], it hears all of them.",
    )
    output: tuple[str, ...] = setting(
        ("auto",),
        PORTS,
        "The MIDI port on which sideman plays: auto makes a port that other programs can connect to, none means that "
        "no MIDI is sent. With a list, everything is sent to each of them.",
    )
    comp_output: tuple[str, ...] | None = setting(
        None,
        optional_type(None, PORTS, "midi.output"),
        "The MIDI port of the accompaniment, if it has one of its own. Its channel is midi.comp.",
    )
    bass_output: tuple[str, ...] | None = setting(
        None,
        optional_type(None, PORTS, "midi.comp_output"),
        "The MIDI port of the bass, if it has one of its own. Its channel is midi.bass.",
    )
    drums_output: tuple[str, ...] | None = setting(
        None,
        optional_type(None, PORTS, "midi.output"),
        "The MIDI port of the drums and the clicks, if they have one of their own. Their channel is midi.drums.",
    )
    channel: int = setting(1, integer_type(1, 16), "The MIDI channel of the solo.")
    listen: int | None = setting(
        None, optional_type("all", integer_type(1, 16)), "The MIDI channel on which sideman hears you."
    )
    client: str = setting(
        "sideman",
        text_type("a short name without colons", max_length=40, forbidden=":"),
        "The name under which other programs see sideman's ports.",
    )
    wait: bool = setting(
        False,
        boolean_type(),
        "What to do when a named port is missing: true starts without it and connects when it appears, false stops "
        "with an error.",
    )
    echo_ms: int = setting(
        60,
        integer_type(0, 1000),
        "A note that comes in within this many milliseconds after sideman has played it counts as an echo, not as "
        "your note.",
    )
    chords: int | None = setting(
        None,
        optional_type(None, integer_type(1, 16), "none"),
        "The channel on which the chords that you hold down replace the chords of the chart.",
    )
    transpose: int = setting(
        0,
        integer_type(-24, 24),
        "The key of your instrument, in semitones from the written to the sounding note: -2 for an instrument in B "
        "flat, -9 for an alto saxophone. sideman hears you, and shows notes and chords, in this key.",
    )
    program: int | None = setting(
        None,
        optional_type(None, integer_type(1, 128), "leave it as it is"),
        "The sound of the solo: the program to select on midi.channel, at the start and for each instrument that is "
        "connected later.",
    )
    bank: int | None = setting(
        None,
        optional_type(None, integer_type(0, 16383), "leave it as it is"),
        "The bank from which the sound of the solo is taken: 128 times the number that your instrument's manual gives "
        "for controller 0 (MSB), plus the one for controller 32 (LSB). It needs midi.program.",
    )
    lamp: int | None = setting(
        None,
        optional_type(None, integer_type(0, 127), "none"),
        "A controller that is sent on midi.channel and shows what sideman does: 0 for nothing, 64 for listening, 127 "
        "for playing; in the bar before a jump, a loop's next round, another key or another tempo 80 and 111 instead.",
    )
    drums: int = setting(
        10, integer_type(1, 16), "The channel of the drums and the clicks. What you play on it is ignored."
    )
    drums_program: int | None = setting(
        None,
        optional_type(None, integer_type(1, 128), "leave it as it is"),
        "The drum kit, as midi.program is the sound of the solo; 41 is a kit with brushes. With --sound and in "
        "rendered files, null takes that.",
    )
    drums_bank: int | None = setting(
        None,
        optional_type(None, integer_type(0, 16383), "leave it as it is"),
        "The bank from which the drum kit is taken, numbered as in midi.bank. It needs midi.drums_program.",
    )
    bass: int | None = setting(
        None,
        optional_type(None, integer_type(1, 16), "3, but midi.comp where the bass plays without shells"),
        "The channel of the bass.",
    )
    bass_program: int | None = setting(
        None,
        optional_type(None, integer_type(1, 128), "leave it as it is"),
        "The sound of the bass on a channel of its own, as midi.program is that of the solo. With --sound and in "
        "rendered files, null takes a double bass (33).",
    )
    bass_bank: int | None = setting(
        None,
        optional_type(None, integer_type(0, 16383), "leave it as it is"),
        "The bank from which that sound is taken, numbered as in midi.bank. It needs midi.bass_program.",
    )
    comp: int = setting(
        2, integer_type(1, 16), "The channel of the shells, and of a bass that plays without them (see midi.bass)."
    )
    comp_program: int | None = setting(
        None,
        optional_type(None, integer_type(1, 128), "leave it as it is"),
        "The sound of the accompaniment, as midi.program is that of the solo. With --sound and in rendered files, null "
        "takes what suits play.comp: a piano (1) or a double bass (33).",
    )
    comp_bank: int | None = setting(
        None,
        optional_type(None, integer_type(0, 16383), "leave it as it is"),
        "The bank from which the sound of the accompaniment is taken, numbered as in midi.bank. It needs "
        "midi.comp_program.",
    )
    cc: Bindings = setting(
        NO_BINDINGS,
        bindings_type(
            "controllers from 0 to 127, each with a setting that changes while sideman plays, or with an action"
        ),
        "What your knobs, faders and pedals do, for instance {1: play.temperature, 20: play.density 0.2-2, 64: mode}. "
        "A controller turns a setting, through its whole range or the range after it, or performs an action when you "
        f"press it: {action_list()}. An endless knob is written {{20: play.density relative}}, a fader with 14 bits "
        "{7: play.velocity 14-bit}. The MIDI channel does not matter.",
    )
    nrpn: Bindings = setting(
        NO_BINDINGS,
        bindings_type("NRPN parameters from 0 to 16382, each with a setting or an action as in midi.cc"),
        "The same for knobs and faders that send NRPN, by the number of the parameter, for instance {1034: play.gate}.",
    )
    feedback: bool = setting(
        False,
        boolean_type(),
        "Send the value of each bound setting back to its controller, on midi.channel of the output: at the start, and "
        "whenever something else changes it. For LED rings and motor faders, which follow what they are sent.",
    )
    ghost: int = setting(
        1,
        integer_type(1, 127),
        "The softest note that counts as yours, as a MIDI velocity: sideman does not hear your ghost notes below it. 1 "
        "hears every note.",
    )
    notes: Bindings = setting(
        NO_BINDINGS,
        bindings_type("pitches, each with an action"),
        "Keys and pads that perform actions instead of music, for instance {C1: start, D1: stop, 28: again}. The "
        "actions are those of midi.cc.",
    )
    programs: Bindings = setting(
        NO_BINDINGS,
        bindings_type("program numbers from 1 to 128, each with a preset, next or chart:NAME"),
        "The presets that program changes select, for instance {1: ballad, 2: bebop}; also next, the next song of "
        "chart.set, and chart:NAME, a chart or the number of a song of the set.",
    )
