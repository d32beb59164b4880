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

from sideman.core.chart.chart import About, Bar, Chart, ChartError, Meter, parse_meter
from sideman.core.errors import ConfigError
from sideman.core.settings.resolve import Given, read_settings
from sideman.core.settings.schema import KEYS, Key, Settings, changed
from sideman.core.settings.types import Range, shown
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

LATEST = 1e12
"""Seconds, or beats: the music is over by then."""
_STANDING_FOR_NONE = (None, "auto", "all", "none", "off")


def plain(item: object) -> Any:  # noqa: ANN401 - JSON
    """The JSON form of an event, command or report."""
    kind: Any = type(item)
    return _form(kind).write(item)


def read(written: object, kinds: Mapping[str, type]) -> Any:  # noqa: ANN401 - one of kinds
    """What was written as one of `kinds`, by name. Raises ValueError for anything else."""
    if not isinstance(written, list) or not written or not isinstance(written[0], str):
        raise ValueError(f"{shown(written)} is not a list that begins with a name")
    kind = kinds.get(written[0])
    if kind is None:
        raise ValueError(f"{shown(written[0])}: nothing of that name belongs here")
    return _form(kind).read(written)


def members(union: object) -> dict[str, type]:
    """The classes of a union, by name."""
    return {kind.__name__: kind for kind in get_args(union)}


# -- settings and charts


def written(name: str, value: object) -> Any:  # noqa: ANN401 - JSON
    """How one would write `value` for the key `name`, such as "48-84" or "auto", else its parts.

    Raises ValueError for what is no value of that key.
    """
    key = KEYS.get(name)
    if key is None:
        raise ValueError(f"{shown(name)}: no such key")
    for spelling in _spellings(value):
        try:
            if key.rule.read(spelling) == value:
                return spelling
        except ValueError:
            continue
    if (parts := _parts(key)) is not None:
        return parts.write(value)
    raise ValueError(f"{name}: {value!r} cannot be written")


def _parts(key: Key) -> _Form | None:
    """The form of a value of `key` that has parts, and cannot be spelled in a word."""
    kind: Any = type(key.default)
    has_parts = is_dataclass(kind) and kind not in (Range, Meter)
    return _form(kind) if has_parts else None


def _spellings(value: object) -> Iterator[object]:
    if value is None:
        yield from _STANDING_FOR_NONE
    elif isinstance(value, Range):
        yield f"{value.low}-{value.high}"
    elif isinstance(value, bool | int | float | str):
        yield value
    else:
        yield str(value)


def settings_form(settings: Settings) -> dict[str, Any]:
    """Every key with its value as one would write it."""
    values = ((name, getattr(getattr(settings, group), key)) for name in KEYS for group, key in [name.split(".", 1)])
    return {name: written(name, value) for name, value in values}


def read_settings_form(form: object, where: str) -> Settings:
    """The settings of such a form. Raises ConfigError, naming `where`, with all that is wrong."""
    given = form if isinstance(form, dict) else {}
    parts = {name: value for name, value in given.items() if isinstance(value, list) and name in KEYS}
    words = {str(name): Given(value, where) for name, value in given.items() if name not in parts}
    try:
        return changed(read_settings([words]), [_read_key(name, value) for name, value in parts.items()])
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _read_key(name: object, value: object) -> tuple[str, object]:
    key = KEYS.get(name) if isinstance(name, str) else None
    if key is None:
        raise ValueError(f"{shown(name)}: no such key")
    if isinstance(value, list) and (parts := _parts(key)) is not None:
        return key.name, parts.read(value)
    try:
        return key.name, key.rule.read(value)
    except ValueError:
        raise ValueError(f"{key.name}: {shown(value)}: allowed is {key.rule.allowed}") from None


def chart_form(chart: Chart) -> dict[str, Any]:
    """A chart bar by bar, also one with changes that `Chart.text` has no places for; `meters` are those to come."""
    bars = [[[at, chord.text] for at, chord in bar.chords] for bar in chart.bars]
    about = {each.name: getattr(chart.about, each.name) for each in fields(About)}
    before = [chart.meter, *(bar.meter for bar in chart.bars)]
    changes = [[at, str(bar.meter)] for at, bar in enumerate(chart.bars) if bar.meter != before[at]]
    return {"meter": str(chart.meter), "bars": bars, **({"meters": changes} if changes else {}), "about": about}


def read_chart_form(form: object) -> Chart:
    """The chart of such a form. Raises ValueError."""
    try:
        if not isinstance(form, dict):
            raise TypeError
        meter, about = parse_meter(form["meter"]), dict(form["about"])
        changes = {_exactly(int)(at): parse_meter(text) for at, text in form.get("meters", ())}
        bars = []
        for number, bar in enumerate(form["bars"]):
            meter = changes.get(number, meter)
            bars.append(_bar(bar, meter))
        sections = tuple((_exactly(int)(at), _exactly(str)(name)) for at, name in about.pop("sections"))
        tempo = about.pop("tempo")
        words = {name: _exactly(str)(text) for name, text in about.items()}
        bpm = None if tempo is None else _number(tempo)
        return Chart(tuple(bars), About(**words, tempo=bpm, sections=sections))
    except (KeyError, TypeError, ValueError, ChartError, ModelsError) as error:
        raise ValueError(f"not a chart ({error!r})") from None


