# SPDX-License-Identifier: Apache-2.0
"""The form of a song as it is written, and the order in which its bars are played.

Every reader of charts adds the bars and signs to a `Form` in the order in which they are written. `Form.unfold` returns
the bars in the order in which they are played, with all repeats written out. The rules:

- **Repeats.** A part is played twice, or as often as its repeat says. Without an opening sign a repeat goes back to the
  end of the last repeat, or to the top. A repeat cannot contain another repeat.
- **Endings** are numbered from 1 without a gap; every ending but the last closes the repeat at its end. The part is
  played as often as the highest number says, at least twice: with a first ending only, the second pass leaves it out.
- **D.C., D.S.** are each taken once, on the last pass through their bar. From there to the goal (Fine, To Coda, or an
  ending) no repeat is taken: each part is played once, with the ending that leads to the goal, else with its last one.
  Without "al" the goal is the Fine if there is one, else the coda, else the end.
- **To Coda** jumps to the coda after a D.C. or D.S. From the coda on repeats are taken again.
- **A coda that no D.C. or D.S. leads to** is the ending of the whole performance. A chart is played round and round, so
  this coda is left out.
- **Fine** ends the chorus after a D.C. or D.S.; otherwise it has no effect.

So every form has an end. A form that would be longer than `MAX_BARS` is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

MAX_BARS = 4096
MAX_PASSES = 64
_TOO_LONG = f"the chart grows beyond {MAX_BARS} bars, with its repeats written out"

T = TypeVar("T")
ErrorFactory = Callable[[str, int], Exception]
"""Makes the error for a problem at a bar; bars are counted from 1, as written."""

SIGN_PATTERN = (
    r"(?P<back>D\.[ \t]?[CS]\.?|Da[ \t]+Capo|Dal[ \t]+Segno)"
    r"(?:[ \t]+al[ \t]+(?P<goal>Fine|Coda|[1-9](?:st|nd|rd|th)?\.?(?:[ \t]+End(?:ing|\.)?)?))?"
    r"|(?P<tocoda>To[ \t]+Coda)|(?P<coda>Coda)|(?P<segno>Segno)|(?P<fine>Fine)"
)
"""The signs that `Form.add_sign` understands; upper and lower case are the same."""
_SIGN = re.compile(SIGN_PATTERN, re.IGNORECASE)


def stands_before_bar(sign: str) -> bool:
    """Whether a sign stands before its bar, as Segno and Coda do; the other signs stand after it."""
    return sign.strip().lower() in ("segno", "coda")


def ordinal(number: int) -> str:
    """Return the name of an ending: 1st, 2nd, 3rd, 4th."""
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


class _Ending(Struct):
    numbers: tuple[int, ...]
    first: int
    last: int | None = None


class _Repeat(Struct):
    """The bars from `first` to `last`, which are played more than once: `times` times if they have no endings."""

    first: int
    times: int = 2
    last: int = -1
    endings: list[_Ending] = field(default_factory=list)

    def pass_count(self) -> int:
        return max(2, self.endings[-1].numbers[-1]) if self.endings else self.times

    def ending_at(self, bar: int) -> _Ending | None:
        return next((ending for ending in reversed(self.endings) if ending.first <= bar), None)

    def last_bar_of(self, ending: _Ending) -> int:
        """Return the last bar of an ending; the last ending need not be closed."""
        return self.last if ending.last is None else ending.last


class _Jump(Struct, frozen=True):
    """A D.C. or D.S. after `bar` (from 1). `goal` is "fine", "coda", the number of an ending, or empty."""

    text: str
    bar: int
    to_segno: bool
    goal: str | int


class Form(Generic[T]):
    """Collects bars (of any type) and signs as written. Its methods raise the errors that `make_error` makes."""

    def __init__(self, make_error: ErrorFactory) -> None:
        self._make_error = make_error
        self._bars: list[T] = []
        self._parts: list[_Repeat] = []
        self._open_part: _Repeat | None = None
        self._next_part_start = 0
        self._sections: dict[int, str] = {}
        self._sign_positions: dict[str, int] = {}
        self._jumps: dict[int, _Jump] = {}

    def __len__(self) -> int:
        """How many bars have been written."""
        return len(self._bars)

    def last_bars(self, count: int) -> list[T]:
        """Return the last `count` bars written, or all of them if there are fewer."""
        return self._bars[-count:]

    @property
    def next_ending(self) -> int:
        """The number of the next ending."""
        return self._open_part.endings[-1].numbers[-1] + 1 if self._open_part and self._open_part.endings else 1

    def add_bar(self, bar: T) -> None:
        """Add the next bar."""
        if self._open_part and self._open_part.endings and self._open_part.endings[-1].last == len(self) - 1:
            self._finish_part(self._open_part)
        if len(self) == MAX_BARS:
            self._fail(_TOO_LONG, len(self))
        self._bars.append(bar)

    def start_section(self, name: str) -> None:
        """Begin a section with the next bar."""
        self.double_bar()
        self._sections[len(self)] = name

    def double_bar(self) -> None:
        """Add `||`: it closes a last ending that has no `:|`. A new section, a Segno and a Coda do the same."""
        if self._in_last_ending() and self._open_part:
            self._finish_part(self._open_part)

    def open_repeat(self) -> None:
        """Add `|:`."""
        if part := self._open_part:
            if not self._in_last_ending() and not (part.endings and part.endings[-1].last is not None):
                outer = "an ending" if part.endings else "a repeat"
                self._fail(f"a repeat within {outer}; close the first with ':|' before opening the next")
            self._finish_part(part)
        self._open_part = _Repeat(len(self))

    def start_ending(self, numbers: tuple[int, ...]) -> None:
        """Begin an ending with the next bar, for the passes `numbers` (in rising order)."""
        part = self._open_part or _Repeat(self._next_part_start)
        if part.endings and part.endings[-1].last is None:
            self._fail(f"the {ordinal(part.endings[-1].numbers[-1])} ending is not closed: put ':|' at its end")
        expected = self.next_ending
        if not numbers or numbers != tuple(range(expected, expected + len(numbers))) or numbers[-1] > MAX_PASSES:
            self._fail(f"the next ending must be the {ordinal(expected)}, [{expected}]")
        part.endings.append(_Ending(numbers, len(self)))
        self._open_part = part

    def close_repeat(self, times: int | None) -> None:
        """Add `:|`; the part is played `times` times, if that is given."""
        part = self._open_part or _Repeat(self._next_part_start)
        ending = part.endings[-1] if part.endings else None
        if len(self) == (ending.first if ending else part.first) or (ending and ending.last is not None):
            self._fail("the repeat ':|' has no bars to repeat")
        if ending is not None:
            if times is not None:
                self._fail(f"'x{times}' after an ending: number the endings instead, such as [1,2] and [3]", len(self))
            ending.last = len(self) - 1
            return
        if times is not None and not 2 <= times <= MAX_PASSES:
            self._fail(f"'x{times}': a part is played 2 to {MAX_PASSES} times")
        part.times = times or part.times
        self._finish_part(part)

    def add_sign(self, text: str) -> None:
        """Add Segno, Coda, To Coda, Fine, D.C. or D.S. (al Fine, al Coda, al 2nd ending) at the current bar line."""
        match = _SIGN.fullmatch(text.strip())
        if match is None:
            self._fail(f"{text!r} is not a sign; write D.C., D.S., al Fine, al Coda, Segno, To Coda, Coda or Fine")
        name = "back" if match["back"] else match.lastgroup or ""
        if len(self) == 0 and not stands_before_bar(name):
            self._fail(f"{text!r} must stand after a bar, but there is none")
        if name == "back":
            goal = (match["goal"] or "").lower()
            number = re.match(r"\d", goal)
            to_segno = re.sub(r"\s", "", match["back"].lower()).startswith(("d.s", "dals"))
            self._jumps[len(self)] = _Jump(text, len(self), to_segno, int(number[0]) if number else goal)
            return
        if stands_before_bar(name):
            self.double_bar()
        first = self._sign_positions.setdefault(name, len(self))
        if first != len(self):
            self._fail(f"{text!r} is written twice, first at bar {first + stands_before_bar(name)}; one is enough")

    def unfold(self) -> tuple[list[T], tuple[tuple[int, str], ...]]:
        """Return the bars in the order played, and the sections: index of the first bar in that order, and name."""
        part = self._open_part
        if part and part.endings:
            if part.endings[-1].first == len(self):
                self._fail(f"the {ordinal(part.endings[-1].numbers[0])} ending has no bars", max(1, len(self)))
            if len(part.endings) == 1 and part.endings[0].last is None:
                self._fail("the 1st ending is never closed: put ':|' at its end", part.endings[0].first + 1)
            self._finish_part(part)
        elif part:
            self._fail("the repeat '|:' is never closed: write ':|' where it ends", part.first + 1)
        if not self._bars:
            return [], ()
        for name in ("segno", "coda"):
            if self._sign_positions.get(name) == len(self):
                self._fail(f"the {name.capitalize()} has no bars after it", len(self))
        order = _FormWalker(len(self), self._parts, self._sign_positions, self._jumps, self._make_error).order()
        sections = tuple((index, self._sections[bar]) for index, bar in enumerate(order) if bar in self._sections)
        return [self._bars[bar] for bar in order], sections

    def _in_last_ending(self) -> bool:
        endings = self._open_part.endings if self._open_part else []
        return len(endings) > 1 and endings[-1].first < len(self)

    def _finish_part(self, part: _Repeat) -> None:
        part.last = len(self) - 1
        self._parts.append(part)
        self._open_part, self._next_part_start = None, len(self)

    def _fail(self, problem: str, bar: int | None = None) -> NoReturn:
        raise self._make_error(problem, bar or len(self) + 1)


class _FormWalker:
    """Goes through a form as musicians play it. A bar is given by its index in the order written."""

    def __init__(
        self, count: int, parts: list[_Repeat], signs: dict[str, int], jumps: dict[int, _Jump], error: ErrorFactory
    ) -> None:
        self._signs, self._jumps, self._error = signs, jumps, error
        self._pass_numbers = {part.first: 1 for part in parts}
        self._part_of = {bar: part for part in parts for bar in range(part.first, part.last + 1)}
        self._active_jump: _Jump | None = None
        self._taken_jumps: set[int] = set()
        # A coda that no jump leads to is not part of a chorus.
        self._end = count if jumps else signs.get("coda", count)

    def order(self) -> list[int]:
        """Return the bars in the order played."""
        for line, jump in self._jumps.items():
            goal_signs = {"fine": ["fine"], "coda": ["tocoda", "coda"]}.get(str(jump.goal), [])
            for sign in ["segno", *goal_signs] if jump.to_segno else goal_signs:
                if sign not in self._signs:
                    name = "To Coda" if sign == "tocoda" else sign.capitalize()
                    raise self._error(f"{jump.text!r} without a {name}; write {name!r} where it stands", line)
        if self._end == 0:
            raise self._error("there is only a coda; write the bars before it", 1)
        order: list[int] = []
        bar: int | None = 0
        while bar is not None and bar < self._end:
            part, ending = self._place_of(bar)
            if part and ending and ending.first == bar and self._pass_number(part) not in ending.numbers:
                # An ending that is not played on this pass: continue with the next ending, or after the part.
                bar = part.last_bar_of(ending) + 1
                continue
            if len(order) == MAX_BARS:
                raise self._error(_TOO_LONG, bar + 1)
            order.append(bar)
            bar = self._next_bar(bar)
        if self._active_jump and self._active_jump.goal and bar is not None:
            goal = self._active_jump.goal
            place = f"{ordinal(goal)} ending" if isinstance(goal, int) else goal.capitalize()
            raise self._error(f"{self._active_jump.text!r} does not reach its {place}", self._active_jump.bar)
        return order

    def _place_of(self, bar: int) -> tuple[_Repeat | None, _Ending | None]:
        part = self._part_of.get(bar)
        return part, part.ending_at(bar) if part else None

    def _pass_number(self, part: _Repeat) -> int:
        """Return the number of this pass through a part; after a jump, the pass whose ending leads to its goal."""
        if self._active_jump is None:
            return self._pass_numbers[part.first]
        if isinstance(self._active_jump.goal, int):
            return self._active_jump.goal
        line = self._signs.get({"fine": "fine", "coda": "tocoda"}.get(self._active_jump.goal, ""))
        ending = part.ending_at(line - 1) if line is not None and part.first < line <= part.last + 1 else None
        return ending.numbers[-1] if ending else part.pass_count()

    def _next_bar(self, bar: int) -> int | None:
        """Return the bar that is played after `bar`; None after the last one."""
        line, jump = bar + 1, self._active_jump
        part, ending = self._place_of(bar)
        match jump and jump.goal:
            case "fine" if self._signs["fine"] == line:
                return None
            case "coda" if self._signs["tocoda"] == line:
                self._active_jump = None
                return self._signs["coda"]
            case int(number) if part and ending and number in ending.numbers and bar == part.last_bar_of(ending):
                # If the jump stands after the ending, what lies between them has been played: the chorus ends here.
                self._active_jump = None
                return None if jump and jump.bar > line else line
        # A D.C. or D.S. is taken on the last pass through its bar.
        this_pass = self._pass_numbers[part.first] if part else 0
        last_pass = ending.numbers[-1] if ending else part.pass_count() if part else 0
        if line in self._jumps and line not in self._taken_jumps and (jump or this_pass >= last_pass):
            jump = self._jumps[line]
            self._taken_jumps.add(line)
            if jump.goal == "":  # the goal is the Fine if there is one, else the coda, else the end
                coda = "coda" if {"tocoda", "coda"} <= self._signs.keys() else ""
                jump = replace(jump, goal="fine" if "fine" in self._signs else coda)
            self._active_jump = jump
            self._pass_numbers = dict.fromkeys(self._pass_numbers, 1)
            return self._signs["segno"] if jump.to_segno else 0
        # The bar before a `:|` leads back to the start of its part; after a jump no repeat is taken.
        closing = ending.last if ending else part.last if part else None
        if part and jump is None and bar == closing and this_pass < part.pass_count():
            self._pass_numbers[part.first] += 1
            return part.first
        return line
