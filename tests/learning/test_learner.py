# SPDX-License-Identifier: Apache-2.0
"""The daemon's side of learning, with real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from sideman.core.errors import ConfigError
from sideman.core.events import AdoptNetwork
from sideman.core.settings.resolve import WrittenValue, resolve_settings
from sideman.learning import learner as learning
from sideman.learning.learner import MAX_RESTARTS, Learner, outcome_words
from sideman.playing.assembly import Performance
from sideman_models.network.bundle import load_bundle
from sideman_models.network.learned import encode_learned
from sideman_models.network.lstm import TRAINED
from sideman_models.training.fine_tuning import HeardValue, Outcome
from support.fakes import performance
from support.lines import lick, line_of
from support.processes import TIMEOUT_S, write_bundle

pytestmark = pytest.mark.subprocess


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


@pytest.fixture
def made(tmp_path: Path) -> Performance:
    """A performance of a bundle on disk, without a seed."""
    bundle = load_bundle(str(write_bundle(tmp_path)))
    given = performance(bundle, model__learn=True)
    return replace(given, settings=replace(given.settings, play=replace(given.settings.play, seed=None)))


class Stage:
    """A learner with what it is attached to."""

    def __init__(self, made: Performance) -> None:
        self.learner = Learner(made, "test")
        self.commands: list[AdoptNetwork] = []
        self.files: dict[str, bytes] = {}
        self.yields = 0
        self.improviser = self.learner.performance.make_engine(0.0).improviser
        self.learner.attach(self.improviser, self._yield, self.commands.append, self.files)

    def _yield(self) -> None:
        self.yields += 1

    @property
    def pid(self) -> int:
        """The process that learns."""
        assert self.learner._process is not None
        return self.learner._process.pid

    def play(self, bars: int) -> None:
        """The player plays one figure over and over."""
        assert self.improviser.on_written is not None
        for value in line_of(lick(bars)):
            self.improviser.on_written(value)

    def serve_until(self, happened: Callable[[], object]) -> None:
        """Serve as the main thread does, until something has happened."""
        ends = time.monotonic() + TIMEOUT_S
        while not happened():
            assert time.monotonic() < ends
            self.learner.serve()
            time.sleep(0.002)


@contextlib.contextmanager
def stage(made: Performance) -> Iterator[Stage]:
    """A learner that is closed in the end."""
    made_stage = Stage(made)
    with contextlib.closing(made_stage.learner):
        yield made_stage


def test_what_is_heard_comes_back_as_a_better_network(made: Performance, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a player who plays for an hour, and nothing of it changes what is played."""
    caplog.set_level("INFO")
    with stage(made) as one:
        assert one.learner.status_text == "waits for some bars of yours"
        one.play(24)
        one.serve_until(lambda: one.commands)
        [command] = one.commands
        assert one.learner.status_text.startswith("from ")
        assert f"learned {one.learner.status_text} (" in caplog.text
        assert command.fingerprint in one.improviser.prepared
        assert command.fingerprint in one.files
        assert one.yields
    assert "what you play surprises it" in caplog.text
    with stage(made) as again:  # the next start
        assert again.learner.performance.learned == command.fingerprint
        assert again.learner.status_text == "plays with what it learned before; waits for some bars of yours"
        assert again.files == {command.fingerprint: one.files[command.fingerprint]}
        network, before = again.learner.performance.network, made.network
        assert not np.array_equal(network._densor_bias, before._densor_bias)  # type: ignore[attr-defined]
        again.play(24)  # it goes on from there, and so finds something better again, or nothing
        again.serve_until(lambda: not again.learner._written)
    assert "going on with what was learned from you" in caplog.text