def _bar(form: list[Any], meter: Meter) -> Bar:
    chords = tuple((_number(at), parse_chord(text)) for at, text in form)
    places = [at for at, _ in chords]
    if not places or places[0] != 0 or places != sorted(set(places)) or not places[-1] < meter.quarters:
        raise ValueError("chords out of their bar")
    return Bar(chords, meter)


# -- the form of a type


@dataclass(frozen=True, slots=True)
class _Form:
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _same(value: Any) -> Any:  # noqa: ANN401 - any
    return value


def _exactly(*kinds: type) -> Callable[[Any], Any]:
    def read(value: object) -> object:
        if type(value) not in kinds:
            raise ValueError(f"{shown(value)} is not of type {kinds[0].__name__}")
        return value

    return read


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LATEST:
        raise ValueError(f"{shown(value)} is not a number, or out of all bounds")
    return float(value)


def _text_form(kind: type, parse: Callable[[str], Any]) -> _Form:
    def read(value: object) -> object:
        try:
            return parse(_exactly(str)(value))
        except (ModelsError, ChartError) as error:
            raise ValueError(str(error)) from None

    return _Form(lambda value: str(value) if kind is Meter else value.text, read)


_LEAVES: dict[Any, _Form] = {
    bool: _Form(_same, _exactly(bool)),
    int: _Form(_same, _exactly(int)),
    str: _Form(_same, _exactly(str)),
    float: _Form(float, _number),
    NoneType: _Form(_same, _exactly(NoneType)),
    Chord: _text_form(Chord, parse_chord),
    Value: _text_form(Value, parse_value),
    Meter: _text_form(Meter, parse_meter),
    Chart: _Form(chart_form, read_chart_form),
    tuple[str, object]: _Form(lambda pair: [pair[0], written(*pair)], lambda pair: _read_key(*_items(pair, 2))),
}


def _items(value: object, count: int | None = None) -> list[Any]:
    if not isinstance(value, list) or count not in (None, len(value)):
        raise ValueError(f"{shown(value)} is not a list of {'any length' if count is None else count}")
    return value


@cache
def _form(hint: Any) -> _Form:  # noqa: ANN401 - a type as it is declared
    if hint in _LEAVES:
        return _LEAVES[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _Form(_same, lambda value: _one_of(value, args))
    if origin in (Union, UnionType):
        return _union(args)
    if origin is tuple and args[1:] == (Ellipsis,):
        each = _form(args[0])
        return _Form(lambda items: [each.write(item) for item in items],
                     lambda items: tuple(each.read(item) for item in _items(items)))  # fmt: skip
    if origin is tuple:
        forms = [_form(arg) for arg in args]
        return _Form(
            lambda items: [form.write(item) for form, item in zip(forms, items, strict=True)],
            lambda items: tuple(f.read(item) for f, item in zip(forms, _items(items, len(forms)), strict=True)),
        )
    if is_dataclass(hint) and isinstance(hint, type):
        return _class_form(hint)
    raise TypeError(f"{hint}: it has no JSON form yet")


def _one_of(value: object, choices: tuple[object, ...]) -> object:
    if value not in choices:
        raise ValueError(f"{shown(value)} is none of {', '.join(map(str, choices))}")
    return value


def _union(args: tuple[Any, ...]) -> _Form:
    """Dataclasses tell their names; of anything else there is one kind at most, or nothing at all."""
    classes = [arg for arg in args if isinstance(arg, type) and is_dataclass(arg) and arg not in _LEAVES]
    named = {kind.__name__: _class_form(kind) for kind in classes}
    others = [_form(arg) for arg in args if arg is not NoneType and arg not in classes]
    if len(others) > 1:
        raise TypeError(f"{args}: they have no JSON form yet")

    def write(value: Any) -> Any:  # noqa: ANN401 - any of them
        form = named.get(type(value).__name__) or (others[0] if others else None)
        return None if value is None or form is None else form.write(value)

    def read(value: Any) -> Any:  # noqa: ANN401 - JSON
        if value is None and NoneType in args:
            return None
        form = named.get(value[0]) if isinstance(value, list) and value and isinstance(value[0], str) else None
        if form is None and not others:
            raise ValueError(f"{shown(value)}: nothing of that name belongs here")
        return (form or others[0]).read(value)

    return _Form(write, read)


def _class_form(kind: Any) -> _Form:  # noqa: ANN401 - a dataclass
    hints, name = get_type_hints(kind), kind.__name__
    forms = [(each.name, _bounded(name, each.name, _form(hints[each.name]))) for each in fields(kind)]

    def write(item: object) -> list[Any]:
        return [name, *[form.write(getattr(item, field)) for field, form in forms]]

    def read(value: object) -> object:
        items = _items(value, len(forms) + 1)
        return kind(*[form.read(item) for (_, form), item in zip(forms, items[1:], strict=True)])

    return _Form(write, read)


def _bounded(kind: str, field: str, form: _Form) -> _Form:
    """`form`, of numbers that must be in bounds."""
    bounds = _BOUNDS.get(f"{kind}.{field}", _BOUNDS.get(field))
    if bounds is None or form not in (_LEAVES[int], _LEAVES[float], _form(int | None)):
        return form
    low, high = bounds

    def read(value: object) -> object:
        number = form.read(value)
        if number is not None and not low <= number <= high:
            raise ValueError(f"{field} {shown(number)}: from {low} to {high}")
        return number

    return _Form(form.write, read)
