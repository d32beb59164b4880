# SPDX-License-Identifier: Apache-2.0
"""The parser of a command line: one line for each error, the right option for a wrong one, lists made only for help."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from sideman.core.errors import UsageError
from sideman_models.text import closest

_MEANT = {
    "tempo": "bpm", "speed": "bpm", "tune": "chart", "song": "chart", "file": "chart", "changes": "chart",
    "chords": "chart", "style": "preset", "sound": "instrument", "program": "instrument", "voice": "instrument",
    "transpose": "key", "random": "seed", "output": "out", "o": "out", "length": "bars", "n": "takes",
    "font": "sound-font", "soundfont": "sound-font", "image": "picture", "png": "picture", "audio": "wav",
    "pulse": "rate", "subdivision": "rate", "trade": "mode", "audible": "sound", "play": "sound",
}  # fmt: skip
"""Options that people type, and the option that they may mean."""


_WRONG_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from ([^)]*)\)")


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line, like all other errors. `more_help` makes what its help ends with."""

    more_help: Callable[[], str] | None = None

    def format_help(self) -> str:
        """Return the help."""
        return super().format_help() + (f"\n{self.more_help()}\n" if self.more_help is not None else "")

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError."""
        if wrong := _WRONG_CHOICE.search(message):
            choices = re.findall(r"[\w-]+", wrong[2])
            near = closest(wrong[1], choices)
            message = f"{wrong[1]}: choose from {', '.join(choices)}" + (f"; did you mean {near}?" if near else "")
        raise UsageError(f"{message} (see {self.prog} --help)")

    def parse_all(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse a command line. Raises UsageError; for an option that does not exist it names the right one."""
        try:
            args, unknown = self.parse_known_args(words)
        except UsageError as error:  # something is missing, perhaps because another name was given to it
            options = [word for word in words if word.startswith("-") and word not in self._option_string_actions]
            hint = next(filter(None, (self.right_option(word) for word in options)), "")
            raise UsageError(f"{error}; {hint}" if hint else str(error)) from None
        if unknown:
            parser = self._subparser_of(args)
            value = next((word for word in unknown[1:2] if not word.startswith("-")), "")
            hint = parser.right_option(unknown[0], value) or f"see {parser.prog} --help"
            raise UsageError(f"unrecognized arguments: {' '.join(unknown)} ({hint})")
        return args

    def _subparser_of(self, args: argparse.Namespace) -> Parser:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no public name for it
                chosen = action.choices.get(getattr(args, action.dest, None) or "")
                if isinstance(chosen, Parser):
                    return chosen
        return self

    def right_option(self, word: str, following: str = "") -> str:
        """Return a hint at the option that is probably meant by `word`, empty if there is none.

        Its value stands in it, or is `following`.
        """
        name, _, value = word.lstrip("-").partition("=")
        value = value or following
        options = {option.lstrip("-"): option for option in self._option_string_actions}
        given = f" {value}" if value else ""
        known = _MEANT.get(name) if _MEANT.get(name) in options else None
        if not word.startswith("-") or not name:
            return ""
        if near := known or closest(name, options, 0.7):
            return f"did you mean {options[near]}{given}?"
        if "set" in options:
            from sideman.core.settings.schema import closest_key  # loaded only after a mistake

            if key := closest_key(name.replace("-", "_")):
                return f"did you mean --set {key}={value or 'VALUE'}?"
        return ""
