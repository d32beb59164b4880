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

**Files** break these rules. With `warn` a form is never refused for its signs, but played as near as can be. `warn`
gets what was guessed:

- A repeat within a repeat is played within it; one that is never closed is played once.
- An ending closes the ending before it. An ending that stands alone after other bars (`[3]` after the bridge) is where
  a D.C. "al 3rd ending" goes on from the part with the endings before it.
- A D.S. goes to the last Segno before it, without one to the top; "al Fine" to the first Fine that is met, without one
  to the end. Of two codas without a To Coda the first is the To Coda; without a coda it is what stands after the jump.
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
_MAX_DEPTH = 4
ErrorFactory = Callable[[str, int], Exception]
"""Makes the error for a problem at a bar; bars are counted from 1, as written."""
Warn = Callable[[str, int], None]
"""Takes what was guessed at a bar, counted from 1, as written."""

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
    after_jump: bool = False
    """Whether it is played more than once after a D.C. or D.S., too."""
    late: dict[int, int] = field(default_factory=dict)
    """The bars of the endings that stand after other bars: by their numbers, where a jump goes on."""

    def pass_count(self) -> int:
        return max(2, self.endings[-1].numbers[-1]) if self.endings else self.times

    def ending_at(self, bar: int) -> _Ending | None:
        return next((ending for ending in reversed(self.endings) if ending.first <= bar), None)

    def has_ending(self, number: int) -> bool:
        return number in self.late or any(number in ending.numbers for ending in self.endings)

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
    """Collects bars (of any type) and signs as written. Its methods raise the errors that `make_error` makes.

    With `warn`, signs that break the rules are played as near as can be, and `warn` gets what was guessed.
    """

    def __init__(self, make_error: ErrorFactory, warn: Warn | None = None) -> None:
        self._make_error = make_error
        self._warn = warn
        self._bars: list[T] = []
        self._parts: list[_Repeat] = []
        self._open_parts: list[_Repeat] = []  # the outer one first
        self._next_part_start = 0
        self._sections: dict[int, str] = {}
        self._signs: dict[str, list[int]] = {}  # where each stands
        self._jumps: dict[int, _Jump] = {}

    def __len__(self) -> int:
        """How many bars have been written."""
        return len(self._bars)

    def last_bars(self, count: int) -> list[T]:
        """Return the last `count` bars written, or all of them if there are fewer."""
        return self._bars[-count:]

    @property
    def _open_part(self) -> _Repeat | None:
        return self._open_parts[-1] if self._open_parts else None

    @property
    def next_ending(self) -> int:
        """The number of the next ending."""
        return self._open_part.endings[-1].numbers[-1] + 1 if self._open_part and self._open_part.endings else 1

    def add_bar(self, bar: T) -> None:
        """Add the next bar."""
        if self._open_part and self._open_part.endings and self._open_part.endings[-1].last == len(self) - 1:
            self._finish_part(self._open_part)
        if len(self) == MAX_BARS:
            raise self._make_error(_TOO_LONG, len(self))
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
            if self._in_last_ending() or (part.endings and part.endings[-1].last is not None):
                self._finish_part(part)
            else:
                outer = "an ending" if part.endings else "a repeat"
                advice = "; close the first with ':|' before opening the next"
                self._doubt(f"a repeat within {outer}", advice, "played within it")
                if part.first == len(self) or len(self._open_parts) == _MAX_DEPTH:
                    self._open_parts.pop()
        self._open_parts.append(_Repeat(len(self)))

    def start_ending(self, numbers: tuple[int, ...]) -> None:
        """Begin an ending with the next bar, for the passes `numbers` (in rising order)."""
        if self._warn:
            self._prepare_ending(numbers)
        part = self._open_part or _Repeat(self._next_part_start)
        if part.endings and part.endings[-1].last is None:
            self._fail(f"the {ordinal(part.endings[-1].numbers[-1])} ending is not closed: put ':|' at its end")
        expected = self.next_ending
        if not numbers or numbers != tuple(range(expected, expected + len(numbers))) or numbers[-1] > MAX_PASSES:
            if self._stands_alone(part, numbers):
                return
            problem = f"the next ending must be the {ordinal(expected)}"
            self._doubt(problem, f", [{expected}]", "played as that one")
            numbers = (min(expected, MAX_PASSES),)
        part.endings.append(_Ending(numbers, len(self)))
        if self._open_part is not part:
            self._open_parts.append(part)

    def _prepare_ending(self, numbers: tuple[int, ...]) -> None:
        """Close what an ending in a file closes without a sign."""
        part, before = self._open_part, self._parts[-1] if self._parts else None
        is_fresh = part is not None and part.first == len(self) and not part.endings
        follows = before is not None and before.last == len(self) - 1 and before.has_ending(min(numbers, default=0) - 1)
        if is_fresh and follows:
            self._doubt(f"a repeat opens at the {ordinal(numbers[0])} ending", "", "left out")
            self._open_parts[-1] = self._parts.pop()
        while (part := self._open_part) and part.endings and part.endings[-1].last is None:
            ending = part.endings[-1]
            is_goal = any(jump.goal in numbers and bar > ending.first for bar, jump in self._jumps.items())
            if ending.first == len(self):  # two numbers at one bar: the last one counts
                part.endings.pop()
            elif len(part.endings) > 1 and (is_goal or numbers[:1] == (1,)):
                self._finish_part(part)
            else:
                name = ordinal(ending.numbers[-1])
                self._doubt(f"the {name} ending has no ':|'", "", "it ends where the next one begins")
                ending.last = len(self) - 1

    def _stands_alone(self, part: _Repeat, numbers: tuple[int, ...]) -> bool:
        """Whether an ending in a file stands after other bars: a jump may go on there, else it means nothing."""
        if not self._warn or part.endings or numbers[:1] == (1,):
            return False
        if not any(jump.goal in numbers for jump in self._jumps.values()):
            self._doubt(
                f"no {ordinal(numbers[0] - 1)} ending before the {ordinal(numbers[0])}", "", "played as it stands"
            )
        if part_before := next((each for each in reversed(self._parts) if each.endings), None):
            part_before.late |= {number: len(self) for number in numbers if not part_before.has_ending(number)}
        return True

    def close_repeat(self, times: int | None, *, after_jump: bool = False) -> None:
        """Add `:|`; the part is played `times` times, if that is given, and `after_jump` so after a jump, too."""
        part = self._open_part or _Repeat(self._next_part_start)
        part.after_jump |= after_jump
        ending = part.endings[-1] if part.endings else None
        if len(self) == (ending.first if ending else part.first) or (ending and ending.last is not None):
            self._doubt("the repeat ':|' has no bars to repeat", "", "left out")
            return
        if ending is not None:
            if times is not None:
                advice = ": number the endings instead, such as [1,2] and [3]"
                self._doubt(f"'x{times}' after an ending", advice, "played as the endings say", len(self))
            ending.last = len(self) - 1
            return
        if times is not None and not 2 <= times <= MAX_PASSES:
            self._doubt(f"'x{times}': a part is played 2 to {MAX_PASSES} times", "", "played as near as that")
            times = min(max(2, times), MAX_PASSES)
        part.times = times or part.times
        self._finish_part(part)

    def add_sign(self, text: str) -> None:
        """Add Segno, Coda, To Coda, Fine, D.C. or D.S. (al Fine, al Coda, al 2nd ending) at the current bar line."""
        match = _SIGN.fullmatch(text.strip())
        if match is None:
            self._fail(f"{text!r} is not a sign; write D.C., D.S., al Fine, al Coda, Segno, To Coda, Coda or Fine")
        name = "back" if match["back"] else match.lastgroup or ""
        if len(self) == 0 and not stands_before_bar(name):
            self._doubt(f"{text!r} must stand after a bar, but there is none", "", "left out")
            return
        if name == "back":
            goal = (match["goal"] or "").lower()
            number = re.match(r"\d", goal)
            to_segno = re.sub(r"\s", "", match["back"].lower()).startswith(("d.s", "dals"))
            self._jumps[len(self)] = _Jump(text, len(self), to_segno, int(number[0]) if number else goal)
            return
        if stands_before_bar(name):
            self.double_bar()
        places = self._signs.setdefault(name, [])
        if places and places[-1] != len(self):
            problem = f"{text!r} is written twice, first at bar {places[0] + stands_before_bar(name)}"
            guesses = {"segno": "a D.S. goes to the last one before it", "coda": "the last one is the coda"}
            self._doubt(problem, "; one is enough", guesses.get(name, "the first one on the way counts"))
        if len(self) not in places:
            places.append(len(self))

    def unfold(self) -> tuple[list[T], tuple[tuple[int, str], ...]]:
        """Return the bars in the order played, and the sections: index of the first bar in that order, and name."""
        for part in reversed(self._open_parts):
            self._close_open_part(part)
        if not self._bars:
            return [], ()
        for name in ("segno", "coda"):
            if self._signs.get(name, [])[-1:] == [len(self)]:
                self._doubt(f"the {name.capitalize()} has no bars after it", "", "left out", len(self))
                self._signs[name].pop()
        self._settle_signs()
        walker = _FormWalker(len(self), self._parts, self._signs, self._jumps, self._make_error)
        order = walker.order()
        if walker.missed:
            problem, bar = walker.missed
            self._doubt(problem, "", "played to the end", bar)
        sections = tuple((index, self._sections[bar]) for index, bar in enumerate(order) if bar in self._sections)
        return [self._bars[bar] for bar in order], sections

    def _close_open_part(self, part: _Repeat) -> None:
        """Close a part at the end of the form, if its last ending lasts until there; else it is no repeat."""
        if not part.endings:
            advice = ": write ':|' where it ends"
            self._doubt("the repeat '|:' is never closed", advice, "played once", part.first + 1)
        elif part.endings[-1].first == len(self):
            name = ordinal(part.endings[-1].numbers[0])
            self._doubt(f"the {name} ending has no bars", "", "left out", max(1, len(self)))
            part.endings.pop()
            if part.endings:
                self._finish_part(part)
        elif len(part.endings) == 1 and part.endings[0].last is None:
            advice = ": put ':|' at its end"
            self._doubt("the 1st ending is never closed", advice, "played once", part.endings[0].first + 1)
        else:
            self._finish_part(part)

    def _settle_signs(self) -> None:
        """Find out where each jump of the form leads that lacks a sign. A text must have them all."""
        signs = {name: places for name, places in self._signs.items() if places}
        codas = signs.get("coda", [])
        if self._jumps and len(codas) > 1 and "tocoda" not in signs:
            signs["tocoda"], signs["coda"] = codas[:-1], codas[-1:]
        for line, written in self._jumps.items():
            jump = written
            if jump.goal == "coda" and "tocoda" in signs and "coda" not in signs and line < len(self) and self._warn:
                self._doubt(f"{jump.text!r} without a Coda", "", "it begins after this bar", line)
                signs["coda"] = [line]
            goals = {"fine": ["fine"], "coda": ["tocoda", "coda"]}.get(str(jump.goal), [])
            missing = [sign for sign in (["segno"] if jump.to_segno else []) + goals if sign not in signs]
            for sign in missing:
                name = "To Coda" if sign == "tocoda" else sign.capitalize()
                guess = "played from the top" if sign == "segno" else "played to the end"
                self._doubt(f"{jump.text!r} without a {name}", f"; write {name!r} where it stands", guess, line)
            if "segno" in missing:
                jump = replace(jump, to_segno=False)
            if set(missing) & set(goals):
                jump = replace(jump, goal="")
            self._jumps[line] = jump
        if not self._jumps and codas[:1] == [0]:
            self._doubt("there is only a coda", "; write the bars before it", "played as it stands", 1)
            del signs["coda"]
        self._signs = signs

    def _in_last_ending(self) -> bool:
        endings = self._open_part.endings if self._open_part else []
        return len(endings) > 1 and endings[-1].first < len(self)

    def _finish_part(self, part: _Repeat) -> None:
        part.last = len(self) - 1
        self._parts.append(part)
        self._open_parts = [each for each in self._open_parts if each is not part]
        self._next_part_start = len(self)

    def _doubt(self, problem: str, advice: str, guess: str, bar: int | None = None) -> None:
        """Refuse what breaks the rules of a text, with `advice`; in a file, warn of it and say the `guess`."""
        if self._warn is None:
            self._fail(problem + advice, bar)
        self._warn(f"{problem}: {guess}", bar or len(self) + 1)

    def _fail(self, problem: str, bar: int | None = None) -> NoReturn:
        raise self._make_error(problem, bar or len(self) + 1)


