# SPDX-License-Identifier: Apache-2.0
"""`sideman calibrate`: the measurement on a loop, and the change of the configuration file."""

from __future__ import annotations

import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman import cli
from sideman.commands.calibrate import KEY, NOTES, LoopMeasurement, LoopTest
from sideman.config.resources import bundled_path
from sideman.config.yaml import edit_yaml, parse_yaml, set_keys
from sideman.core.errors import ConfigError, Unavailable
from sideman.core.events import NoteOn
from sideman.midi.decoder import MidiDecoder
from sideman.playing.overload import Arrival
from support.fakes import FakeClock, hanging_notes


class Cable:
    """An output that comes back to us: each note after `delay()` seconds, or never for None."""

    def __init__(self, clock: FakeClock, delay: Callable[[], float | None]) -> None:
        self.sent: list[tuple[int, ...]] = []
        self._clock, self._delay = clock, delay
        self._decoder = MidiDecoder()

    def send(self, message: tuple[int, ...]) -> None:
        """Deliver the message after the delay."""
        self.sent.append(message)
        for event in self._decoder.feed(message):
            delay = self._delay() if isinstance(event, NoteOn) else 0.0
            if delay is not None:
                self._clock.arrivals.append(Arrival(self._clock.second + delay, event))
        self._clock.arrivals.sort(key=lambda arrival: arrival.second)


def measured(delay: Callable[[], float | None], *others: Arrival) -> tuple[LoopMeasurement, Cable]:
    """The measurement on a loop with this delay."""
    clock = FakeClock(list(others))
    cable = Cable(clock, delay)
    random.seed(1)
    return LoopTest(cable, clock, 3).measure(NOTES), cable


@given(st.floats(0.0001, 0.35))
def test_half_of_the_loop_is_compensated(delay: float) -> None:
    """Guards against: all notes too early or too late after a calibration."""
    found, cable = measured(lambda: delay)
    assert (found.back, found.median_ms, found.p95_ms) == pytest.approx((NOTES, 1e3 * delay, 1e3 * delay))
    assert found.offset_ms == -round(500 * delay)
    assert not hanging_notes(message for message in cable.sent)


def test_late_and_lost_notes_do_not_change_the_median() -> None:
    """Guards against: one late note of a busy machine shifts all notes."""
    delays = [0.006] * 20 + [0.1, None, 0.2, 0.006, 0.006]
    found, cable = measured(delays.pop)
    assert (found.notes, found.back) == (25, 24)
    assert found.median_ms == pytest.approx(6.0)
    assert found.p95_ms == pytest.approx(100.0)
    assert found.offset_ms == -3
    assert not hanging_notes(message for message in cable.sent)


def test_too_few_notes_are_an_error() -> None:
    """Guards against: a result that other music on the loop has made."""
    delays = [None] * 13 + [0.006] * 12
    with pytest.raises(Unavailable, match="only 12 of 25 notes came back"):
        measured(delays.pop)


