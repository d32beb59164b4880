# SPDX-License-Identifier: Apache-2.0
"""Every setting, each defined once: its default, what it may be, and what it does, in the words of the default file.

`sideman.core.settings.resolve` makes `Settings` of what people wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from sideman.core.chart.chart import ChartError, Meter, parse_meter
from sideman.core.settings.bindings import Bindings
from sideman.core.settings.types import (
    PitchRange,
    SettingType,
    boolean_type,
    choice_type,
    either_type,
    integer_type,
    literal_type,
    null_type,
    number_type,
    pitch_range_type,
    text_type,
)

ModeName = Literal["solo", "trade", "answer", "duet", "off"]

DEFAULT_CHANGES = """\
| F7  | Bb7    | F7    | Cm7 F7     |
| Bb7 | Bdim7  | F7    | Am7b5 D7b9 |
| Gm7 | C7     | F7 D7 | Gm7 C7     |"""


def _read_meter(value: object) -> Meter:
    try:
        return parse_meter(value if isinstance(value, str) else "")
    except ChartError:
        raise ValueError from None


METER_TYPE = SettingType("a time signature such as 4/4, 3/4 or 6/8: 1 to 16 over 1, 2, 4, 8 or 16", _read_meter)
COMMON_TIME = Meter(4, 4)
SOLO_RANGE = PitchRange(48, 84)
AUTO_TYPE = literal_type("auto", None)
NO_BINDINGS = Bindings()
PORT_TYPE = text_type("auto, none, or a port's name or part of it", max_length=200)


def _bindings_type(allowed: str) -> SettingType:
    """A table as a whole is empty; its entries are read one by one, by `sideman.core.settings.read_bindings`."""

    def read(value: object) -> Bindings:
        if value not in (None, {}):
            raise ValueError
        return NO_BINDINGS

    return SettingType(allowed, read)


def _setting(default: Any, rule: SettingType, doc: str) -> Any:  # noqa: ANN401 - a field of any type
    return field(default=default, metadata={"rule": rule, "doc": doc})


@dataclass(frozen=True, slots=True)
class MidiSettings:
    """Where notes come from and go to. A `listen` of None is all channels."""

    input: str = _setting(
        "auto", PORT_TYPE, "The port it listens to you on: auto makes one of its own, none hears nothing."
    )
    output: str = _setting(
        "auto", PORT_TYPE, "The port it plays to: auto makes one of its own, none plays into the void."
    )
    channel: int = _setting(1, integer_type(1, 16), "The MIDI channel it plays on.")
    listen: int | None = _setting(
        None,
        either_type(literal_type("all", None), integer_type(1, 16)),
        "The channel it hears you on.",
    )
    client: str = _setting(
        "sideman",
        text_type("a short name without colons", max_length=40, forbidden=":"),
        "The name other programs see beside its ports.",
    )
    wait: bool = _setting(
        False,
        boolean_type(),
        "When a named port is not there: true starts in silence and waits for it, false says so and stops.",
    )
    echo_ms: int = _setting(
        60,
        integer_type(0, 1000),
        "A note that comes back within so many milliseconds of being played is taken for its own echo, not for you.",
    )
    chords: int | None = _setting(
        None,
        either_type(null_type("none"), integer_type(1, 16)),
        "The channel on which chords that are held are the changes, in place of the chart's.",
    )
    transpose: int = _setting(
        0,
        integer_type(-24, 24),
        "The key of your instrument: semitones from what you read to what sounds, -2 for one in B flat, -9 for an "
        "alto. What you play is heard, and what is told is shown, in your key.",
    )
    program: int | None = _setting(
        None,
        either_type(null_type("leave it as it is"), integer_type(1, 128)),
        "The sound that is chosen at the start, by a program change on midi.channel.",
    )
    lamp: int | None = _setting(
        None,
        either_type(null_type("none"), integer_type(0, 127)),
        "A controller that tells on midi.channel what it does: 0 nothing, 64 listening, 127 playing.",
    )
    drums: int = _setting(
        10, integer_type(1, 16), "The channel of the clicks that count you in; you are not heard on it."
    )
    comp: int = _setting(2, integer_type(1, 16), "The channel of the accompaniment that play.comp asks for.")
    cc: Bindings = _setting(
        NO_BINDINGS,
        _bindings_type("controllers from 0 to 127, each with a key that changes while it plays, or with what to do"),
        "What knobs, faders and pedals do, for instance {1: play.temperature, 20: play.density 0.2-2, 64: mode}: turn "
        "a key, narrowed to a range if you like, or, pressed, do one of start, stop, mode (the next), mode:trade, "
        "again, panic, tap, keep, preset:ballad. They are heard on every channel.",
    )
    notes: Bindings = _setting(
        NO_BINDINGS,
        _bindings_type("pitches, each with what to do"),
        "Keys and pads that are switches and no music, for instance {C1: start, D1: stop, 28: again}: they do what a "
        "pedal can.",
    )
    programs: Bindings = _setting(
        NO_BINDINGS,
        _bindings_type("program numbers from 1 to 128, each with a preset"),
        "The presets that program changes call, for instance {1: ballad, 2: bebop}.",
    )


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which trained network plays."""

    bundle: str = _setting(
        "default",
        text_type("the name of a bundle or the path of its folder"),
        "The trained network: one of your own by name, one that came with sideman, or the path of a folder.",
    )
    engine: Literal["numpy", "tensorflow"] = _setting(
        "numpy",
        choice_type("numpy", "tensorflow"),
        "What computes it: numpy is quick to start and light; tensorflow has to be installed and plays the same notes.",
    )


