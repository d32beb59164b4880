# SPDX-License-Identifier: Apache-2.0
"""The daemon's side of learning: passes on what is played and heard, and brings the learned weights into play.

Everything here happens in the main thread, a piece at a time, and none of it in the milliseconds before a note. The
player's thread only appends each value to a deque, and exchanges one network for another when it is given the command.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from sideman.config.confinement import start_beside
from sideman.core.events import AdoptNetwork
from sideman.core.parts.improviser import Improviser
from sideman.learning.process import ENVIRONMENT, Answer, LearningJob
from sideman.playing.assembly import Performance
from sideman.playing.state import client_path, set_aside
from sideman_models.errors import BundleError
from sideman_models.files import read_plain_file
from sideman_models.limits import WEIGHTS
from sideman_models.music.line import LineValue
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.network.learned import LearnedWeights, read_learned
from sideman_models.network.lstm import NumpyNetwork
from sideman_models.text import count_noun
from sideman_models.training.fine_tuning import HeardValue, Outcome
from sideman_models.writing import make_folder, write_whole

MAX_RESTARTS = 3
"""How often the process is started again in a run."""
_PROGRAM = "from sideman.learning.process import main; main()"
_PIECE_BYTES = 1 << 16
_MAX_PIECES = 8  # taken in at a time
_MAX_LINE_BYTES = 1 << 12
_MAX_UNSENT_BYTES = 1 << 22
_MAX_REMEMBERED = 4096  # values that a process which is started again is given
_WHAT_CAME = Path("what was learned")

_log = logging.getLogger(__name__)


def find_learned(performance: Performance, bundle: Bundle, path: Path) -> LearnedWeights | None:
    """Return what was learned before, from the file at `path`; None with a seed, or without a file that fits.

    A file that does not fit is set aside.
    """
    if performance.settings.play.seed is not None:
        return None
    try:
        learned = read_learned(read_plain_file(path, WEIGHTS.bytes), bundle, path)
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("%s: cannot be read: %s; sideman starts with the network as it was trained", path, error.strerror)
        return None
    except BundleError as error:
        set_aside(path, str(error).removeprefix(f"{path}: "))
        return None
    _log.info("%s: going on with what was learned from you", path)
    return learned


class Learner:
    """Learns from what is played and heard with the bundle of `performance`, and goes on from what was learned before.

    Its `performance` is the one to play.
    """

    def __init__(self, performance: Performance, client: str) -> None:
        self._path = client_path("learned", client, ".npz")
        self._bundle = load_bundle(str(performance.bundle.path))
        self._learned = find_learned(performance, self._bundle, self._path)
        self.performance = performance
        if self._learned is not None:
            network = NumpyNetwork(self._learned.weights)
            self.performance = msgspec.structs.replace(performance, network=network, learned=self._learned.fingerprint)
        self._selector = selectors.DefaultSelector()
        self._written: deque[LineValue] = deque()
        self._remembered: deque[HeardValue] = deque(maxlen=_MAX_REMEMBERED)
        self._restarts_left = MAX_RESTARTS
        self._disk_fails = False
        self._heard_bars = 0  # of the last round
        self._accepted: Outcome | None = None  # the last one that plays
        self._process: _Process | None = None
        self._start()

    @property
    def status_text(self) -> str:
        """What has been learned so far, in a musician's words."""
        if self._accepted is not None:
            text = _surprise_words(self._accepted)
        elif self._heard_bars:
            text = f"nothing better yet, after {count_noun(self._heard_bars, 'bar')} of yours"
        else:
            text = "waits for some bars of yours"
        if self._learned is not None and self._accepted is None:
            text = f"plays with what it learned before; {text}"
        return text if self._process is not None else f"{text}; nothing more is learned until the next start"

    def fileno(self) -> int:
        """For the selector of the main thread: readable when there is something to `serve`."""
        return self._selector.fileno()

    def attach(
        self,
        improviser: Improviser,
        yield_to_player: Callable[[], None],
        put: Callable[[AdoptNetwork], None],
        files: dict[str, bytes],
    ) -> None:
        """Listen to `improviser`; what is learned goes to it by the command `put`, after its file went to `files`.

        `yield_to_player` is called before all that takes a while: a note that is due goes first.
        """
        improviser.on_written = self._written.append
        self._improviser, self._yield_to_player, self._put, self._files = improviser, yield_to_player, put, files
        if self._learned is not None:
            files[self._learned.fingerprint] = self._learned.content

    def serve(self) -> None:
        """Pass on what was played and heard, and take in what was learned: a bounded piece of it."""
        if (process := self._process) is None:
            self._written.clear()
            return
        values = [HeardValue.of(self._written.popleft()) for _ in range(len(self._written))]
        if values:
            self._remembered.extend(values)
            process.send(msgspec.json.encode(values) + b"\n")
        for _ in range(_MAX_PIECES):
            if process.error or not (ready := self._selector.select(0)):
                break
            self._yield_to_player()
            process.exchange(ready[0][1])
            while (answer := process.take_answer()) is not None:
                self._take(*answer)
        if process.error:
            self._start_again(process.error)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.end()
            self._process = None
        self._selector.close()

    # -- the process

    def _start(self) -> None:
        content = b"" if self._learned is None else self._learned.content
        job = LearningJob(str(self._bundle.path), len(content)).encode() + content
        heard = msgspec.json.encode([*self._remembered]) + b"\n" if self._remembered else b""
        try:
            self._process = _Process(job + heard, self._selector)
        except OSError as error:
            _log.warning("no process that learns can be started: %s; what is there plays on", error.strerror or error)

    def _start_again(self, reason: str) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
        if not self._restarts_left:
            _log.warning("the process that learns %s again; nothing more is learned until the next start", reason)
            return
        self._restarts_left -= 1
        _log.warning("the process that learns %s; it starts again, and nothing of the music is lost", reason)
        self._yield_to_player()
        self._start()

    # -- what was learned

    def _take(self, outcome: Outcome, content: bytes) -> None:
        self._heard_bars = outcome.bars
        if not content:
            _log.debug("learning: nothing better yet: %s", outcome)
            return
        self._yield_to_player()
        try:
            learned = read_learned(content, self._bundle, _WHAT_CAME)
        except BundleError as error:
            if self._process is not None:
                self._process.error = f"has sent what cannot play ({error})"
            return
        self._yield_to_player()
        network = NumpyNetwork(learned.weights)
        self._learned, self._accepted = learned, outcome
        self._improviser.prepared[learned.fingerprint] = network
        self._files[learned.fingerprint] = content
        self._put(AdoptNetwork(learned.fingerprint))
        _log.info("%s", outcome_words(outcome))
        self._yield_to_player()
        self._save(learned)

    def _save(self, learned: LearnedWeights) -> None:
        """Write it for the next start, unless that begins with a seed, as this one did."""
        if self.performance.settings.play.seed is not None:
            return
        try:
            make_folder(self._path.parent)
            write_whole(self._path, learned.content, sync=False)
        except OSError as error:
            if not self._disk_fails:
                _log.warning("%s: what was learned cannot be saved: %s", self._path, error.strerror or error)
            self._disk_fails = True
        else:
            self._disk_fails = False


