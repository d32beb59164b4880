# SPDX-License-Identifier: Apache-2.0
"""The form of a tune as it is written, and the order in which its bars are played.

Whatever a chart is read from, its bars and signs are told to a `Form` in the order in which they are written, and
`Form.unfold` gives the bars in the order in which they sound, every repeat written out. The rules:

- **Repeats.** A part is played twice, or as often as said. A repeat that is not opened goes back to where the last one
  ended, or to the top. Repeats do not stand within one another.
- **Endings** are numbered from 1 without a gap; each but the last ends its bars by closing the repeat. The part is
  played as often as its highest number says, at least twice: with a first ending alone, the second time leaves it out.
- **D.C., D.S.** are taken once each, the last time that their bar is played. From there to the goal (Fine, To Coda, or
  an ending) repeats are not taken: each part is played once, with the ending that leads to the goal, else its last.
  Without "al" they go to the Fine if there is one, else to the coda, else through to the end.
- **To Coda** jumps to the coda after such a return; there, repeats are taken again.
- **A coda that no D.C. or D.S. leads to** is a tune's last ending, played when all is over. A chart goes round for
  ever, so it is left out.
- **Fine** ends the chorus after a return, and else means nothing.

So every form ends; one that would grow too long is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, NoReturn, TypeVar

MAX_BARS = 4096
MAX_PASSES = 64

T = TypeVar("T")
ErrorFactory = Callable[[str, int], Exception]
"""The error for a problem at a bar, counted from 1 as written."""

SIGN_PATTERN = (
    r"(?P<back>D\.[ \t]?[CS]\.?|Da[ \t]+Capo|Dal[ \t]+Segno)"
    r"(?:[ \t]+al[ \t]+(?P<goal>Fine|Coda|[1-9](?:st|nd|rd|th)?\.?(?:[ \t]+End(?:ing|\.)?)?))?"
    r"|(?P<tocoda>To[ \t]+Coda)|(?P<coda>Coda)|(?P<segno>Segno)|(?P<fine>Fine)"
)
"""A pattern (not minding case) for the signs that `Form.add_sign` understands."""
_SIGN = re.compile(SIGN_PATTERN, re.IGNORECASE)
_ORDINALS = ("", "1st", "2nd", "3rd")


def stands_before_bar(sign: str) -> bool:
    """Whether a sign stands before the bar it belongs to, as Segno and Coda do; the others stand behind it."""
    return sign.strip().lower() in ("segno", "coda")


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th: as endings are called."""
    return _ORDINALS[number] if number < len(_ORDINALS) else f"{number}th"


@dataclass(slots=True)
class _Ending:
    numbers: tuple[int, ...]
    first: int
    last: int | None = None


@dataclass(slots=True)
class _RepeatedPart:
    """Bars that are played more than once: from `first` to `last`, without endings so many `times`."""

    first: int
    opened: bool = False
    times: int = 2
    last: int = -1
    endings: list[_Ending] = field(default_factory=list)

    def pass_count(self) -> int:
        return max(2, self.endings[-1].numbers[-1]) if self.endings else self.times

    def ending_at(self, bar: int) -> _Ending | None:
        """The ending that a bar of this part lies in."""
        return next((each for each in reversed(self.endings) if each.first <= bar), None)

    def last_bar_of(self, ending: _Ending | None) -> int:
        """The last bar of an ending, or of the part itself."""
        return self.last if ending is None or ending.last is None else ending.last


@dataclass(frozen=True, slots=True)
class _Jump:
    """A D.C. or D.S.; `goal` is fine, coda, an ending's number, or nothing."""

    text: str
    bar: int
    to_segno: bool
    goal: str | int