def test_notes_that_somebody_plays_are_not_measured() -> None:
    """Guards against: notes that somebody plays meanwhile are measured as the cable's."""
    others = [Arrival(n / 100, NoteOn(60, 12 if n % 2 else 90, 1)) for n in range(0, 400, 2)]
    found, _ = measured(lambda: 0.02, *others)
    assert (found.back, found.median_ms, found.p95_ms) == pytest.approx((NOTES, 20.0, 20.0))


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--notes", "0"], 2, "--notes 0: from 1 to 1000"),
        (["--input", "none"], 69, "midi.input: none: a loop needs an output and an input"),
        (["--output", "none"], 69, "midi.output: none: a loop needs an output and an input"),
        (["--output", "no such port"], 69, "midi.output"),
    ],
)
def test_a_failed_measurement_is_an_error(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: endless waiting, or a meaningless result, without a cable."""
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "there-is-none-of-this-name")
    assert cli.main(["calibrate", *arguments]) == status
    assert words in capsys.readouterr().err


LAID_OUT = {
    "": "play.offset_ms: -7\n",
    "# mine\n": "# mine\nplay.offset_ms: -7\n",
    "play:\n": "play:\n  offset_ms: -7\n",
    "play:   # how\n    # dense\n    density: 2\n": "play:   # how\n    offset_ms: -7\n    # dense\n    density: 2\n",
    "play:\n  offset_ms: 12   # by ear\n  gate: 1\n": "play:\n  offset_ms: -7   # by ear\n  gate: 1\n",
    "play:\n  offset_ms:\n": "play:\n  offset_ms: -7\n",
    "play.offset_ms: 3\r\ntempo: {bpm: 90}\r\n": "play.offset_ms: -7\r\ntempo: {bpm: 90}\r\n",
    "play: {density: 2}": "play: {density: 2}\nplay.offset_ms: -7\n",
    "play: {density: 2, offset_ms: 4}\n": "play: {density: 2, offset_ms: -7}\n",
    'play:\n  "offset_ms": 4\n': 'play:\n  "offset_ms": -7\n',
    "tempo: {bpm: 90}\n...\n": None,
    "{tempo: {bpm: 90}}\n": None,
    "\r\n\n    play.offset_ms: 3\n": "\r\n\n    play.offset_ms: -7\n",
    "# by ear\rplay.offset_ms: 3\n": "# by ear\rplay.offset_ms: -7\n",
    "# by ear\u2028\nplay.offset_ms: 3\r\n": "# by ear\u2028\nplay.offset_ms: -7\r\n",
}


@pytest.mark.parametrize("before", LAID_OUT)
def test_one_key_is_changed_and_nothing_else(before: str) -> None:
    """Guards against: a user's comments or other settings are lost."""
    after = LAID_OUT[before]
    if after is None:
        with pytest.raises(ConfigError, match=r"play\.offset_ms: -7"):
            edit_yaml(before.encode(), {KEY: -7}, "test")
    else:
        assert edit_yaml(before.encode(), {KEY: -7}, "test").decode() == after


lines = st.sampled_from([
    "play:", "play: {}", "tempo:", "tempo: {bpm: 90}", "  density: 2", "  offset_ms: 5", "  bpm: 100", "# play:", "",
    "  # offset_ms: 3", "play.offset_ms: 8", "play.gate: 1 # short", "chart.changes: |", "  | C7 |",
    "  offset_ms: | F |", "...", "---", "\t", "chart: {changes: '", "  play:'}", "midi: {", "}", "  gate: 1",
])  # fmt: skip


@settings(max_examples=150)
@given(st.lists(lines, max_size=8), st.integers(-200, 200))
def test_any_file_keeps_its_content_and_has_the_new_value(written: list[str], value: int) -> None:
    """Guards against: a configuration file with an unusual layout is damaged."""
    before = "\n".join(written).encode()
    try:
        after = edit_yaml(before, {KEY: value}, "test")
    except ConfigError:
        return
    read, fresh = parse_yaml(before, "test"), parse_yaml(after, "test")
    assert not fresh.problems
    assert fresh.values[KEY].value == value

    def others(values: dict[str, Any]) -> dict[str, object]:
        return {name: given.value for name, given in values.items() if name not in (KEY, "play")}

    assert others(fresh.values) == others(read.values)
    old = str(read.values[KEY].value) if KEY in read.values else ""  # which may go on in further lines
    kept = [line for line in written if "offset_ms" not in line and line and not (line.strip() and line.strip() in old)]
    assert [line for line in after.decode().split("\n") if "offset_ms" not in line and line] == kept


def test_the_default_file_can_be_changed(tmp_path: Path) -> None:
    """Guards against: --write fails on a copy of the commented default file."""
    path = tmp_path / "config.yaml"
    whole = bundled_path("config", "default.yaml").read_text()
    path.write_text(whole)
    path.chmod(0o640)
    set_keys(path, {KEY: -5})
    assert path.read_text() == whole.replace("  offset_ms: 0\n", "  offset_ms: -5\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    fresh = tmp_path / "new" / "config.yaml"
    set_keys(fresh, {KEY: -5})
    assert fresh.read_text() == "play.offset_ms: -5\n"


def test_a_broken_file_is_not_changed(tmp_path: Path) -> None:
    """Guards against: a broken configuration file is changed."""
    path = tmp_path / "config.yaml"
    path.write_text("play: [\n")
    with pytest.raises(ConfigError, match=r"config.yaml:\d"):
        set_keys(path, {KEY: -5})
    assert path.read_text() == "play: [\n"