def outcome_words(outcome: Outcome) -> str:
    """Return what was learned, in a musician's words, with its figures."""
    return (
        f"learned {_surprise_words(outcome)} ({outcome.bits:.2f} bits a value instead of {outcome.bits_at_first:.2f}, "
        f"on {outcome.kept_bars} other bars of yours)"
    )


def _surprise_words(outcome: Outcome) -> str:
    less = 100 * (1 - outcome.bits / outcome.bits_at_first)
    return f"from {outcome.bars} bars: what you play surprises it {less:.1f} % less than at first"


class _Process:
    """A process that learns; `error` says why nothing more will come from it."""

    def __init__(self, first: bytes, selector: selectors.BaseSelector) -> None:
        self.error = ""
        self._answer: Answer | None = None  # whose content has not come yet
        self._selector = selector
        self._unsent = bytearray(first)
        self._received = bytearray()
        self._process, self._socket = start_beside(_PROGRAM, ENVIRONMENT)
        selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Let a line be sent; if it has not taken in what was sent before, it does without."""
        if len(self._unsent) + len(line) > _MAX_UNSENT_BYTES:
            return
        if not self._unsent:
            self._selector.modify(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
        self._unsent += line

    def exchange(self, events: int) -> None:
        """Send and take in what can be sent and taken in now, a bounded piece of it."""
        try:
            if events & selectors.EVENT_WRITE:
                del self._unsent[: self._socket.send(self._unsent[:_PIECE_BYTES])]
                if not self._unsent:
                    self._selector.modify(self._socket, selectors.EVENT_READ)
            if events & selectors.EVENT_READ:
                data = self._socket.recv(_PIECE_BYTES)
                self._received += data
                if not data:
                    self.error = self.error or f"has ended{self._how()}"
        except BlockingIOError:
            pass
        except OSError:
            self.error = f"has ended{self._how()}"

    def take_answer(self) -> tuple[Outcome, bytes] | None:
        """Return the next answer that has come whole, and the file of the weights, empty if there is none."""
        if self._answer is None:
            line, end, _ = self._received[:_MAX_LINE_BYTES].partition(b"\n")
            if end:
                with contextlib.suppress(ValueError):
                    self._answer = msgspec.json.decode(line, type=Answer)
            if self._answer is None:
                if end or len(line) == _MAX_LINE_BYTES:
                    self.error = "has sent what cannot be read"
                return None
            del self._received[: len(line) + 1]
        if len(self._received) < self._answer.size:
            return None
        outcome, size, self._answer = self._answer.outcome, self._answer.size, None
        content = bytes(self._received[:size])
        del self._received[:size]
        return outcome, content

    def _how(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(0.01)
            return f" (signal {-status})" if status < 0 else f" (status {status})"
        return ""

    def end(self) -> None:
        """End it. It opens nothing and writes nothing, so it can be killed at any moment."""
        self._selector.unregister(self._socket)
        self._socket.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
