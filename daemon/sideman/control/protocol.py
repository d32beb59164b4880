# SPDX-License-Identifier: Apache-2.0
"""The lines of the control socket: JSON objects, one a line. What comes may have been written by anybody."""

from __future__ import annotations

import json
import json.scanner
import math
from collections.abc import Callable, Mapping
from typing import Any

PROTOCOL_VERSION = 1
SHORT_LINE_BYTES = 1024
"""Bytes of a line that is read in no time."""

_MAX_ID_LENGTH = 200
_MAX_VALUES = 500


def encode_line(message: Mapping[str, object]) -> bytes:
    """`message` as a line."""
    return json.dumps({"v": PROTOCOL_VERSION, **message}, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def encode_refusal(number: object, reason: str) -> bytes:
    """The line that says why the request of that number cannot be."""
    return encode_line({"id": number, "ok": False, "error": reason})


def decode_request(line: bytes) -> Mapping[str, object]:
    """The request in a line. ValueError says what is wrong."""
    try:
        text = line.decode()
        request = (_decoder if len(text) <= SHORT_LINE_BYTES else _interruptible_decoder).decode(text)
    except UnicodeDecodeError:
        raise ValueError("no text (UTF-8)") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(request, dict):
        raise ValueError('want an object such as {"v":1,"id":1,"do":"status"}')  # noqa: TRY004 - a wrong line
    _check_id(request.get("id"))
    return request


def _check_id(number: object) -> None:
    """It goes back as it came, so it has to be something small."""
    small = isinstance(number, str | int | float | None) and len(str(number)) <= _MAX_ID_LENGTH
    if not small:
        raise ValueError(f"id: want a number or a text of up to {_MAX_ID_LENGTH} characters")


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]}: too large a number")
    return number


def _reject_constant(text: str) -> object:
    raise ValueError(f"{text}: no JSON")


def _bounded_integer(text: str) -> int:
    if len(text) > _MAX_ID_LENGTH:
        raise ValueError(f"{text[:20]}…: too large a number")
    return int(text)


class _InterruptibleDecoder(json.JSONDecoder):
    """Decodes step by step in Python: the scanner in C would hold the interpreter for the whole of a long line.

    So would letting go of many values at once; a request has few.
    """

    def __init__(self, **hooks: Any) -> None:  # noqa: ANN401 - as JSONDecoder has them
        super().__init__(**hooks)
        self._values_left = 0
        array, thing = self.parse_array, self.parse_object  # type: ignore[has-type]
        self.parse_array = lambda at, scan: array(at, self._count_values(scan))
        self.parse_object = lambda at, strict, scan, *rest: thing(at, strict, self._count_values(scan), *rest)
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]

    def decode(self, s: str, *how: Any) -> Any:  # noqa: ANN401 - as JSONDecoder has it
        self._values_left = _MAX_VALUES
        return super().decode(s, *how)

    def _count_values(self, scan: Callable[[str, int], Any]) -> Callable[[str, int], Any]:
        def scan_and_count(text: str, at: int) -> Any:  # noqa: ANN401 - any value
            self._values_left -= 1
            if self._values_left < 0:
                raise ValueError(f"more than {_MAX_VALUES} values in one request")
            return scan(text, at)

        return scan_and_count


_HOOKS: dict[str, Any] = {
    "parse_float": _finite_number,
    "parse_int": _bounded_integer,
    "parse_constant": _reject_constant,
}
_decoder, _interruptible_decoder = json.JSONDecoder(**_HOOKS), _InterruptibleDecoder(**_HOOKS)