class Form(Generic[T]):
    """Collects bars (of any kind) and signs as written. Its methods raise what `make_error` makes of a problem."""

    def __init__(self, make_error: ErrorFactory) -> None:
        self._make_error = make_error
        self._bars: list[T] = []
        self._parts: list[_RepeatedPart] = []
        self._open_part: _RepeatedPart | None = None
        self._next_part_start = 0
        self._sections: dict[int, str] = {}
        self._sign_positions: dict[str, int] = {}
        self._jumps: dict[int, _Jump] = {}

    def __len__(self) -> int:
        """How many bars have been written."""
        return len(self._bars)

    def last_bar(self, back: int = 1) -> T | None:
        """The last bar written, or an earlier one; None if there are not so many."""
        return self._bars[-back] if len(self._bars) >= back else None

    @property
    def next_ending(self) -> int:
        """The number that the next ending has."""
        return self._open_part.endings[-1].numbers[-1] + 1 if self._open_part and self._open_part.endings else 1

    def add_bar(self, bar: T) -> None:
        """Write one bar more."""
        if self._open_part and self._open_part.endings and self._open_part.endings[-1].last == len(self) - 1:
            self._finish_part(self._open_part)
        if len(self) == MAX_BARS:
            self._raise_too_long(len(self))
        self._bars.append(bar)

    def start_section(self, name: str) -> None:
        """A part of the tune called so begins here."""
        self.double_bar()
        self._sections[len(self)] = name

    def double_bar(self) -> None:
        """`||`: where a last ending ends that no `:|` closes. A new section, Segno and Coda do the same."""
        if self._in_last_ending() and self._open_part:
            self._finish_part(self._open_part)

    def open_repeat(self) -> None:
        """`|:`."""
        if self._open_part and not self._in_last_ending() and not self._closed_ending():
            what = "an ending" if self._open_part.endings else "a repeat"
            self._raise_problem(f"a repeat within {what}; close the first with ':|' before opening the next")
        if self._open_part:
            self._finish_part(self._open_part)
        self._open_part = _RepeatedPart(len(self), opened=True)

    def start_ending(self, numbers: tuple[int, ...]) -> None:
        """A bracket: these times, what follows is played. `numbers` go up."""
        part = self._open_part or _RepeatedPart(self._next_part_start)
        if part.endings and part.endings[-1].last is None:
            self._raise_problem(
                f"the {ordinal(part.endings[-1].numbers[-1])} ending is not closed: put ':|' at its end"
            )
        after = self.next_ending
        if not numbers or numbers != tuple(range(after, after + len(numbers))) or numbers[-1] > MAX_PASSES:
            self._raise_problem(f"what comes next is the {ordinal(after)} ending, [{after}]")
        part.endings.append(_Ending(numbers, len(self)))
        self._open_part = part

    def close_repeat(self, times: int | None) -> None:
        """`:|`, with how often the part is played if that is said."""
        part = self._open_part or _RepeatedPart(self._next_part_start)
        ending = part.endings[-1] if part.endings else None
        if len(self) == (ending.first if ending else part.first) or (ending and ending.last is not None):
            self._raise_problem("the repeat ':|' has no bars to repeat")
        if ending is not None:
            if times is not None:
                self._raise_problem(
                    f"'x{times}' behind an ending: number the endings instead, such as [1,2] and [3]", len(self)
                )
            ending.last = len(self) - 1
            return
        if times is not None and not 2 <= times <= MAX_PASSES:
            self._raise_problem(f"'x{times}': a part is played 2 to {MAX_PASSES} times")
        part.times = times or part.times
        self._finish_part(part)

    def add_sign(self, text: str) -> None:
        """Segno, Coda, To Coda, Fine, D.C. or D.S. (al Fine, al Coda, al 2nd ending), at the bar line reached."""
        match = _SIGN.fullmatch(text.strip())
        if match is None:
            self._raise_problem(f"{text!r} is no sign: D.C., D.S., al Fine, al Coda, Segno, To Coda, Coda or Fine")
        name = match.lastgroup or ""
        if match["back"]:
            name = "back"
        if len(self) == 0 and not stands_before_bar(name):
            self._raise_problem(f"{text!r} must stand behind a bar, and there is none")
        if name == "back":
            goal = (match["goal"] or "").lower()
            number = re.match(r"\d", goal)
            back = re.sub(r"\s", "", match["back"].lower()).startswith(("d.s", "dals"))
            self._jumps[len(self)] = _Jump(text, len(self), back, int(number[0]) if number else goal)
            return
        if stands_before_bar(name):
            self.double_bar()
        if self._sign_positions.setdefault(name, len(self)) != len(self):
            self._raise_problem(
                f"{text!r} stands twice, first at bar {self._sign_positions[name] + stands_before_bar(name)}; "
                "one is enough"
            )

    def unfold(self) -> tuple[list[T], tuple[tuple[int, str], ...]]:
        """The bars in the order played, and where (counted from 0) which section begins. No bars: none written."""
        self._check_end()
        order = (
            _FormWalker(len(self), self._parts, self._sign_positions, self._jumps, self._make_error).order()
            if self._bars
            else []
        )
        sections = tuple((at, self._sections[bar]) for at, bar in enumerate(order) if bar in self._sections)
        return [self._bars[bar] for bar in order], sections

    def _check_end(self) -> None:
        part = self._open_part
        if part and part.endings:
            if part.endings[-1].first == len(self):
                self._raise_problem(f"the {ordinal(part.endings[-1].numbers[0])} ending has no bars", max(1, len(self)))
            if len(part.endings) == 1 and part.endings[0].last is None:
                self._raise_problem("the 1st ending is never closed: put ':|' at its end", part.endings[0].first + 1)
            self._finish_part(part)
        elif part:
            self._raise_problem("the repeat '|:' is never closed: write ':|' where it ends", part.first + 1)
        for name in ("segno", "coda"):
            if self._bars and self._sign_positions.get(name) == len(self):
                self._raise_problem(f"the {name.capitalize()} has no bars behind it", len(self))

    def _in_last_ending(self) -> bool:
        endings = self._open_part.endings if self._open_part else []
        return len(endings) > 1 and endings[-1].first < len(self)

    def _closed_ending(self) -> bool:
        return bool(self._open_part and self._open_part.endings and self._open_part.endings[-1].last is not None)

    def _finish_part(self, part: _RepeatedPart) -> None:
        part.last = len(self) - 1
        self._parts.append(part)
        self._open_part, self._next_part_start = None, len(self)

    def _raise_problem(self, problem: str, bar: int | None = None) -> NoReturn:
        raise self._make_error(problem, bar or len(self) + 1)

    def _raise_too_long(self, bar: int) -> NoReturn:
        raise _too_long_error(self._make_error, bar)


