# SPDX-License-Identifier: Apache-2.0
"""Every setting, defined once: its default, its type, and what it does in a musician's words.

How to add a setting: add a field to one of the groups below. `config/default.yaml` is generated from them. A setting of
`play` or `practice` can be changed while sideman plays; so can the others in `LIVE_KEYS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from sideman.core.actions import action_list
from sideman.core.chart.chart import Chart, ChartError, Meter, parse_meter
from sideman.core.chart.places import check_place
from sideman.core.chart.styles import STYLES, Style
from sideman.core.settings.set_list import SetSong, set_list_type
from sideman.core.settings.types import (
    PitchRange,
    SettingType,
    bindings_type,
    boolean_type,
    choice_type,
    integer_type,
    names_type,
    number_type,
    optional_type,
    parts_type,
    pitch_range_type,
    plain_text,
    secret_type,
    text_type,
)
from sideman.core.targets import Bindings
from sideman.core.timing.clock_source import CLOCK_SOURCES, ClockSourceName
from sideman.core.timing.song_position import PositionUnit
from sideman.core.turns import MODE_NAMES, MODES, ModeName
from sideman_models.text import closest

DEFAULT_CHANGES = """\
| F7  | Bb7    | F7    | Cm7 F7     |
| Bb7 | Bdim7  | F7    | Am7b5 D7b9 |
| Gm7 | C7     | F7 D7 | Gm7 C7     |"""


def _read_meter(value: object) -> Meter:
    try:
        return parse_meter(value if isinstance(value, str) else "")
    except ChartError:
        raise ValueError from None


METER_TYPE = SettingType(
    "a time signature such as 4/4, 3/4 or 6/8: 1 to 16 over 1, 2, 4, 8 or 16", _read_meter, None, str
)
COMMON_TIME = Meter(4, 4)
SOLO_RANGE = PitchRange(48, 84)
NO_BINDINGS = Bindings()

_PORT = text_type("auto, none, or a port's name or part of it", max_length=200)
_PORTS = names_type("auto, none, or a port's name or part of it, or a list of up to 16 such names", _PORT, "none", 16)


_definitions: list[tuple[SettingType, str]] = []
"""The type and the text of each setting, in the order of the fields below. A field of a struct has no room for them."""


def _setting(default: Any, value_type: SettingType, doc: str) -> Any:  # noqa: ANN401 - a field of any type
    _definitions.append((value_type, doc))
    return default


# -- The groups. The first line of a group's docstring and the texts of its settings are the comments of default.yaml.


class MidiSettings(Struct, frozen=True):
    """MIDI ports, channels and controllers.

    A `listen` of None means all channels; a `comp_output` or `drums_output` of None means `output`, a `bass_output` of
    None `comp_output`. For a `bass` of None see `sideman.core.settings.voices`.
    """

    input: tuple[str, ...] = _setting(
        ("auto",),
        _PORTS,
        "The MIDI port on which sideman hears you: auto makes a port that other programs can connect to, none means "
        "that sideman hears nothing. With a list, such as [Keystep, Launchpad], it hears all of them.",
    )
    output: tuple[str, ...] = _setting(
        ("auto",),
        _PORTS,
        "The MIDI port on which sideman plays: auto makes a port that other programs can connect to, none means that "
        "no MIDI is sent. With a list, everything is sent to each of them.",
    )
    comp_output: tuple[str, ...] | None = _setting(
        None,
        optional_type(None, _PORTS, "midi.output"),
        "The MIDI port of the accompaniment, if it has one of its own. Its channel is midi.comp.",
    )
    bass_output: tuple[str, ...] | None = _setting(
        None,
        optional_type(None, _PORTS, "midi.comp_output"),
        "The MIDI port of the bass, if it has one of its own. Its channel is midi.bass.",
    )
    drums_output: tuple[str, ...] | None = _setting(
        None,
        optional_type(None, _PORTS, "midi.output"),
        "The MIDI port of the drums and the clicks, if they have one of their own. Their channel is midi.drums.",
    )
    channel: int = _setting(1, integer_type(1, 16), "The MIDI channel of the solo.")
    listen: int | None = _setting(
        None, optional_type("all", integer_type(1, 16)), "The MIDI channel on which sideman hears you."
    )
    client: str = _setting(
        "sideman",
        text_type("a short name without colons", max_length=40, forbidden=":"),
        "The name under which other programs see sideman's ports.",
    )
    wait: bool = _setting(
        False,
        boolean_type(),
        "What to do when a named port is missing: true starts without it and connects when it appears, false stops "
        "with an error.",
    )
    echo_ms: int = _setting(
        60,
        integer_type(0, 1000),
        "A note that comes in within this many milliseconds after sideman has played it counts as an echo, not as "
        "your note.",
    )
    chords: int | None = _setting(
        None,
        optional_type(None, integer_type(1, 16), "none"),
        "The channel on which the chords that you hold down replace the chords of the chart.",
    )
    transpose: int = _setting(
        0,
        integer_type(-24, 24),
        "The key of your instrument, in semitones from the written to the sounding note: -2 for an instrument in B "
        "flat, -9 for an alto saxophone. sideman hears you, and shows notes and chords, in this key.",
    )
    program: int | None = _setting(
        None,
        optional_type(None, integer_type(1, 128), "leave it as it is"),
        "The sound of the solo: the program to select on midi.channel, at the start and for each instrument that is "
        "connected later.",
    )
    bank: int | None = _setting(
        None,
        optional_type(None, integer_type(0, 16383), "leave it as it is"),
        "The bank from which the sound of the solo is taken: 128 times the number that your instrument's manual gives "
        "for controller 0 (MSB), plus the one for controller 32 (LSB). It needs midi.program.",
    )
    lamp: int | None = _setting(
        None,
        optional_type(None, integer_type(0, 127), "none"),
        "A controller that is sent on midi.channel and shows what sideman does: 0 for nothing, 64 for listening, 127 "
        "for playing; in the bar before a jump, a loop's next round, another key or another tempo 80 and 111 instead.",
    )
    drums: int = _setting(
        10, integer_type(1, 16), "The channel of the drums and the clicks. What you play on it is ignored."
    )
    drums_program: int | None = _setting(
        None,
        optional_type(None, integer_type(1, 128), "leave it as it is"),
        "The drum kit, as midi.program is the sound of the solo; 41 is a kit with brushes. With --sound and in "
        "rendered files, null takes that.",
    )
    drums_bank: int | None = _setting(
        None,
        optional_type(None, integer_type(0, 16383), "leave it as it is"),
        "The bank from which the drum kit is taken, numbered as in midi.bank. It needs midi.drums_program.",
    )
    bass: int | None = _setting(
        None,
        optional_type(None, integer_type(1, 16), "3, but midi.comp where the bass plays without shells"),
        "The channel of the bass.",
    )
    bass_program: int | None = _setting(
        None,
        optional_type(None, integer_type(1, 128), "leave it as it is"),
        "The sound of the bass on a channel of its own, as midi.program is that of the solo. With --sound and in "
        "rendered files, null takes a double bass (33).",
    )
    bass_bank: int | None = _setting(
        None,
        optional_type(None, integer_type(0, 16383), "leave it as it is"),
        "The bank from which that sound is taken, numbered as in midi.bank. It needs midi.bass_program.",
    )
    comp: int = _setting(
        2, integer_type(1, 16), "The channel of the shells, and of a bass that plays without them (see midi.bass)."
    )
    comp_program: int | None = _setting(
        None,
        optional_type(None, integer_type(1, 128), "leave it as it is"),
        "The sound of the accompaniment, as midi.program is that of the solo. With --sound and in rendered files, null "
        "takes what suits play.comp: a piano (1) or a double bass (33).",
    )
    comp_bank: int | None = _setting(
        None,
        optional_type(None, integer_type(0, 16383), "leave it as it is"),
        "The bank from which the sound of the accompaniment is taken, numbered as in midi.bank. It needs "
        "midi.comp_program.",
    )
    cc: Bindings = _setting(
        NO_BINDINGS,
        bindings_type(
            "controllers from 0 to 127, each with a setting that changes while sideman plays, or with an action"
        ),
        "What your knobs, faders and pedals do, for instance {1: play.temperature, 20: play.density 0.2-2, 64: mode}. "
        "A controller turns a setting, through its whole range or the range after it, or performs an action when you "
        f"press it: {action_list()}. An endless knob is written {{20: play.density relative}}, a fader with 14 bits "
        "{7: play.velocity 14-bit}. The MIDI channel does not matter.",
    )
    nrpn: Bindings = _setting(
        NO_BINDINGS,
        bindings_type("NRPN parameters from 0 to 16383, each with a setting or an action as in midi.cc"),
        "The same for knobs and faders that send NRPN, by the number of the parameter, for instance {1034: play.gate}.",
    )
    feedback: bool = _setting(
        False,
        boolean_type(),
        "Send the value of each bound setting back to its controller, on midi.channel of the output: at the start, and "
        "whenever something else changes it. For LED rings and motor faders, which follow what they are sent.",
    )
    ghost: int = _setting(
        1,
        integer_type(1, 127),
        "The softest note that counts as yours, as a MIDI velocity: sideman does not hear your ghost notes below it. 1 "
        "hears every note.",
    )
    notes: Bindings = _setting(
        NO_BINDINGS,
        bindings_type("pitches, each with an action"),
        "Keys and pads that perform actions instead of music, for instance {C1: start, D1: stop, 28: again}. The "
        "actions are those of midi.cc.",
    )
    programs: Bindings = _setting(
        NO_BINDINGS,
        bindings_type("program numbers from 1 to 128, each with a preset, next or chart:NAME"),
        "The presets that program changes select, for instance {1: ballad, 2: bebop}; also next, the next song of "
        "chart.set, and chart:NAME, a chart or the number of a song of the set.",
    )


class ModelSettings(Struct, frozen=True):
    """The trained network that plays."""

    bundle: str = _setting(
        "default",
        text_type("the name of a bundle or the path of its folder"),
        "The trained network: the name of one that you have trained or that comes with sideman, or the path of its "
        "folder.",
    )
    engine: Literal["numpy", "tensorflow"] = _setting(
        "numpy",
        choice_type("numpy", "tensorflow"),
        "The software that computes the network: numpy starts quickly and needs little memory; tensorflow has to be "
        "installed and plays the same notes.",
    )
    learn: bool = _setting(
        False,
        boolean_type(),
        "Learn from what you play, while you play: a copy of the network learns beside the music, and plays on once it "
        "foretells you better. The next start goes on from there, unless it has a seed. It needs model.engine: numpy.",
    )


class PlaySettings(Struct, frozen=True):
    """How sideman plays.

    A `seed` of None means a new one at each start, a `swing` of None one that depends on the tempo. `leap`, `apart` and
    `settle` of None depend on the bundle's dialect: see `sideman.core.parts.smoothing`. So does a `follow` of None, on
    whether the bundle has learned touch. A `style` of None is the chart's.
    """

    mode: ModeName = _setting(
        "solo",
        choice_type(*MODE_NAMES),
        f"When sideman plays: {'; '.join(f'{name} {row.text}' for name, row in MODES.items())}.",
    )
    start: Literal["at once", "armed", "first note"] = _setting(
        "at once",
        choice_type("at once", "armed", "first note"),
        "When the music begins: at once; armed waits for a start by pedal, pad, `sideman ctl start` or an external "
        "clock; first note begins with your first note, which is the first beat. A start counts in, a note does not.",
    )
    trade_bars: int = _setting(4, integer_type(1, 64), "In mode trade, the number of bars in a turn.")
    trade_first: Literal["you", "sideman"] = _setting(
        "you", choice_type("you", "sideman"), "In mode trade, who takes the first turn."
    )
    patience: float = _setting(
        1.5,
        number_type(1, 16, excludes_low=True),
        "In mode answer, how long a silence has to be until it counts as a pause, as a multiple of the usual time "
        "between your notes. At a bar line a little less is enough.",
    )
    count_in: int = _setting(
        0,
        integer_type(0, 8),
        "The number of bars with clicks before the music starts. An external clock has no count-in.",
    )
    comp: tuple[str, ...] = _setting(
        (),
        parts_type("bass", "shells", "drums", turned=((), ("shells",), ("bass",), ("bass", "shells", "drums"))),
        "The band that accompanies you: a bass, shells (the third and the seventh of each chord on a piano or guitar), "
        "drums. Each has its own channel: midi.bass, midi.comp, midi.drums.",
    )
    style: Style | Literal["plain"] | None = _setting(
        None,
        optional_type("auto", choice_type(*STYLES, "plain")),
        "How the band plays. auto: in the style of the chart; without one, a waltz in three, else swing. plain is the "
        "bass or the shells of earlier versions, one at a time and without drums.",
    )
    anticipation: float = _setting(
        0.3,
        number_type(0, 1),
        "How often the shells play a change an eighth note early: 0 never, 1 wherever the style allows it.",
    )
    click: Literal["off", "beats", "backbeat"] = _setting(
        "off",
        choice_type("off", "beats", "backbeat"),
        "A click while the music plays, on midi.drums: on all beats, or on 2 and 4 (backbeat).",
    )
    rate: Literal["beat", "eighth", "triplet", "sixteenth", "phrase"] = _setting(
        "beat",
        choice_type("beat", "eighth", "triplet", "sixteenth", "phrase"),
        "How often sideman plays: a note or rest on every beat, eighth, triplet or sixteenth; with phrase, notes and "
        "rests have free lengths.",
    )
    seed: int | None = _setting(
        None,
        optional_type(None, integer_type(0, 2**32 - 1), "a new one at each start, shown in the log"),
        "The number from which all random choices follow. With the same seed, the same chords and the same playing on "
        "your side you get the same solo again.",
    )
    temperature: float = _setting(
        1.0,
        number_type(0, 5),
        "How adventurous the solo is: 1 as the network learned it, lower is safer, higher takes more risks, 0 always "
        "takes the most likely note.",
    )
    top_k: int = _setting(
        0, integer_type(0, 100_000), "Choose only among this many of the most likely notes; 0 means among all."
    )
    top_p: float = _setting(
        1.0,
        number_type(0, 1, excludes_low=True),
        "Choose only among the most likely notes that together have this share of the probability; 1 means among all.",
    )
    harmony: float = _setting(
        1.0,
        number_type(0, 4),
        "How much the harmony counts in the choice between chord tones, colour tones and passing tones: 1 as the "
        "network learned it, 0 not at all, higher prefers the more likely kind of note.",
    )
    contour: float = _setting(
        1.0,
        number_type(0, 4),
        "How much the melodic line counts in the choice of the next interval: 1 as the network learned it, 0 not at "
        "all, higher prefers the more likely intervals.",
    )
    motif: float = _setting(
        1.5,
        number_type(0, 3),
        "How much the solo takes up motifs that you or sideman have played before: 1 as the network learned it, 0 not "
        "at all, higher repeats and develops them more. At 1.5 it repeats itself about as often as soloists do.",
    )
    repetition: int | None = _setting(
        None,
        optional_type("auto", integer_type(0, 16)),
        "How many times in a row the same pitch may come; 0 means no limit. auto: 8 at rate phrase, where the "
        "network has learned how often a pitch comes again, 2 at the other rates and for a classic bundle.",
    )
    leap: int | None = _setting(
        None,
        optional_type("auto", integer_type(0, 36)),
        "The widest interval from note to note, in semitones; 0 means no limit. auto: an octave for a classic bundle, "
        "no limit for others.",
    )
    apart: float | None = _setting(
        None,
        optional_type("auto", number_type(0, 4)),
        "At rate phrase, the shortest time between the starts of two notes, in beats; 0 means no limit. auto: a "
        "quarter of a beat for a classic bundle, a twelfth for others.",
    )
    settle: bool | None = _setting(
        None,
        optional_type("auto", boolean_type()),
        "At rate phrase, divide each beat either into quarters or into thirds, never into both. auto: only for a "
        "classic bundle.",
    )
    range: PitchRange = _setting(
        SOLO_RANGE, pitch_range_type(), "The lowest and the highest pitch of the solo. Middle C is C4, or 60."
    )
    density: float = _setting(
        1.0,
        number_type(0, 4),
        "How busy the solo is: 1 as the network learned it, lower has more rests, higher has fewer.",
    )
    rests: int = _setting(2, integer_type(0, 16), "The most rests in a row. At rate phrase there is no such limit.")
    silence: float = _setting(
        8.0,
        number_type(0, 64),
        "The longest silence of the solo in beats; after it sideman plays a note. 0 means no limit.",
    )
    longest: float = _setting(
        4.0, number_type(0.25, 16), "The longest note in beats. The last note of the music may be longer."
    )
    velocity: int = _setting(
        84,
        integer_type(1, 127),
        "The loudness of the solo, as a MIDI velocity. Accents and the shape of the line vary it (see touch).",
    )
    touch: float = _setting(
        1.0,
        number_type(0, 2),
        "How much the accents are those that the network has learned from players: 1 as it learned them, 2 twice as "
        "strong; 0 accents the beats and follows the line by a rule, as do networks that have learned no touch.",
    )
    placement: float = _setting(
        1.0,
        number_type(0, 2),
        "How much the notes lie behind the beat or around it, as players place them: 1 as the network learned it, 2 "
        "twice as far, 0 exactly on the grid.",
    )
    follow: float | None = _setting(
        None,
        optional_type("auto", number_type(0, 1)),
        "How much the solo follows your loudness: 0 not at all, 0.5 half way, with 1 it is as loud as you. auto: half "
        "way with a network that has learned touch, otherwise not at all.",
    )
    swing: float | None = _setting(
        None,
        optional_type("auto", number_type(0.5, 0.75)),
        "Where in a beat the second eighth falls: 0.5 is straight, 0.67 is a triplet feel; auto swings less at faster "
        "tempos.",
    )
    gate: float = _setting(
        0.9,
        number_type(0.05, 1),
        "The part of its length for which a note sounds: 1 is legato, 0.5 is short. A long note is shortened only in "
        "its last beat.",
    )
    window: int = _setting(
        0,
        integer_type(0, 6),
        "How many semitones a note may lie above or below the interval that the network chose; 0 takes the nearest "
        "note that fits.",
    )
    late_ms: int = _setting(
        30,
        integer_type(1, 1000),
        "A note that would start more than this many milliseconds late is left out, and counted as late.",
    )
    offset_ms: int = _setting(
        0,
        integer_type(-200, 200),
        "Play this many milliseconds after the beat, or before it if negative, to make up for the delay of your "
        "instrument.",
    )
    resume: bool = _setting(
        False,
        boolean_type(),
        "Go on where sideman stopped, or was killed, the last time. With a seed, it starts afresh.",
    )
    capture_minutes: int = _setting(
        5,
        integer_type(0, 60),
        "How many of the last minutes are kept in memory, so that `sideman ctl keep` can save them afterwards.",
    )


class TempoSettings(Struct, frozen=True):
    """The tempo, and the clock that sets it.

    A `port` of None means the ports of `midi.input`, a `clock_output` of None those of `midi.output`.
    """

    bpm: float = _setting(120.0, number_type(20, 400), "The tempo in quarter notes per minute.")
    meter: Meter = _setting(COMMON_TIME, METER_TYPE, "The time signature of a chart that does not have one itself.")
    source: ClockSourceName = _setting(
        "internal",
        choice_type(*CLOCK_SOURCES),
        f"The clock that sideman plays to: {', '.join(f'{name} {row.text}' for name, row in CLOCK_SOURCES.items())}.",
    )
    port: str | None = _setting(
        None,
        optional_type(None, _PORT, "midi.input"),
        "With source midi-clock: the MIDI port from which alone the clock is read, so that the clock of a keyboard "
        "does not count beside that of the sequencer. With null it is read from midi.input, and of several clocks only "
        "one.",
    )
    wait_start: bool = _setting(
        True,
        boolean_type(),
        "When an external clock already runs: with true, sideman follows a MIDI clock in silence until it starts, "
        "continues or sends its song position, and waits for the start of a Link session; with false, the first tick "
        "of a MIDI clock is the first beat, and sideman comes in at the next bar line of a Link session.",
    )
    clock_out: bool = _setting(
        False, boolean_type(), "Send a MIDI clock together with the notes, so that other devices can follow."
    )
    clock_output: tuple[str, ...] | None = _setting(
        None,
        optional_type(None, _PORTS, "midi.output"),
        "With clock_out: the MIDI port of the clock, if it has one of its own.",
    )
    clock_when_stopped: bool = _setting(
        False,
        boolean_type(),
        "With clock_out: send the ticks of the clock also while the music stands still, for synths whose arpeggios and "
        "delays need a tempo all the time.",
    )
    jack_control: bool = _setting(
        False,
        boolean_type(),
        "With source jack-transport: when sideman is started or stopped, start or stop the transport of JACK, and with "
        "it all programs that follow it.",
    )
    position: PositionUnit = _setting(
        "sixteenths",
        choice_type(*get_args(PositionUnit)),
        "What the song positions of a MIDI clock count. MIDI says sixteenths; clocks is for programs that send MIDI "
        "clocks, 24 a quarter note, such as Ardour 7.3: otherwise sideman goes six times too far.",
    )


class ChartSettings(Struct, frozen=True):
    """The chords that sideman plays over.

    A `choruses` of None means that the music does not end.
    """

    changes: str = _setting(
        DEFAULT_CHANGES,
        text_type("chords between bar lines, such as | Dm7 | G7 | Cmaj7 | % |", max_length=100_000, multiline=True),
        "The chords, bar by bar; % repeats a bar. After the last bar they start again from the top.",
    )
    file: str | None = _setting(
        None,
        optional_type(
            None,
            text_type("the path of a chart file, or the name of one that comes with sideman"),
            "play chart.changes",
        ),
        "A file with the chords to play instead of chart.changes. A relative path starts at the folder of this file.",
    )
    transpose: int = _setting(
        0, integer_type(-11, 11), "Move the chords up, or down if negative, by this many semitones."
    )
    tempo: bool = _setting(
        True,
        boolean_type(),
        "Play a chart at the tempo that it gives, if it gives one. Where you set tempo.bpm in your configuration, in a "
        "preset or on the command line, and not this, it is false.",
    )
    set: tuple[SetSong, ...] = _setting(
        (),
        set_list_type(),
        "A set: the songs of the evening, played one after the other instead of chart.file, for instance [blues, "
        "'autumn, in Bb, 160 bpm, 3 choruses']. A song without a number of choruses goes on until the action next, "
        "after which the song is played to the end of its form; next once more goes on at the next bar line.",
    )
    song: int = _setting(
        1, integer_type(0, 200), "The song of chart.set that is played, from 1; 0 plays chart.file or chart.changes."
    )
    choruses: int | None = _setting(
        None,
        optional_type(None, integer_type(1, 1_000_000), "without end"),
        "How many times sideman plays through the chords before it stops. With an external clock it stops until the "
        "next start.",
    )


CYCLES = {
    "off": 0,
    "semitones": 1,
    "whole tones": 2,
    "minor thirds": 3,
    "major thirds": 4,
    "fourths": 5,
    "fifths": 7,
}
"""The semitones from one round of practice to the next, for each value of `practice.transpose`."""


def _read_loop(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError  # noqa: TRY004 - all types refuse a value with the same error
    return check_place(str(value))


LOOP_TYPE = SettingType("bars such as 5-8, the number of a bar, or the name of a section", _read_loop)


class PracticeSettings(Struct, frozen=True):
    """What is played again and again, slower, faster or in other keys. A round is a chorus, or once through the loop.

    A `tempo_limit` of None is the slowest or the fastest tempo that there is.
    """

    loop: str | None = _setting(
        None,
        optional_type(None, LOOP_TYPE, "the whole chart"),
        "Bars of the chart that are played again and again, from the next bar line on: 5-8 for bars, B for a section.",
    )
    count_in: int = _setting(
        0, integer_type(0, 4), "The number of bars with clicks before each round of the loop, and after a jump."
    )
    tempo: float = _setting(
        0.0,
        number_type(-50, 50),
        "How many beats per minute faster (or slower, below 0) each round is than the one before.",
    )
    tempo_limit: float | None = _setting(
        None,
        optional_type(None, number_type(20, 400), "none"),
        "The tempo at which practice.tempo goes no further.",
    )
    transpose: str = _setting(
        "off",
        choice_type(*CYCLES),
        "Play each round in another key, this much higher than the one before, until it is the first key again: "
        "fourths goes from C to F, B flat, E flat and so on.",
    )


class ControlSettings(Struct, frozen=True):
    """Remote control while sideman plays.

    A `socket` of None means the usual path, an `osc` of None no port, an `osc_key` of None that none is asked for.
    """

    socket: str | None = _setting(
        None,
        optional_type("auto", text_type("none or the path of a socket")),
        "The socket through which `sideman ctl` and other programs control sideman; auto: in the runtime folder of the "
        "service, or else of your login.",
    )
    osc: int | None = _setting(
        None,
        optional_type(None, integer_type(1024, 65535), "none"),
        "The UDP port that takes the same requests as OSC messages (the extra osc has to be installed).",
    )
    osc_host: str = _setting(
        "127.0.0.1",
        text_type("an address of this machine", max_length=200),
        "The address of that port. On 127.0.0.1 every user of this machine can control sideman; if other machines can "
        "reach the address, everybody on them can. osc_key keeps them out.",
    )
    osc_key: str | None = _setting(
        None,
        optional_type(None, secret_type(12, 100), "none is asked for"),
        "A key that each OSC message has to give after /sideman, as in /sideman/KEY/play/temperature; all others are "
        "ignored. sideman never shows it. Keep this file readable for yourself alone (chmod 600).",
    )


class TakesSettings(Struct, frozen=True):
    """Recordings of what is played and heard.

    A `folder` of None means the usual folder.
    """

    record: bool = _setting(False, boolean_type(), "Record everything that is played and heard, as a take.")
    folder: str | None = _setting(
        None,
        optional_type("auto", text_type("the path of a folder")),
        "The folder of the takes; auto: the folder takes, next to the bundles that you have trained.",
    )
    limit_mb: int = _setting(
        500,
        integer_type(1, 1_000_000),
        "When all recorded takes together are larger than this many megabytes, the oldest ones are deleted.",
    )


class LogSettings(Struct, frozen=True):
    """The log."""

    level: Literal["debug", "info", "warning", "error"] = _setting(
        "info",
        choice_type("debug", "info", "warning", "error"),
        "How much is logged; info has a line for each bar, with what both of you played, debug the values as well.",
    )


class Settings(Struct, frozen=True):
    """All settings. Every field of every group is one key of the configuration: `play.rate` is `.play.rate`."""

    midi: MidiSettings = MidiSettings()
    model: ModelSettings = ModelSettings()
    play: PlaySettings = PlaySettings()
    tempo: TempoSettings = TempoSettings()
    chart: ChartSettings = ChartSettings()
    practice: PracticeSettings = PracticeSettings()
    control: ControlSettings = ControlSettings()
    takes: TakesSettings = TakesSettings()
    log: LogSettings = LogSettings()


# -- The keys


class SettingKey(Struct, frozen=True):
    """The definition of one setting: its dotted name, its default, its type, and what it does."""

    name: str
    default: object
    value_type: SettingType
    doc: str


GROUPS: dict[str, type[Any]] = {name: type(getattr(Settings(), name)) for name in Settings.__struct_fields__}

_FIELDS = [
    (f"{group}.{name}", default)
    for group, kind in GROUPS.items()
    for name, default in zip(kind.__struct_fields__, kind.__struct_defaults__, strict=True)
]
KEYS: dict[str, SettingKey] = {
    name: SettingKey(name, default, value_type, doc)
    for (name, default), (value_type, doc) in zip(_FIELDS, _definitions, strict=True)
}
"""Every setting by its dotted name, in the order of the default file."""

LIST_KEYS = frozenset(name for name, key in KEYS.items() if key.value_type.is_list)
"""The keys that may have a list, such as `[Keystep, Launchpad]`."""

BINDING_KEYS = tuple(name for name, key in KEYS.items() if isinstance(key.default, Bindings))
"""The keys that have numbered keys below them, such as `midi.cc.20`."""

CHART_KEYS = frozenset({"chart.changes", "chart.file", "chart.transpose", "chart.set", "chart.song"})
"""The keys that lead to another chart."""

LIVE_KEYS = frozenset(
    {"tempo.bpm", "chart.tempo", "midi.transpose", "midi.ghost", "log.level", *CHART_KEYS, *BINDING_KEYS}
)
"""The keys that can be changed while sideman plays, besides all keys of `play` and `practice`."""


def is_live(name: str) -> bool:
    """Whether the setting `name` can be changed while sideman plays."""
    return name.startswith(("play.", "practice.")) or name in LIVE_KEYS


def closest_key(name: str) -> str | None:
    """Return the key that was probably meant by `name`: one with a similar spelling, or with its group left out."""
    name = name[:100].lower()
    if near := closest(name, KEYS, 0.75):
        return near
    last_parts = {key.rpartition(".")[2]: key for key in reversed(KEYS)}
    return last_parts.get(closest(name.rpartition(".")[2], last_parts, 0.75) or "")


# -- The values


def value_of(settings: Settings, name: str) -> Any:  # noqa: ANN401 - a value of any type
    """Return the value of the key `name`."""
    group, _, key = name.partition(".")
    return getattr(getattr(settings, group), key)


def with_values(settings: Settings, values: Iterable[tuple[str, object]]) -> Settings:
    """Return `settings` with other values for some keys."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values:
        group, _, key = name.partition(".")
        groups.setdefault(group, {})[key] = value
    return replace(settings, **{name: replace(getattr(settings, name), **changed) for name, changed in groups.items()})