@dataclass(frozen=True, slots=True)
class PlaySettings:
    """How it plays. A `seed` of None is a new one each start, a `swing` of None one that follows the tempo.

    `leap`, `apart` and `settle` of None are what the dialect of the bundle wants: see `sideman.core.parts.smoothing`.
    """

    mode: ModeName = _setting(
        "solo",
        choice_type("solo", "trade", "answer", "duet", "off"),
        "solo plays through; trade takes turns with you, so many bars each; answer plays when you pause; duet plays "
        "with you and leaves you room; off only listens.",
    )
    trade_bars: int = _setting(4, integer_type(1, 64), "In mode trade, the bars of a turn.")
    trade_first: Literal["you", "sideman"] = _setting(
        "you", choice_type("you", "sideman"), "In mode trade, who begins."
    )
    patience: float = _setting(
        1.5,
        number_type(1, 16, excludes_low=True),
        "In mode answer, you have paused when nothing has come for so many times the usual time between your notes; on "
        "a bar line a moment less will do.",
    )
    count_in: int = _setting(
        0, integer_type(0, 8), "So many bars are counted in by clicks before it starts, unless it follows a clock."
    )
    comp: Literal["off", "shells", "bass"] = _setting(
        "off",
        choice_type("off", "shells", "bass"),
        "An accompaniment by rule, on a channel of its own: shells plays the third and seventh of each chord, bass "
        "walks.",
    )
    rate: Literal["beat", "eighth", "triplet", "sixteenth", "phrase"] = _setting(
        "beat",
        choice_type("beat", "eighth", "triplet", "sixteenth", "phrase"),
        "How often it plays: one note or rest a beat, two, three or four; phrase leaves each its own length.",
    )
    seed: int | None = _setting(
        None,
        either_type(null_type("a new one each start, told in the log"), integer_type(0, 2**32 - 1)),
        "Its dice. The same seed, changes and playing of yours give the same solo again.",
    )
    temperature: float = _setting(
        1.0,
        number_type(0, 5),
        "How daring it is: 1 as it learned, less plays safe, more takes risks, 0 always takes the likeliest.",
    )
    top_k: int = _setting(
        0, integer_type(0, 100_000), "Choose among so many of the likeliest only; 0 leaves all of them in."
    )
    top_p: float = _setting(
        1.0,
        number_type(0, 1, excludes_low=True),
        "Choose among the likeliest that together have this share of the chances; 1 leaves all of them in.",
    )
    harmony: float = _setting(
        1.0,
        number_type(0, 4),
        "How much the harmony decides, the choice of chord tones, colours and passing tones: 1 as it learned, 0 not at "
        "all, more keeps to the likelier.",
    )
    contour: float = _setting(
        1.0,
        number_type(0, 4),
        "How much the contour decides, the way from note to note: 1 as it learned, 0 not at all, more keeps to the "
        "likelier.",
    )
    repetition: int = _setting(
        2, integer_type(0, 16), "The same pitch comes at most so many times in a row; 0 sets no limit."
    )
    leap: int | None = _setting(
        None,
        either_type(AUTO_TYPE, integer_type(0, 36)),
        "The widest leap from note to note, in semitones; 0 sets no limit. auto: an octave for a classic bundle, for "
        "others no limit.",
    )
    apart: float | None = _setting(
        None,
        either_type(AUTO_TYPE, number_type(0, 4)),
        "At rate phrase, no two notes begin nearer than so many beats; 0 sets no limit. auto: a quarter of a beat for "
        "a classic bundle, for others a twelfth.",
    )
    settle: bool | None = _setting(
        None,
        either_type(AUTO_TYPE, boolean_type()),
        "At rate phrase, part a beat in quarters or in thirds, never in both. auto: for a classic bundle only.",
    )
    range: PitchRange = _setting(SOLO_RANGE, pitch_range_type(), "The pitches it keeps to. Middle C is C4, or 60.")
    density: float = _setting(
        1.0, number_type(0, 4), "How busy it is: 1 as it learned, less leaves more rests, more leaves fewer."
    )
    rests: int = _setting(2, integer_type(0, 16), "The most rests in a row, unless the rate is phrase.")
    silence: float = _setting(
        8.0, number_type(0, 64), "After so many beats without a note of its own it plays one; 0 sets no limit."
    )
    longest: float = _setting(
        4.0, number_type(0.25, 16), "No note lasts longer than so many beats, unless it is the last."
    )
    velocity: int = _setting(
        84, integer_type(1, 127), "How hard it plays in the middle; the beat and the line's shape move it up and down."
    )
    swing: float | None = _setting(
        None,
        either_type(AUTO_TYPE, number_type(0.5, 0.75)),
        "Where the second eighth of a beat falls: 0.5 straight, 0.67 triplets; auto swings less as the tempo rises.",
    )
    gate: float = _setting(
        0.9,
        number_type(0.05, 1),
        "How much of its time a note sounds: 1 legato, 0.5 short. A long note gives up a share of its last beat only.",
    )
    window: int = _setting(
        0,
        integer_type(0, 6),
        "How many semitones either side of the learned interval it may choose from; 0 takes the nearest that fits.",
    )
    late_ms: int = _setting(
        30, integer_type(1, 1000), "A note that would start later than this many milliseconds is left out and counted."
    )
    offset_ms: int = _setting(
        0,
        integer_type(-200, 200),
        "Play so many milliseconds later (or, below 0, earlier) than the beat, to suit your synth.",
    )
    resume: bool = _setting(False, boolean_type(), "Go on where it stopped the last time, instead of starting afresh.")
    capture_minutes: int = _setting(
        5, integer_type(0, 60), "The last minutes are remembered, so that `sideman ctl keep` can save them afterwards."
    )


