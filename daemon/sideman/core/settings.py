# SPDX-License-Identifier: Apache-2.0
"""Every setting, each defined once: its default, what it may be, and what it does, in the words of the default file.

`read_settings` makes `Settings` of layers of values as people wrote them, or raises one `ConfigError` that tells
everything that is wrong with them. Nothing is read or written here: files belong to `sideman.io.yamlfile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sideman.core.chart import ChartError, Meter, parse_changes, parse_meter
from sideman.core.errors import ConfigError
from sideman.core.rules import (
    Range,
    Rule,
    either,
    nothing,
    number,
    pitches,
    plain,
    shown,
    standing_for,
    switch,
    text,
    whole,
    word,
)

MOST_PROBLEMS = 50
"""Told at once; a file with more is probably not a configuration."""

BLUES = """\
| F7  | Bb7    | F7    | Cm7 F7     |
| Bb7 | Bdim7  | F7    | Am7b5 D7b9 |
| Gm7 | C7     | F7 D7 | Gm7 C7     |"""


def _meter(value: object) -> Meter:
    try:
        return parse_meter(value if isinstance(value, str) else "")
    except ChartError:
        raise ValueError from None


METER = Rule("a time signature such as 4/4, 3/4 or 6/8: 1 to 16 over 1, 2, 4, 8 or 16", _meter)
COMMON_TIME = Meter(4, 4)
SOLO_RANGE = Range(48, 84)
AUTO = standing_for("auto", None)
PORT = text("auto, none, or a port's name or part of it", longest=200)


def _key(default: Any, rule: Rule, doc: str) -> Any:  # noqa: ANN401 - a field of any type
    return field(default=default, metadata={"rule": rule, "doc": doc})


@dataclass(frozen=True, slots=True)
class MidiSettings:
    """Where notes come from and go to. A `listen` of None is all channels."""

    input: str = _key("auto", PORT, "The port it listens to you on: auto makes one of its own, none hears nothing.")
    output: str = _key("auto", PORT, "The port it plays to: auto makes one of its own, none plays into the void.")
    channel: int = _key(1, whole(1, 16), "The MIDI channel it plays on.")
    listen: int | None = _key(
        None,
        either(standing_for("all", None), whole(1, 16)),
        "The channel it hears you on.",
    )
    client: str = _key(
        "sideman",
        text("a short name without colons", longest=40, without=":"),
        "The name other programs see beside its ports.",
    )
    wait: bool = _key(
        False,
        switch(),
        "When a named port is not there: true starts in silence and waits for it, false says so and stops.",
    )
    echo_ms: int = _key(
        60,
        whole(0, 1000),
        "A note that comes back within so many milliseconds of being played is taken for its own echo, not for you.",
    )


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which trained network plays."""

    bundle: str = _key(
        "default",
        text("the name of a bundle or the path of its folder"),
        "The trained network: one of your own by name, one that came with sideman, or the path of a folder.",
    )
    engine: Literal["numpy", "tensorflow"] = _key(
        "numpy",
        word("numpy", "tensorflow"),
        "What computes it: numpy is quick to start and light; tensorflow has to be installed and plays the same notes.",
    )


