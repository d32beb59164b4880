# SPDX-License-Identifier: Apache-2.0
"""One client's connection to the control socket: bytes in and out, never waiting, never more than a bounded amount."""

from __future__ import annotations

import logging
import selectors
import socket

from sideman.control.codec import encode_line
from sideman.control.protocol import Message, Refusal

MAX_LINE_BYTES = 1 << 16
"""Bytes of a line. The longest requests are those that contain a chart."""
MAX_UNSENT_BYTES = 1 << 18
"""Bytes that may wait for a client to read them."""

_log = logging.getLogger(__name__)


class Connection:
    """The connection of one client: the requests that it has sent, and the messages that it has not read yet."""

    def __init__(self, connection: socket.socket, requests_left: int) -> None:
        self.socket = connection
        self.is_watching = False
        self.mistakes = 0
        """Lines in a row that were not requests."""
        self.requests_left = requests_left
        """Requests that may be answered in this round; negative after a long one, which counts for later rounds."""
        self.registered_events = 0
        """What the server's selector waits for."""
        self._received = bytearray()
        self._unsent = bytearray()
        self._has_ended = False  # the client sends no more, but may still read
        self._is_gone = False

    @property
    def has_request(self) -> bool:
        """Whether a whole line has come. The last line of a client may lack its line end."""
        return not self._is_gone and (b"\n" in self._received or (self._has_ended and bool(self._received)))

    @property
    def wanted_events(self) -> int:
        """What the selector has to wait for. While a request waits for its answer, nothing more is read."""
        read = 0 if self._has_ended or self.has_request else selectors.EVENT_READ
        return read | (selectors.EVENT_WRITE if self._unsent else 0)

    @property
    def is_finished(self) -> bool:
        """Whether the connection can be closed: nothing more will come and nothing is left to send."""
        return self._is_gone or (self._has_ended and not (self.has_request or self._unsent or self.is_watching))

    def read(self) -> None:
        """Take in what has come, up to the size of one line."""
        try:
            data = self.socket.recv(MAX_LINE_BYTES + 1 - len(self._received))
        except BlockingIOError:
            return
        except OSError:
            self._is_gone = True
            return
        self._has_ended = not data
        self._received += data
        if len(self._received) > MAX_LINE_BYTES and b"\n" not in self._received:
            self.reject(f"a line of more than {MAX_LINE_BYTES} bytes; good-bye")

    def next_line(self) -> bytes:
        """Take the next line."""
        end = self._received.find(b"\n")
        length = len(self._received) if end < 0 else end + 1
        line = bytes(self._received[:length])
        del self._received[:length]
        return line

    def send(self, *messages: Message) -> None:
        """Send messages as soon as the client reads them. A client that leaves too much unread is dropped."""
        self.send_lines(b"".join(map(encode_line, messages)))

    def send_lines(self, lines: bytes) -> None:
        """Send lines that are encoded already."""
        self._unsent += lines
        self.flush()
        if len(self._unsent) > MAX_UNSENT_BYTES:
            _log.info("control.socket: a client that does not read was disconnected")
            self._is_gone = True

    def reject(self, reason: str) -> None:
        """Send the reason, as far as it can be sent at once, and end the connection."""
        self.send(Refusal(None, False, reason))
        self._is_gone = True

    def flush(self) -> None:
        """Send what can be sent now."""
        try:
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._is_gone = True
