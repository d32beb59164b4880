# SPDX-License-Identifier: Apache-2.0
"""What comes in and what is told, as plain JSON and back: for the journals of takes.

A frozen dataclass becomes the list of its name and its fields, `["NoteOn", 60, 80, 1]`, each field by its declared
type; so a new event or command has a form as soon as it is one, unless a field is of a type that is new here. Chords,
values and meters are written as people write them, floats so that they come back exactly, settings as one would put
them into a configuration file. What is read is checked: `ValueError` says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, parse_meter
from sideman.core.errors import ConfigError
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.core.settings.schema import KEYS, SettingKey, Settings, with_values
from sideman.core.settings.types import PitchRange, quoted
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.values import Value, parse_value

_BOUNDS = {
    "pitch": (0, 127),
    "velocity": (0, 127),
    "channel": (1, 16),
    "number": (0, 127),
    "program": (0, 127),
    "value": (0, 127),
    "sixteenths": (0, 16383),
    "PitchBend.value": (-8192, 8191),
    "NoteOn.velocity": (1, 127),
    "BarPlayed.number": (-(10**9), 10**9),
}
"""What numbers can be, by field, or by class and field where that is not what it is elsewhere."""

MAX_TIME = 1e12
"""Seconds, or beats: the music is over by then."""
_WORDS_FOR_NONE = (None, "auto", "all", "none", "off")


def to_json(item: object) -> Any:  # noqa: ANN401 - JSON
    """The JSON form of an event, command or report."""
    kind: Any = type(item)
    return _codec_of(kind).write(item)


def from_json(written: object, kinds: Mapping[str, type]) -> Any:  # noqa: ANN401 - one of kinds
    """What was written as one of `kinds`, by name. Raises ValueError for anything else."""
    if not isinstance(written, list) or not written or not isinstance(written[0], str):
        raise ValueError(f"{quoted(written)} is not a list that begins with a name")
    kind = kinds.get(written[0])
    if kind is None:
        raise ValueError(f"{quoted(written[0])}: nothing of that name belongs here")
    return _codec_of(kind).read(written)


def classes_by_name(union: object) -> dict[str, type]:
    """The classes of a union, by name."""
    return {written_name(kind): kind for kind in get_args(union)}


WRITTEN_NAMES = {
    "ActionTarget": "Action",
    "Advanced": "Woke",
    "BarStarted": "BarBegun",
    "Bindings": "Table",
    "ChangeSettings": "Change",
    "ControlChange": "Control",
    "EventSent": "Sent",
    "InputReceived": "Arrived",
    "LearnBinding": "Learn",
    "NoteHeard": "Heard",
    "PlayVariation": "Again",
    "PlayerEnded": "Ended",
    "ReleaseChannel": "Hush",
    "SetPortPeriod": "ClockRounds",
    "SettingTarget": "Knob",
    "Start": "Begin",
    "Stop": "Halt",
    "TapTempo": "Tap",
}
"""The names that journals have for classes that are called otherwise by now."""


def written_name(kind: type) -> str:
    """Return the name that journals have for a class."""
    return WRITTEN_NAMES.get(kind.__name__, kind.__name__)


# -- settings and charts


def setting_to_json(name: str, value: object) -> Any:  # noqa: ANN401 - JSON
    """How one would write `value` for the key `name`, such as "48-84" or "auto", else its parts.

    Raises ValueError for what is no value of that key.
    """
    key = KEYS.get(name)
    if key is None:
        raise ValueError(f"{quoted(name)}: no such key")
    for spelling in _spellings(value):
        try:
            if key.value_type.read(spelling) == value:
                return spelling
        except ValueError:
            continue
    if (parts := _compound_codec(key)) is not None:
        return parts.write(value)
    raise ValueError(f"{name}: {value!r} cannot be written")


def _compound_codec(key: SettingKey) -> _Codec | None:
    """The form of a value of `key` that has parts, and cannot be spelled in a word."""
    kind: Any = type(key.default)
    has_parts = is_dataclass(kind) and kind not in (PitchRange, Meter)
    return _codec_of(kind) if has_parts else None


def _spellings(value: object) -> Iterator[object]:
    if value is None:
        yield from _WORDS_FOR_NONE
    elif isinstance(value, PitchRange):
        yield f"{value.low}-{value.high}"
    elif isinstance(value, bool | int | float | str):
        yield value
    else:
        yield str(value)


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """Every key with its value as one would write it."""
    values = ((name, getattr(getattr(settings, group), key)) for name in KEYS for group, key in [name.split(".", 1)])
    return {name: setting_to_json(name, value) for name, value in values}


def settings_from_json(form: object, where: str) -> Settings:
    """The settings of such a form. Raises ConfigError, naming `where`, with all that is wrong."""
    given = form if isinstance(form, dict) else {}
    parts = {name: value for name, value in given.items() if isinstance(value, list) and name in KEYS}
    words = {str(name): WrittenValue(value, where) for name, value in given.items() if name not in parts}
    try:
        return with_values(
            resolve_settings([words]), [_setting_from_json(name, value) for name, value in parts.items()]
        )
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _setting_from_json(name: object, value: object) -> tuple[str, object]:
    key = KEYS.get(name) if isinstance(name, str) else None
    if key is None:
        raise ValueError(f"{quoted(name)}: no such key")
    if isinstance(value, list) and (parts := _compound_codec(key)) is not None:
        return key.name, parts.read(value)
    try:
        return key.name, key.value_type.read(value)
    except ValueError:
        raise ValueError(f"{key.name}: {quoted(value)}: allowed is {key.value_type.allowed}") from None


def chart_to_json(chart: Chart) -> dict[str, Any]:
    """A chart bar by bar, also one with changes that `Chart.text` has no places for; `meters` are those to come."""
    bars = [[[at, chord.text] for at, chord in bar.chords] for bar in chart.bars]
    about = {each.name: getattr(chart.info, each.name) for each in fields(ChartInfo)}
    before = [chart.meter, *(bar.meter for bar in chart.bars)]
    changes = [[at, str(bar.meter)] for at, bar in enumerate(chart.bars) if bar.meter != before[at]]
    return {"meter": str(chart.meter), "bars": bars, **({"meters": changes} if changes else {}), "about": about}


def chart_from_json(form: object) -> Chart:
    """The chart of such a form. Raises ValueError."""
    try:
        if not isinstance(form, dict):
            raise TypeError
        meter, about = parse_meter(form["meter"]), dict(form["about"])
        changes = {_exact_type(int)(at): parse_meter(text) for at, text in form.get("meters", ())}
        bars = []
        for number, bar in enumerate(form["bars"]):
            meter = changes.get(number, meter)
            bars.append(_bar_from_json(bar, meter))
        sections = tuple((_exact_type(int)(at), _exact_type(str)(name)) for at, name in about.pop("sections"))
        tempo = about.pop("tempo")
        words = {name: _exact_type(str)(text) for name, text in about.items()}
        bpm = None if tempo is None else _checked_number(tempo)
        return Chart(tuple(bars), ChartInfo(**words, tempo=bpm, sections=sections))
    except (KeyError, TypeError, ValueError, ChartError, ModelsError) as error:
        raise ValueError(f"not a chart ({error!r})") from None


def _bar_from_json(form: list[Any], meter: Meter) -> Bar:
    chords = tuple((_checked_number(at), parse_chord(text)) for at, text in form)
    places = [at for at, _ in chords]
    if not places or places[0] != 0 or places != sorted(set(places)) or not places[-1] < meter.quarters:
        raise ValueError("chords out of their bar")
    return Bar(chords, meter)


# -- the form of a type


@dataclass(frozen=True, slots=True)
class _Codec:
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _unchanged(value: Any) -> Any:  # noqa: ANN401 - any
    return value


def _exact_type(*kinds: type) -> Callable[[Any], Any]:
    def read(value: object) -> object:
        if type(value) not in kinds:
            raise ValueError(f"{quoted(value)} is not of type {kinds[0].__name__}")
        return value

    return read


def _checked_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_TIME:
        raise ValueError(f"{quoted(value)} is not a number, or out of all bounds")
    return float(value)


def _text_codec(kind: type, parse: Callable[[str], Any]) -> _Codec:
    def read(value: object) -> object:
        try:
            return parse(_exact_type(str)(value))
        except (ModelsError, ChartError) as error:
            raise ValueError(str(error)) from None

    return _Codec(lambda value: str(value) if kind is Meter else value.text, read)


_BASIC_CODECS: dict[Any, _Codec] = {
    bool: _Codec(_unchanged, _exact_type(bool)),
    int: _Codec(_unchanged, _exact_type(int)),
    str: _Codec(_unchanged, _exact_type(str)),
    float: _Codec(float, _checked_number),
    NoneType: _Codec(_unchanged, _exact_type(NoneType)),
    Chord: _text_codec(Chord, parse_chord),
    Value: _text_codec(Value, parse_value),
    Meter: _text_codec(Meter, parse_meter),
    Chart: _Codec(chart_to_json, chart_from_json),
    tuple[str, object]: _Codec(
        lambda pair: [pair[0], setting_to_json(*pair)], lambda pair: _setting_from_json(*_checked_list(pair, 2))
    ),
}


def _checked_list(value: object, count: int | None = None) -> list[Any]:
    if not isinstance(value, list) or count not in (None, len(value)):
        raise ValueError(f"{quoted(value)} is not a list of {'any length' if count is None else count}")
    return value


@cache
def _codec_of(hint: Any) -> _Codec:  # noqa: ANN401 - a type as it is declared
    if hint in _BASIC_CODECS:
        return _BASIC_CODECS[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _Codec(_unchanged, lambda value: _one_of(value, args))
    if origin in (Union, UnionType):
        return _union_codec(args)
    if origin is tuple and args[1:] == (Ellipsis,):
        each = _codec_of(args[0])
        return _Codec(lambda items: [each.write(item) for item in items],
                     lambda items: tuple(each.read(item) for item in _checked_list(items)))  # fmt: skip
    if origin is tuple:
        forms = [_codec_of(arg) for arg in args]
        return _Codec(
            lambda items: [form.write(item) for form, item in zip(forms, items, strict=True)],
            lambda items: tuple(f.read(item) for f, item in zip(forms, _checked_list(items, len(forms)), strict=True)),
        )
    if is_dataclass(hint) and isinstance(hint, type):
        return _dataclass_codec(hint)
    raise TypeError(f"{hint}: it has no JSON form yet")


def _one_of(value: object, choices: tuple[object, ...]) -> object:
    if value not in choices:
        raise ValueError(f"{quoted(value)} is none of {', '.join(map(str, choices))}")
    return value


def _union_codec(args: tuple[Any, ...]) -> _Codec:
    """Dataclasses tell their names; of anything else there is one kind at most, or nothing at all."""
    classes = [arg for arg in args if isinstance(arg, type) and is_dataclass(arg) and arg not in _BASIC_CODECS]
    named = {written_name(kind): _dataclass_codec(kind) for kind in classes}
    others = [_codec_of(arg) for arg in args if arg is not NoneType and arg not in classes]
    if len(others) > 1:
        raise TypeError(f"{args}: they have no JSON form yet")

    def write(value: Any) -> Any:  # noqa: ANN401 - any of them
        form = named.get(written_name(type(value))) or (others[0] if others else None)
        return None if value is None or form is None else form.write(value)

    def read(value: Any) -> Any:  # noqa: ANN401 - JSON
        if value is None and NoneType in args:
            return None
        form = named.get(value[0]) if isinstance(value, list) and value and isinstance(value[0], str) else None
        if form is None and not others:
            raise ValueError(f"{quoted(value)}: nothing of that name belongs here")
        return (form or others[0]).read(value)

    return _Codec(write, read)


def _dataclass_codec(kind: Any) -> _Codec:  # noqa: ANN401 - a dataclass
    hints, name = get_type_hints(kind), written_name(kind)
    forms = [(each.name, _bounded_codec(name, each.name, _codec_of(hints[each.name]))) for each in fields(kind)]

    def write(item: object) -> list[Any]:
        return [name, *[form.write(getattr(item, field)) for field, form in forms]]

    def read(value: object) -> object:
        items = _checked_list(value, len(forms) + 1)
        return kind(*[form.read(item) for (_, form), item in zip(forms, items[1:], strict=True)])

    return _Codec(write, read)


def _bounded_codec(kind: str, field: str, form: _Codec) -> _Codec:
    """`form`, of numbers that must be in bounds."""
    bounds = _BOUNDS.get(f"{kind}.{field}", _BOUNDS.get(field))
    if bounds is None or form not in (_BASIC_CODECS[int], _BASIC_CODECS[float], _codec_of(int | None)):
        return form
    low, high = bounds

    def read(value: object) -> object:
        number = form.read(value)
        if number is not None and not low <= number <= high:
            raise ValueError(f"{field} {quoted(number)}: from {low} to {high}")
        return number

    return _Codec(form.write, read)