@dataclass(frozen=True, slots=True)
class PlaySettings:
    """How it plays. A `seed` of None is a new one each start, a `swing` of None one that follows the tempo.

    `leap`, `apart` and `settle` of None are what the dialect of the bundle wants: see `sideman.core.smoothing`.
    """

    mode: Literal["solo", "off"] = _key("solo", word("solo", "off"), "solo plays through; off only listens.")
    rate: Literal["beat", "eighth", "triplet", "sixteenth", "phrase"] = _key(
        "beat",
        word("beat", "eighth", "triplet", "sixteenth", "phrase"),
        "How often it plays: one note or rest a beat, two, three or four; phrase leaves each its own length.",
    )
    seed: int | None = _key(
        None,
        either(nothing("a new one each start, told in the log"), whole(0, 2**32 - 1)),
        "Its dice. The same seed, changes and playing of yours give the same solo again.",
    )
    temperature: float = _key(
        1.0,
        number(0, 5),
        "How daring it is: 1 as it learned, less plays safe, more takes risks, 0 always takes the likeliest.",
    )
    top_k: int = _key(0, whole(0, 100_000), "Choose among so many of the likeliest only; 0 leaves all of them in.")
    top_p: float = _key(
        1.0,
        number(0, 1, above_low=True),
        "Choose among the likeliest that together have this share of the chances; 1 leaves all of them in.",
    )
    repetition: int = _key(2, whole(0, 16), "The same pitch comes at most so many times in a row; 0 sets no limit.")
    leap: int | None = _key(
        None,
        either(AUTO, whole(0, 36)),
        "The widest leap from note to note, in semitones; 0 sets no limit. auto: an octave for a classic bundle, for "
        "others no limit.",
    )
    apart: float | None = _key(
        None,
        either(AUTO, number(0, 4)),
        "At rate phrase, no two notes begin nearer than so many beats; 0 sets no limit. auto: a quarter of a beat for "
        "a classic bundle, for others a twelfth.",
    )
    settle: bool | None = _key(
        None,
        either(AUTO, switch()),
        "At rate phrase, part a beat in quarters or in thirds, never in both. auto: for a classic bundle only.",
    )
    range: Range = _key(SOLO_RANGE, pitches(), "The pitches it keeps to. Middle C is C4, or 60.")
    density: float = _key(
        1.0, number(0, 4), "How busy it is: 1 as it learned, less leaves more rests, more leaves fewer."
    )
    rests: int = _key(2, whole(0, 16), "The most rests in a row, unless the rate is phrase.")
    velocity: int = _key(
        84, whole(1, 127), "How hard it plays in the middle; the beat and the line's shape move it up and down."
    )
    swing: float | None = _key(
        None,
        either(AUTO, number(0.5, 0.75)),
        "Where the second eighth of a beat falls: 0.5 straight, 0.67 triplets; auto swings less as the tempo rises.",
    )
    gate: float = _key(
        0.9,
        number(0.05, 1),
        "How much of its time a note sounds: 1 legato, 0.5 short. A long note gives up a share of its last beat only.",
    )
    window: int = _key(
        0,
        whole(0, 6),
        "How many semitones either side of the learned interval it may choose from; 0 takes the nearest that fits.",
    )
    late_ms: int = _key(
        30, whole(1, 1000), "A note that would start later than this many milliseconds is left out and counted."
    )
    offset_ms: int = _key(
        0, whole(-200, 200), "Play so many milliseconds later (or, below 0, earlier) than the beat, to suit your synth."
    )
    resume: bool = _key(False, switch(), "Go on where it stopped the last time, instead of starting afresh.")


@dataclass(frozen=True, slots=True)
class TempoSettings:
    """The pulse."""

    bpm: float = _key(120.0, number(20, 400), "The tempo in quarter notes a minute.")
    meter: Meter = _key(COMMON_TIME, METER, "The time signature.")
    source: Literal["internal", "midi-clock"] = _key(
        "internal",
        word("internal", "midi-clock"),
        "Who sets the pulse: internal keeps the tempo above, midi-clock follows the clock that comes in at midi.input.",
    )
    wait_start: bool = _key(
        True,
        switch(),
        "A clock that already runs: true follows it in silence until it starts, continues or tells its song position; "
        "false takes its first tick for the first beat.",
    )
    clock_out: bool = _key(False, switch(), "Send a MIDI clock along with the notes, so that others can follow.")