def song_of(settings: Settings) -> SetSong | None:
    """Return the song of the set that is played; None if there is no set, or another chart is played."""
    chart = settings.chart
    return chart.set[chart.song - 1] if 1 <= chart.song <= len(chart.set) else None


def choruses_of(settings: Settings) -> int | None:
    """Return how many choruses are played, of the song of the set or else of the chart; None: without end."""
    song = song_of(settings)
    return settings.chart.choruses if song is None or song.choruses is None else song.choruses


def tempo_of(settings: Settings, chart: Chart) -> float | None:
    """Return the tempo that a song of a set or its chart asks for; None if it is `tempo.bpm` as it stands."""
    song = song_of(settings)
    if not CLOCK_SOURCES[settings.tempo.source].accepts_tempo:
        return None
    return (song.bpm if song else None) or (chart.info.tempo if settings.chart.tempo else None)


def write_value(name: str, value: object) -> object:
    """Return the value of the key `name` as it is written: plain data that JSON and YAML can hold."""
    return KEYS[name].value_type.write(value)


def settings_line(values: Iterable[tuple[str, object]]) -> str:
    """Return values of keys as one line of the log: `play.gate is 0.8, play.range is E3-C6`."""
    texts = ((name, " ".join(plain_text(write_value(name, value)).split())) for name, value in values)
    return ", ".join(f"{name} is {text if len(text) <= 100 else text[:100] + '…'}" for name, text in texts)