def test_a_process_that_is_killed_starts_again_a_few_times(made: Performance, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a daemon that ends with the process that learns, or starts one after another for ever."""
    with stage(made) as one:
        one.play(24)
        for kills in range(1, MAX_RESTARTS + 2):
            one.serve_until(lambda: not one.learner._process or not one.learner._process._unsent)
            os.kill(one.pid, signal.SIGKILL)
            one.serve_until(lambda kills=kills: len(caplog.records) == kills)  # type: ignore[misc]
        assert one.learner._process is None
        assert one.learner.status_text.endswith("; nothing more is learned until the next start")
        one.play(4)
        one.learner.serve()
        assert not one.learner._written
    assert "(signal 9); it starts again" in caplog.messages[0]
    assert "nothing more is learned until the next start" in caplog.messages[-1]


def test_one_that_starts_again_knows_what_was_heard_before(made: Performance) -> None:
    """Guards against: a player who has to play everything once more, because a process has died."""
    with stage(made) as one:
        one.play(2)
        one.serve_until(lambda: one.learner._process is not None and not one.learner._process._unsent)
        os.kill(one.pid, signal.SIGKILL)
        one.play(22)  # less than the first round needs, if the rest were gone
        one.serve_until(lambda: one.commands)


@pytest.mark.parametrize(
    "program",
    [
        "print('nonsense')",
        "import os; os.write(1, b'x' * 100000); input()",
        """print('{"outcome":{"bars":1,"kept_bars":1,"bits_at_first":1.0,"bits_before":1.0,"bits":0.5,"accepted":true},'
              '"size":-5}')""",
        """print('{"outcome":{"bars":1,"kept_bars":1,"bits_at_first":1.0,"bits_before":1.0,"bits":0.5,"accepted":true},'
              '"size":4}'); print('abcd', flush=True); input()""",
    ],
)
def test_what_cannot_play_is_never_adopted(
    program: str, made: Performance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against: noise, or a silent solo, because what came was not looked at."""
    monkeypatch.setattr(learning, "_PROGRAM", program)
    with stage(made) as one:
        one.serve_until(lambda: one.learner._process is None)
        assert not one.commands
        assert not one.improviser.prepared
    assert "cannot" in caplog.text


@pytest.mark.parametrize("torn", [True, False])
def test_a_file_that_does_not_fit_is_set_aside(
    torn: bool, made: Performance, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against: a daemon that does not start after a power cut, or plays with the weights of another network."""
    bundle = load_bundle(str(made.bundle.path))
    content = encode_learned(bundle.weights, bundle.fingerprint if torn else "other")
    path = tmp_path / "state" / "learned-test.npz"
    path.parent.mkdir()
    path.write_bytes(content[:1000] if torn else content)
    with stage(made) as one:
        assert not one.learner.performance.learned
    assert not path.exists()
    assert (tmp_path / "state" / "learned-test.aside-1.npz").exists()
    assert ("torn" if torn else "learned from another network") in caplog.text


def test_a_seed_starts_with_the_network_as_it_was_trained(made: Performance, tmp_path: Path) -> None:
    """Guards against: the same seed that plays something else today."""
    bundle = load_bundle(str(made.bundle.path))
    changed = replace(bundle.weights, **{name: getattr(bundle.weights, name) + 1 for name in TRAINED})
    path = tmp_path / "state" / "learned-test.npz"
    path.parent.mkdir()
    path.write_bytes(encode_learned(changed, bundle.fingerprint))
    with stage(made) as one:
        assert one.learner.performance.learned
    seeded = replace(made, settings=replace(made.settings, play=replace(made.settings.play, seed=3)))
    with stage(seeded) as one:
        assert not one.learner.performance.learned
        assert one.learner.performance.network is made.network


def test_a_full_disk_stops_no_learning(
    made: Performance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against: a daemon that ends, or learns nothing more, on a full disk."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(learning, "write_whole", refuse)
    with stage(made) as one:
        one.play(48)
        one.serve_until(lambda: one.commands)
    assert caplog.text.count("No space left on device") == 1


def test_it_needs_the_engine_that_can_be_exchanged() -> None:
    """Guards against: seconds of silence while TensorFlow makes a network; a check that finds nothing wrong."""
    layer = {
        name: WrittenValue(value, "a.yaml") for name, value in (("model.engine", "tensorflow"), ("model.learn", True))
    }
    with pytest.raises(ConfigError, match=r"a\.yaml: model\.learn: learning needs model\.engine: numpy"):
        resolve_settings([layer])


def test_the_words_say_what_was_learned() -> None:
    """Guards against: figures that no musician can read."""
    text = outcome_words(Outcome(48, 12, 4.81, 4.5, 4.43, accepted=True))
    assert text.startswith("learned from 48 bars: what you play surprises it 7.9 % less")
    assert "12 other bars" in text


def test_the_plain_form_of_a_value_says_all_of_it() -> None:
    """Guards against: a process that learns something else than what was heard."""
    for value in line_of(lick(2)):
        plain = HeardValue.of(value)
        place = plain.place()
        assert plain.value == value.value.text
        assert (place.tick_in_bar, place.previous_pitch, place.beats_to_change) == (
            value.place.tick_in_bar,
            value.place.previous_pitch,
            value.place.beats_to_change,
        )
        assert (place.chord, place.next_chord) == (value.place.chord, value.place.next_chord)