@dataclass(frozen=True, slots=True)
class TempoSettings:
    """The pulse."""

    bpm: float = _setting(120.0, number_type(20, 400), "The tempo in quarter notes a minute.")
    meter: Meter = _setting(COMMON_TIME, METER_TYPE, "The time signature of changes that tell none of their own.")
    source: Literal["internal", "midi-clock", "link"] = _setting(
        "internal",
        choice_type("internal", "midi-clock", "link"),
        "Who sets the pulse: internal keeps the tempo above, midi-clock follows the clock that comes in at midi.input, "
        "link plays in the tempo of an Ableton Link session (the extra link has to be installed).",
    )
    wait_start: bool = _setting(
        True,
        boolean_type(),
        "A clock that already runs: true follows it in silence until it starts, continues or tells its song position; "
        "false takes its first tick for the first beat. A Link session: true waits for its start, false comes in with "
        "its next bar line.",
    )
    clock_out: bool = _setting(
        False, boolean_type(), "Send a MIDI clock along with the notes, so that others can follow."
    )


@dataclass(frozen=True, slots=True)
class ChartSettings:
    """The changes it plays over; `choruses` of None is for ever."""

    changes: str = _setting(
        DEFAULT_CHANGES,
        text_type("chords between bar lines, such as | Dm7 | G7 | Cmaj7 | % |", max_length=100_000, multiline=True),
        "The chords, bar by bar; % repeats a bar. After the last bar it starts again from the top.",
    )
    file: str | None = _setting(
        None,
        either_type(
            null_type("play the changes above"),
            text_type("the path of a chart file, or the name of one that came along"),
        ),
        "A file with the chords, played instead of the changes above. A relative path starts at this file's folder.",
    )
    transpose: int = _setting(0, integer_type(-11, 11), "Move the chords up, or below 0 down, by so many semitones.")
    choruses: int | None = _setting(
        None,
        either_type(null_type("for ever"), integer_type(1, 1_000_000)),
        "How many times through the chords before it stops (where a clock is followed, until the next start).",
    )


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """How others reach it while it plays. A `socket` of None is the usual place, an `osc` of None no port."""

    socket: str | None = _setting(
        None,
        either_type(AUTO_TYPE, text_type("none or the path of a socket")),
        "The socket by which `sideman ctl` and other programs reach it; auto: the folder of the service, else that of "
        "the session.",
    )
    osc: int | None = _setting(
        None,
        either_type(null_type("none"), integer_type(1024, 65535)),
        "The UDP port on which it takes the same requests as OSC messages (the extra osc has to be installed).",
    )
    osc_host: str = _setting(
        "127.0.0.1",
        text_type("an address of this machine", max_length=200),
        "The address of that port; beyond this machine, anyone who reaches it can play with it.",
    )