@dataclass(frozen=True, slots=True)
class ChartSettings:
    """The changes it plays over; `choruses` of None is for ever."""

    changes: str = _key(
        BLUES,
        text("chords between bar lines, such as | Dm7 | G7 | Cmaj7 | % |", longest=100_000, lines=True),
        "The chords, bar by bar; % repeats a bar. After the last bar it starts again from the top.",
    )
    file: str | None = _key(
        None,
        either(nothing("play the changes above"), text("the path of a chart file, or the name of one that came along")),
        "A file with the chords, played instead of the changes above. A relative path starts at this file's folder.",
    )
    transpose: int = _key(0, whole(-11, 11), "Move the chords up, or below 0 down, by so many semitones.")
    choruses: int | None = _key(
        None,
        either(nothing("for ever"), whole(1, 1_000_000)),
        "How many times through the chords before it stops (with tempo.source: midi-clock, until the next start).",
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What it tells about itself."""

    level: Literal["debug", "info", "warning", "error"] = _key(
        "info", word("debug", "info", "warning", "error"), "How much it logs: info has a line for each bar it plays."
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them; every field of every group is one key of the configuration: `play.rate` is `.play.rate`."""

    midi: MidiSettings = field(default_factory=MidiSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    play: PlaySettings = field(default_factory=PlaySettings)
    tempo: TempoSettings = field(default_factory=TempoSettings)
    chart: ChartSettings = field(default_factory=ChartSettings)
    log: LogSettings = field(default_factory=LogSettings)


@dataclass(frozen=True, slots=True)
class Key:
    """The definition of one key: its dotted name, its default, what it may be and what it does."""

    name: str
    default: object
    rule: Rule
    doc: str


GROUPS: dict[str, type[Any]] = {group.name: group.default_factory for group in fields(Settings)}  # type: ignore[misc]


def _keys() -> Iterator[tuple[str, Key]]:
    for group, kind in GROUPS.items():
        for each in fields(kind):
            name = f"{group}.{each.name}"
            yield name, Key(name, each.default, each.metadata["rule"], each.metadata["doc"])


KEYS: dict[str, Key] = dict(_keys())
"""Every key by its dotted name, in the order of the default file."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value as somebody wrote it, and where: `sideman.yaml:12`, `--set`."""

    value: object
    where: str


Layer = Mapping[str, Given]
"""What one place says: values by dotted key, in the order they were written."""


def read_settings(layers: Iterable[Layer], problems: Sequence[str] = ()) -> Settings:
    """The settings that `layers` give, later ones over earlier ones, over the defaults.

    Every value of every layer is checked, also one that a later layer replaces. Raises one `ConfigError` with a line
    for each of `problems` (what was found wrong while the layers were read) and for each problem found here.
    """
    found = list(problems)
    merged: dict[str, Given] = {}
    values: dict[str, object] = {}
    for layer in layers:
        # A layer that gives changes means them to be played: it outdoes a chart file named in an earlier one.
        if "chart.changes" in layer and "chart.file" not in layer:
            values.pop("chart.file", None)
        for name, given in layer.items():
            if name in GROUPS and given.value in (None, {}):
                continue  # `play:` with every key below it commented out
            try:
                values[name] = _checked(name, given)
                merged[name] = given
            except _WrongError as error:
                found.append(f"{given.where}: {error}")
    found += _chart_problems(values, merged) + _clock_problems(values, merged)
    if len(found) > MOST_PROBLEMS:
        found[MOST_PROBLEMS:] = [f"… and {len(found) - MOST_PROBLEMS} problems more"]
    if found:
        raise ConfigError("\n".join(found))
    return _settings(values)


class _WrongError(Exception):
    """One key is wrong; the text lacks only the place."""


def _checked(name: str, given: Given) -> object:
    key = KEYS.get(name)
    if key is None:
        raise _WrongError(_unknown(name, given.value))
    try:
        return key.rule.read(given.value)
    except ValueError as error:
        reason = f"{error}; " if str(error) else ""
        raise _WrongError(f"{name}: {shown(given.value)}: {reason}allowed is {key.rule.allowed}") from None


def _unknown(name: str, value: object) -> str:
    if name in GROUPS:
        inside = ", ".join(each.name for each in fields(GROUPS[name]))
        return f"{name}: {shown(value)}: a group, not a key; put under it any of {inside}"
    likely = likely_key(name)
    hint = f"; did you mean {likely} ({KEYS[likely].rule.allowed})?" if likely else ""
    return f"{plain(name)}: {shown(value)}: no such key{hint}"


def likely_key(name: str) -> str | None:
    """The key that somebody who wrote `name` may have meant: one spelled nearly so, or with the group left out."""
    import difflib  # only a mistake needs it

    name = name[:100].lower()
    near = difflib.get_close_matches(name, KEYS, 1, 0.75)
    if near:
        return near[0]
    last = {key.rpartition(".")[2]: key for key in reversed(KEYS)}
    return next((last[each] for each in difflib.get_close_matches(name.rpartition(".")[2], last, 1, 0.75)), None)


def _chart_problems(values: Mapping[str, object], merged: Layer) -> list[str]:
    """The changes are read here too, so that a wrong chord is told with everything else."""
    given = merged.get("chart.changes")
    if given is None or values.get("chart.file") is not None:
        return []
    meter = values.get("tempo.meter", TempoSettings().meter)
    try:
        parse_changes(str(values["chart.changes"]), meter, f"{given.where}: chart.changes")  # type: ignore[arg-type]
    except ChartError as error:
        return [str(error)]
    return []


def _clock_problems(values: Mapping[str, object], merged: Layer) -> list[str]:
    """A clock that can reach us nowhere would be waited for in silence for ever."""
    if values.get("tempo.source") != "midi-clock" or values.get("midi.input") != "none":
        return []
    given = merged["midi.input"]
    return [
        f"{given.where}: midi.input: none: the clock of tempo.source: midi-clock comes in there; name a port, or auto"
    ]


def _settings(values: Mapping[str, object]) -> Settings:
    parts: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        group, _, key = name.partition(".")
        parts.setdefault(group, {})[key] = value
    return Settings(**{group: kind(**parts.get(group, {})) for group, kind in GROUPS.items()})