def _too_long_error(fail: ErrorFactory, bar: int) -> Exception:
    return fail(f"the chart grows beyond {MAX_BARS} bars, its repeats written out", bar)


class _FormWalker:
    """Goes through a form as its players do; bars are their indices."""

    def __init__(
        self,
        count: int,
        parts: list[_RepeatedPart],
        sign_positions: dict[str, int],
        jumps: dict[int, _Jump],
        make_error: ErrorFactory,
    ) -> None:
        self._parts, self._sign_positions, self._jumps, self._make_error = parts, sign_positions, jumps, make_error
        self._pass_numbers = {part.first: 1 for part in parts}
        self._part_of = {bar: part for part in parts for bar in range(part.first, part.last + 1)}
        self._active_jump: _Jump | None = None
        self._taken_jumps: set[int] = set()
        # A coda that nothing leads to is no part of a chorus.
        self._end = count if jumps else sign_positions.get("coda", count)

    def order(self) -> list[int]:
        """The indices of the bars in the order played."""
        for line, jump in self._jumps.items():
            self._check_jump(line, jump)
        if self._end == 0:
            raise self._make_error("the coda is all there is; write the bars that come before it", 1)
        order: list[int] = []
        at: int | None = 0
        while at is not None and at < self._end:
            if (other := self._skip_target(at)) is not None:
                at = other
                continue
            if len(order) == MAX_BARS:
                raise _too_long_error(self._make_error, at + 1)
            order.append(at)
            at = self._next_bar(at)
        if self._active_jump and self._active_jump.goal and at is not None:
            goal = self._active_jump.goal
            place = f"{ordinal(goal)} ending" if isinstance(goal, int) else goal.capitalize()
            raise self._make_error(f"{self._active_jump.text!r} never comes to its {place}", self._active_jump.bar)
        return order

    def _check_jump(self, line: int, jump: _Jump) -> None:
        needs = ["segno"] if jump.to_segno else []
        needs += {"fine": ["fine"], "coda": ["tocoda", "coda"]}.get(str(jump.goal), [])
        names = {"tocoda": "To Coda", "coda": "Coda", "segno": "Segno", "fine": "Fine"}
        for name in needs:
            if name not in self._sign_positions:
                raise self._make_error(
                    f"{jump.text!r} without a {names[name]}; write {names[name]!r} where it stands", line
                )

    def _skip_target(self, bar: int) -> int | None:
        """Where to go on if this bar begins an ending that is not for this time."""
        part = self._part_of.get(bar)
        ending = part.ending_at(bar) if part else None
        if part is None or ending is None or ending.first != bar or self._pass_number(part) in ending.numbers:
            return None
        following = part.endings.index(ending) + 1
        return part.endings[following].first if following < len(part.endings) else part.last_bar_of(ending) + 1

    def _pass_number(self, part: _RepeatedPart) -> int:
        """Which time through a part this is: on the way to a goal, the one whose ending leads there."""
        if self._active_jump is None:
            return self._pass_numbers[part.first]
        if isinstance(self._active_jump.goal, int):
            return self._active_jump.goal
        line = self._sign_positions.get({"fine": "fine", "coda": "tocoda"}.get(self._active_jump.goal, ""))
        if line is not None and part.first < line <= part.last + 1:
            ending = part.ending_at(line - 1)
            if ending is not None:
                return ending.numbers[-1]
        return part.pass_count()

    def _next_bar(self, bar: int) -> int | None:
        """Where to go on after a bar; None: it was the last."""
        line = bar + 1
        match self._active_jump and self._active_jump.goal:
            case "fine" if self._sign_positions["fine"] == line:
                return None
            case "coda" if self._sign_positions["tocoda"] == line:
                self._active_jump = None
                return self._sign_positions["coda"]
            case int(number) if self._ends_ending(bar, number):
                # What is written between the ending and the sign has been played.
                behind, self._active_jump = self._active_jump is not None and self._active_jump.bar > line, None
                return None if behind else line
        if line in self._jumps and line not in self._taken_jumps and self._is_last_pass(bar):
            return self._take_jump(line)
        part = self._part_of.get(bar)
        if part and self._active_jump is None and self._repeats_after(part, bar):
            self._pass_numbers[part.first] += 1
            return part.first
        return line

    def _ends_ending(self, bar: int, number: int) -> bool:
        """Whether this bar is the last of an ending of that number."""
        part = self._part_of.get(bar)
        ending = part.ending_at(bar) if part else None
        return bool(part and ending and number in ending.numbers and bar == part.last_bar_of(ending))

    def _repeats_after(self, part: _RepeatedPart, bar: int) -> bool:
        """Whether the part is to be played again after this bar."""
        ending = part.ending_at(bar)
        closing = part.last if ending is None else ending.last
        return bar == closing and self._pass_numbers[part.first] < part.pass_count()

    def _is_last_pass(self, bar: int) -> bool:
        part = self._part_of.get(bar)
        if part is None or self._active_jump:
            return True
        ending = part.ending_at(bar)
        return self._pass_numbers[part.first] >= (ending.numbers[-1] if ending else part.pass_count())

    def _take_jump(self, line: int) -> int:
        jump = self._jumps[line]
        self._taken_jumps.add(line)
        if jump.goal == "":
            coda = "coda" if {"tocoda", "coda"} <= self._sign_positions.keys() else ""
            jump = replace(jump, goal="fine" if "fine" in self._sign_positions else coda)
        self._active_jump = jump
        self._pass_numbers = dict.fromkeys(self._pass_numbers, 1)
        return self._sign_positions["segno"] if jump.to_segno else 0