@dataclass(frozen=True, slots=True)
class TakesSettings:
    """What is written down of what is played and heard. A `folder` of None is the usual place."""

    record: bool = _setting(False, boolean_type(), "Write down everything that is played and heard, as a take.")
    folder: str | None = _setting(
        None,
        either_type(AUTO_TYPE, text_type("the path of a folder")),
        "Where takes are kept; auto: the folder takes beside your own bundles.",
    )
    limit_mb: int = _setting(
        500,
        integer_type(1, 1_000_000),
        "When all takes together are larger than so many megabytes, the oldest are deleted.",
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What it tells about itself."""

    level: Literal["debug", "info", "warning", "error"] = _setting(
        "info",
        choice_type("debug", "info", "warning", "error"),
        "How much it logs: info has a line for each bar it plays.",
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them; every field of every group is one key of the configuration: `play.rate` is `.play.rate`."""

    midi: MidiSettings = field(default_factory=MidiSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    play: PlaySettings = field(default_factory=PlaySettings)
    tempo: TempoSettings = field(default_factory=TempoSettings)
    chart: ChartSettings = field(default_factory=ChartSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    takes: TakesSettings = field(default_factory=TakesSettings)
    log: LogSettings = field(default_factory=LogSettings)


@dataclass(frozen=True, slots=True)
class SettingKey:
    """The definition of one key: its dotted name, its default, what it may be and what it does."""

    name: str
    default: object
    value_type: SettingType
    doc: str


GROUPS: dict[str, type[Any]] = {group.name: group.default_factory for group in fields(Settings)}  # type: ignore[misc]


def _keys() -> Iterator[tuple[str, SettingKey]]:
    for group, kind in GROUPS.items():
        for each in fields(kind):
            name = f"{group}.{each.name}"
            yield name, SettingKey(name, each.default, each.metadata["rule"], each.metadata["doc"])


KEYS: dict[str, SettingKey] = dict(_keys())
"""Every key by its dotted name, in the order of the default file."""


def is_live(name: str) -> bool:
    """Whether the key `name` can be changed while it plays."""
    return name.startswith("play.") or name in LIVE_KEYS


BINDING_KEYS = tuple(name for name, key in KEYS.items() if isinstance(key.default, Bindings))
"""The keys that have numbered keys of their own below them, such as `midi.cc.20`."""

LIVE_KEYS = frozenset(
    {"tempo.bpm", "chart.changes", "chart.file", "chart.transpose", "midi.transpose", "log.level", *BINDING_KEYS}
)
"""What can be changed while it plays, beside all of `play`."""


def value_of(settings: Settings, name: str) -> object:
    """The value of the dotted key `name`."""
    group, _, key = name.partition(".")
    return getattr(getattr(settings, group), key)


def with_values(settings: Settings, values: Iterable[tuple[str, object]]) -> Settings:
    """`settings` with other `values` for some dotted keys, each as its rule reads it."""
    for name, value in values:
        group, _, key = name.partition(".")
        settings = replace(settings, **{group: replace(getattr(settings, group), **{key: value})})
    return settings
