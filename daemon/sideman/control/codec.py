# SPDX-License-Identifier: Apache-2.0
"""Turns lines of the control socket into structs of the protocol, and structs into lines.

Anybody may have written a line that comes in. msgspec decodes it in one go and holds the interpreter meanwhile, so a
note that becomes due has to wait for it. That is short enough: of all kinds of lines of the largest size (64 KiB) that
were tried, the slowest took 0.17 ms. Only a list or group of tens of thousands of values takes longer (1.6 ms). So
`ReceivedRequest` counts the values first, and refuses a request that has more than `MAX_VALUES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from sideman.control import events, protocol, requests
from sideman.core.errors import UsageError
from sideman_models.limits import REQUEST
from sideman_models.text import printable, printable_lines

Message = requests.Answer | requests.Refusal | events.Event | events.Event2
"""What the daemon sends."""
MAX_VALUES = REQUEST.count  # in one request, those in lists and groups included
_DECODING_ERRORS = (msgspec.DecodeError, ValueError, RecursionError)  # a DecodeError is no ValueError in old versions
_MAX_ID_BYTES = 6 * protocol.MAX_ID_LENGTH + 2  # a character may take six bytes (\u00e9), and a text has two quotes


def make_request(name: str, fields: Mapping[str, object]) -> requests.Request:
    """Return the request of that name with these fields. Raises UsageError with the reason if it is wrong."""
    kind = _request_kind(name)
    try:
        return msgspec.convert({**fields, "do": name}, kind)
    except _DECODING_ERRORS as error:
        raise _wrong_fields(kind, error) from None


class ReceivedRequest:
    """A request as a line of the socket. Its `id` and `version` are read at once, the rest by `read`.

    There are two steps so that a request with wrong fields can be refused under its `id`. Raises ValueError with the
    reason if the line is not a request at all.
    """

    id: protocol.RequestId

    def __init__(self, line: bytes) -> None:
        self._line = line
        try:
            self._outline = _OUTLINE_DECODER.decode(line)
        except _DECODING_ERRORS as error:
            raise _value_error(error) from None
        self.version = next((each for each in protocol.VERSIONS if bytes(self._outline.v) == b"%d" % each), None)
        try:
            self.id = _ID_DECODER.decode(bytes(self._outline.id)[: _MAX_ID_BYTES + 1])
        except _DECODING_ERRORS:
            raise ValueError(f"id: expected a number or a text of up to {protocol.MAX_ID_LENGTH} characters") from None

    def read(self) -> requests.Request:
        """Return the request. Raises UsageError with the reason if it is wrong."""
        if self.version is None:
            raise UsageError(f"v: this sideman speaks versions {' and '.join(map(str, protocol.VERSIONS))}")
        try:
            name = _NAME_DECODER.decode(bytes(self._outline.do)[: _MAX_ID_BYTES + 1])
        except _DECODING_ERRORS:
            name = ""
        kind, value = _request_kind(name), bytes(self._outline.value)
        values = _count_values(self._line) - (_count_values(value) if value.startswith(b'"') else 0)
        if values > MAX_VALUES:
            raise UsageError(f"{name}: more than {MAX_VALUES} values in one request")
        try:
            return _REQUEST_DECODERS[kind].decode(self._line)
        except _DECODING_ERRORS as error:
            raise _wrong_fields(kind, error) from None


class _Outline(Struct):
    """The parts of a request that are read first, each still as it is written."""

    v: Raw = Raw(str(protocol.PROTOCOL_VERSION))
    id: Raw = Raw("null")
    do: Raw = Raw("null")
    value: Raw = Raw("null")


_OUTLINE_DECODER = msgspec.json.Decoder(_Outline)
_ID_DECODER: msgspec.json.Decoder[protocol.RequestId] = msgspec.json.Decoder(protocol.RequestId)
_NAME_DECODER = msgspec.json.Decoder(str)
_REQUEST_DECODERS = {kind: msgspec.json.Decoder(kind) for kind in requests.REQUESTS.values()}


def _request_kind(name: str) -> type[requests.Request]:
    if name not in requests.REQUESTS:
        raise UsageError(f"do: {printable(name)[:60]!r}: no such request; there are {', '.join(requests.REQUESTS)}")
    return requests.REQUESTS[name]


def _wrong_fields(kind: type[requests.Request], error: Exception) -> UsageError:
    name, fields = kind.__struct_config__.tag, ", ".join(requests.request_fields(kind)) or "nothing"
    return UsageError(f"{name}: {printable(error)[:200]}; {name} takes {fields}")


def _value_error(error: Exception) -> ValueError:
    return ValueError("nested too deeply" if isinstance(error, RecursionError) else str(error)[:200])


def _count_values(written: bytes) -> int:
    """Return an upper limit of the number of values in this JSON: the characters that begin or separate them."""
    return len(written) - len(written.translate(None, b",[{"))


def encode_line(message: Message, version: int = protocol.PROTOCOL_VERSION, second: float | None = None) -> bytes:
    """Return a message of the daemon as a line of this version; an event of version 2 has a `second`."""
    when = b"" if second is None else b'"second":%.6f,' % second
    return b'{"v":%d,%b%b' % (version, when, encode_json(message)[1:] + b"\n")


def encode_json(value: object) -> bytes:
    r"""Return `value` as JSON that a terminal can show: what is not printable is escaped, such as `\u202e`.

    The bytes of a file name that are not UTF-8 are written as a text like `\udcff`.
    """
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        encoded = re.sub("[\ud800-\udfff]", lambda found: rf"\\u{ord(found[0]):x}", text).encode()
    return encoded if encoded.isascii() and b"\x7f" not in encoded else printable_lines(encoded.decode()).encode()


def decode_message(line: str | bytes) -> Message:
    """Return the message in a line of the daemon. Raises ValueError if it is not one, or of an unknown kind."""
    try:
        head = _HEAD_DECODER.decode(line)
        if head.event is not None:
            return _EVENT_DECODER.decode(line) if head.v == protocol.PROTOCOL_VERSION else _EVENT_2_DECODER.decode(line)
        return _ANSWER_DECODER.decode(line) if head.ok else _REFUSAL_DECODER.decode(line)
    except _DECODING_ERRORS as error:
        raise _value_error(error) from None


class _Head(Struct):
    """What tells the kinds of messages apart, and the versions of events."""

    v: int = protocol.PROTOCOL_VERSION
    event: str | None = None
    ok: bool = False


_HEAD_DECODER = msgspec.json.Decoder(_Head)
_EVENT_DECODER: msgspec.json.Decoder[events.Event] = msgspec.json.Decoder(events.Event)
_EVENT_2_DECODER: msgspec.json.Decoder[events.Event2] = msgspec.json.Decoder(events.Event2)
_ANSWER_DECODER, _REFUSAL_DECODER = msgspec.json.Decoder(requests.Answer), msgspec.json.Decoder(requests.Refusal)