class _FormWalker:
    """Goes through a form as musicians play it. A bar is given by its index in the order written.

    `missed` says which jump did not reach its goal, and the bar of the jump.
    """

    def __init__(
        self,
        count: int,
        parts: list[_Repeat],
        signs: dict[str, list[int]],
        jumps: dict[int, _Jump],
        error: ErrorFactory,
    ) -> None:
        self._signs, self._jumps, self._error = signs, jumps, error
        self._pass_numbers = {part.first: 1 for part in parts}
        self._parts_of: dict[int, list[_Repeat]] = {}  # of each bar, the inner one first
        for part in sorted(parts, key=lambda each: each.last - each.first):
            for bar in range(part.first, part.last + 1):
                self._parts_of.setdefault(bar, []).append(part)
        self._active_jump: _Jump | None = None
        self._taken_jumps: set[int] = set()
        # A coda that no jump leads to is not part of a chorus.
        self._end = count if jumps else signs.get("coda", [count])[0]
        self.missed: tuple[str, int] | None = None

    def order(self) -> list[int]:
        """Return the bars in the order played."""
        order: list[int] = []
        bar: int | None = 0
        while bar is not None and bar < self._end:
            other = self._past_ending(bar)
            if other is not None:
                bar = other
                continue
            if len(order) == MAX_BARS:
                raise self._error(_TOO_LONG, bar + 1)
            order.append(bar)
            bar = self._next_bar(bar)
        if self._active_jump and self._active_jump.goal and bar is not None:
            goal = self._active_jump.goal
            place = f"{ordinal(goal)} ending" if isinstance(goal, int) else goal.capitalize()
            self.missed = f"{self._active_jump.text!r} does not reach its {place}", self._active_jump.bar
        return order

    def _past_ending(self, bar: int) -> int | None:
        """Return where it goes on if an ending begins at `bar` that is not played on this pass."""
        goal = self._active_jump.goal if self._active_jump else ""
        for part in self._parts_of.get(bar, []):
            ending = part.ending_at(bar)
            if not ending or ending.first != bar:
                continue
            if isinstance(goal, int) and goal in part.late:
                self._active_jump = None
                return part.late[goal]
            if self._pass_number(part) not in ending.numbers:
                return part.last_bar_of(ending) + 1
        return None

    def _pass_number(self, part: _Repeat) -> int:
        """Return the number of this pass through a part; after a jump, the pass whose ending leads to its goal."""
        if self._active_jump is None or part.after_jump:
            return self._pass_numbers[part.first]
        goal = self._active_jump.goal
        if isinstance(goal, int) and part.has_ending(goal):
            return goal
        lines = self._signs.get({"fine": "fine", "coda": "tocoda"}.get(str(goal), ""), [])
        line = next((line for line in lines if part.first < line <= part.last + 1), None)
        ending = part.ending_at(line - 1) if line is not None else None
        return ending.numbers[-1] if ending else part.pass_count()

    def _next_bar(self, bar: int) -> int | None:
        """Return the bar that is played after `bar`; None after the last one."""
        line, jump, parts = bar + 1, self._active_jump, self._parts_of.get(bar, [])
        leaves = self._is_last_pass(bar, [part for part in parts if part.after_jump])
        match jump and jump.goal if leaves else None:
            case "fine" if line in self._signs["fine"]:
                return None
            case "coda" if line in self._signs["tocoda"]:
                self._active_jump = None
                return next((coda for coda in self._signs["coda"] if coda >= line), self._signs["coda"][-1])
            case int(number):
                for part in parts:
                    ending = part.ending_at(bar)
                    if ending and number in ending.numbers and bar == part.last_bar_of(ending):
                        # If the jump stands after the ending, what lies between them has been played: it ends here.
                        self._active_jump = None
                        return None if jump and jump.bar > line else line
        # A D.C. or D.S. is taken on the last pass through its bar.
        if (
            line in self._jumps
            and line not in self._taken_jumps
            and ((jump and leaves) or self._is_last_pass(bar, parts))
        ):
            return self._take_jump(line)
        # The bar before a `:|` leads back to the start of its part; after a jump only if the part says so.
        for at, part in enumerate(parts):
            ending = part.ending_at(bar)
            closing = part.last_bar_of(ending) if ending else part.last
            is_taken = jump is None or part.after_jump
            if is_taken and bar == closing and self._pass_numbers[part.first] < part.pass_count():
                self._pass_numbers[part.first] += 1
                inner = [each.first for row in range(part.first, part.last + 1) for each in self._parts_of[row]]
                outer = [each.first for each in parts[at:]]
                self._pass_numbers |= dict.fromkeys(set(inner) - set(outer), 1)
                return part.first
        return line

    def _is_last_pass(self, bar: int, parts: list[_Repeat]) -> bool:
        """Whether no later pass through these parts comes to `bar` again."""
        return all(
            self._pass_numbers[part.first] >= (ending.numbers[-1] if ending else part.pass_count())
            for part in parts
            for ending in [part.ending_at(bar)]
        )

    def _take_jump(self, line: int) -> int:
        """Return where the D.C. or D.S. at `line` leads."""
        jump = self._jumps[line]
        self._taken_jumps.add(line)
        if jump.goal == "":  # the goal is the Fine if there is one, else the coda, else the end
            coda = "coda" if {"tocoda", "coda"} <= self._signs.keys() else ""
            jump = replace(jump, goal="fine" if "fine" in self._signs else coda)
        self._active_jump = jump
        self._pass_numbers = dict.fromkeys(self._pass_numbers, 1)
        segnos = self._signs["segno"] if jump.to_segno else [0]
        goal = max((place for place in segnos if place < line), default=segnos[0])
        for part in self._parts_of.get(goal, []):
            if part.after_jump and (ending := part.ending_at(goal)):
                self._pass_numbers[part.first] = ending.numbers[0]
        return goal
