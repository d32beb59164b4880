# SPDX-License-Identifier: Apache-2.0
"""The saved state of a performance."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sideman.core.engine import Engine
from sideman.core.settings.schema import KEYS, is_live, value_of, with_values
from sideman.core.targets import ActionTarget, Bindings, SettingTarget
from sideman.playing import state as memory
from sideman.playing.assembly import Performance, resumed_engine, state_of
from sideman.playing.player import Remembered
from sideman_models.network.bundle import Bundle
from support.fakes import classic_bundle, modern_bundle, motif_bundle, performance, play_on_fake_clock

TAP = ActionTarget("tap")
SETS_ASIDE = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError)
"""The errors with which the service sets a state aside."""


@pytest.mark.parametrize("bundle", [modern_bundle(), motif_bundle()])
def test_a_restart_continues_where_it_stopped(tmp_path: Path, bundle: Bundle) -> None:
    """Guards against: a daemon that forgets the music at every restart."""
    made = performance(bundle)
    engine, whole = made.make_engine(0.0), made.make_engine(0.0)
    play_on_fake_clock(engine, 5.2)
    path = tmp_path / "new" / "state.json"
    keeper(path, made).keep(remembered(engine), made.settings)
    kept = memory.load_state(path)
    assert kept is not None
    later = resumed_engine(performance(bundle, play__seed=99), kept, 100.0)
    assert later.improviser.random_source.seed == engine.improviser.random_source.seed
    assert later.tempo.beat_at(100.0) == 12.0  # the bar line after beat 10.4
    play_on_fake_clock(whole, 5.99)
    assert later.improviser.export_state(144) == whole.improviser.export_state(144)


def test_after_the_last_chorus_the_next_start_begins_at_the_top() -> None:
    """Guards against: a song that had ended and continues in its second bar."""
    made = performance(chart__choruses=1)
    engine = made.make_engine(0.0)
    play_on_fake_clock(engine, 60.0)
    later = resumed_engine(made, state_of(engine.memory(), made), 0.0)
    assert later.tempo.beat_at(0.0) == 16.0
    assert later.timeline.end == 32.0


@pytest.mark.parametrize("broken", [{"seed": 1e999}, {"beat": 10**400}, {"beat": "x"}, {"a": [10**400]}, {"seed": -1}])
def test_a_damaged_number_of_an_older_state_is_refused(broken: dict[str, object]) -> None:
    """Guards against: a daemon that fails at every start until somebody deletes its state."""
    made = performance()
    network = made.make_engine(0.0).improviser.export_state(0)
    kept = {"weights": made.bundle.fingerprint, "seed": 1, "beat": 2.0, **network}
    assert resumed_engine(made, kept, 0.0).tempo.beat == 4.0
    with pytest.raises((ValueError, KeyError, TypeError, ArithmeticError)):
        resumed_engine(made, {**kept, **broken}, 0.0)


@pytest.mark.parametrize("bar_line", [10**21, -(10**21), 12 * 10**6])
def test_a_damaged_bar_line_is_refused(bar_line: int) -> None:
    """Guards against: a start that rehearses bars for ever on the way to a damaged bar line."""
    made = performance()
    engine = made.make_engine(0.0)
    play_on_fake_clock(engine, 3.3)
    state = json.loads(json.dumps(state_of(engine.memory(), made)))
    state["memory"]["bar_line"] = bar_line
    with pytest.raises(ValueError, match="the bar line after"):
        resumed_engine(made, state, 0.0)


@pytest.mark.parametrize("drawn", [-1, 10**3, 2**62])
def test_a_value_that_the_network_does_not_have_is_refused(drawn: int) -> None:
    """Guards against: a classic network that is fed a damaged value, and a daemon that fails at every start."""
    made = performance(classic_bundle())
    engine = made.make_engine(0.0)
    play_on_fake_clock(engine, 3.3)
    state = json.loads(json.dumps(state_of(engine.memory(), made)))
    state["memory"]["improviser"]["line"]["pending"]["drawn_index"] = drawn
    with pytest.raises(ValueError, match="the network has no value"):
        resumed_engine(made, state, 0.0)


@given(st.data(), st.sampled_from([modern_bundle(), classic_bundle()]))
def test_a_damaged_memory_is_refused_or_plays(data: st.DataObject, bundle: Bundle) -> None:
    """Guards against: a daemon that fails at every start, or hangs, until somebody deletes its state."""
    made = performance(bundle, play__comp="bass")
    engine = made.make_engine(0.0)
    play_on_fake_clock(engine, 3.3)
    state = json.loads(json.dumps(state_of(engine.memory(), made)))
    part = state["memory"]
    while isinstance(part, dict | list) and part:
        place = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        inside = part[place]
        if not isinstance(inside, dict | list) or not inside or data.draw(st.integers(0, 3)) == 0:
            part[place] = data.draw(st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.just([]))
            break
        part = inside
    try:
        again = resumed_engine(made, state, 0.0)
    except SETS_ASIDE:
        return
    play_on_fake_clock(again, 1.0)


def test_a_state_of_another_bundle_is_refused() -> None:
    """Guards against: numbers of one network that are fed to another."""
    made = performance()
    kept = state_of(made.make_engine(0.0).memory(), made)
    with pytest.raises(ValueError, match="another bundle"):
        resumed_engine(performance(classic_bundle()), kept, 0.0)


@given(st.binary(max_size=60))
@example(b"")
@example(b"{}")
@example(b'{"version": 3, "weights": ""}')
@example(b"[" * 100_000)
def test_a_broken_state_is_as_good_as_none_and_is_kept(content: bytes) -> None:
    """Guards against: a file damaged by a power cut that keeps the daemon from starting, or that is lost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state-sideman.json"
        path.write_bytes(content)
        assert memory.load_state(path) is None
        assert not path.exists()
        path.write_bytes(content)
        assert memory.find_state(path) is None
        aside = [path.with_name(f"state-sideman.aside-{number}.json") for number in (1, 2)]
        assert [each.read_bytes() for each in aside] == [content, content]


def test_the_log_says_which_file_was_set_aside_and_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: a solo that begins again, and no hint at the reason."""
    path = tmp_path / "state-sideman.json"
    path.write_text('{"version": 99, "weights": "w"}')
    memory.load_state(path)
    (line,) = caplog.messages
    assert str(path) in line
    assert "version is 99, and this sideman reads 1 and 2" in line
    assert "kept as state-sideman.aside-1.json" in line


def test_a_client_without_a_file_of_its_own_reads_the_old_one(tmp_path: Path) -> None:
    """Guards against: an update after which the solo begins again."""
    own, old = tmp_path / "state-two.json", tmp_path / "state.json"
    assert memory.find_state(own) is None
    old.write_text('{"version": 1, "weights": "old"}')
    assert memory.find_state(own) == (old, {"version": 1, "weights": "old"})
    own.write_text('{"version": 2, "weights": "own"}')
    assert memory.find_state(own) == (own, {"version": 2, "weights": "own"})


def test_two_clients_have_two_files(home: Path) -> None:
    """Guards against: two daemons that go on with each other's solo."""
    names = [memory.state_path(client) for client in ("sideman", "second", "a b/c")]
    assert [each.name for each in names] == ["state-sideman.json", "state-second.json", "state-a_b_c.json"]
    assert {each.parent for each in names} == {home / ".local" / "state" / "sideman"}


def test_a_disk_that_fails_is_logged_once_and_again_when_it_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against: a full disk that fills the log with a line each bar, or that nothing is said about."""
    caplog.set_level("INFO")
    made, path = performance(), tmp_path / "folder" / "state.json"
    keeps, left = keeper(path), remembered(made.make_engine(0.0))
    path.parent.write_text("in the way")
    for _ in range(3):
        keeps.keep(left, left.settings)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.messages[0]
    path.parent.unlink()
    for _ in range(3):
        keeps.keep(left, left.settings)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert memory.load_state(path) is not None
    assert list(path.parent.iterdir()) == [path]


def test_without_resume_nothing_is_written(tmp_path: Path) -> None:
    """Guards against: files of somebody who has not asked for them, or a saved place that is overwritten."""
    path = tmp_path / "state.json"
    left = remembered(performance().make_engine(0.0), resume=False)
    keeper(path).keep(left, left.settings)
    assert not path.exists()


live_changes = st.dictionaries(
    st.sampled_from(sorted(filter(is_live, KEYS))).filter(lambda name: not name.startswith("chart.")),
    st.randoms(use_true_random=False),
    max_size=4,
)


@given(live_changes, live_changes)
def test_changes_come_back_unless_the_configuration_has_changed_them_too(
    changed: dict[str, Random], edited: dict[str, Random]
) -> None:
    """Guards against: a knob's setting that is lost by a restart, or one that hides what was edited since."""
    configured = performance().settings
    live = with_values(configured, [(name, some_value(name, random)) for name, random in changed.items()])
    written = json.loads(json.dumps(memory.changed_settings(configured, live)))
    now = with_values(configured, [(name, some_value(name, random)) for name, random in edited.items()])
    after, left = memory.with_changes(now, written)
    for name in KEYS:
        is_edited = value_of(now, name) != value_of(configured, name)
        is_changed = value_of(live, name) != value_of(configured, name)
        expected = now if is_edited or not is_changed else live
        assert value_of(after, name) == value_of(expected, name)
        is_left = is_edited and is_changed and value_of(now, name) != value_of(live, name)
        assert is_left == any(each == name or each.startswith(f"{name}.") for each in left)


def test_each_binding_comes_back_by_itself() -> None:
    """Guards against: knobs bound on stage that are lost because another one was written into the configuration."""
    motif = SettingTarget("play.motif")
    before = with_values(performance().settings, [("midi.cc", Bindings(((20, TAP), (21, TAP), (22, TAP))))])
    changed = Bindings(((21, TAP), (22, motif), (23, motif), (24, motif), (33, TAP)))
    written = memory.changed_settings(before, with_values(before, [("midi.cc", changed)]))
    fine = SettingTarget("play.gate", form="14-bit")
    now = with_values(before, [("midi.cc", Bindings(((1, fine), (20, TAP), (21, motif), (22, fine), (24, motif))))])
    after, left = memory.with_changes(now, json.loads(json.dumps(written)))
    assert dict(after.midi.cc) == {1: fine, 21: motif, 22: fine, 23: motif, 24: motif}
    assert left == ["midi.cc.22", "midi.cc.33"]


def test_a_change_that_makes_room_for_another_comes_back_with_it() -> None:
    """Guards against: a fader that is lost, because the button that was on its second half was taken off before."""
    fine = SettingTarget("play.gate", form="14-bit")
    base = performance().settings
    for before, after in (
        (Bindings(((33, TAP),)), Bindings(((1, fine),))),
        (Bindings(((5, fine),)), Bindings(((37, TAP),))),
        (Bindings(((5, fine), (38, TAP))), Bindings(((5, SettingTarget("play.gate")), (6, fine), (37, TAP)))),
    ):
        configured = with_values(base, [("midi.cc", before)])
        live = with_values(configured, [("midi.cc", after)])
        assert memory.with_changes(configured, memory.changed_settings(configured, live)) == (live, [])
    keys = [("midi.bass", 2), ("midi.comp", 2), ("play.comp", ("shells",))]
    configured = with_values(base, keys)
    live = with_values(configured, [("play.style", "plain"), ("play.comp", ("bass", "shells"))])
    assert memory.with_changes(configured, memory.changed_settings(configured, live)) == (live, [])


def test_what_does_not_fit_the_configuration_any_more_is_left_out() -> None:
    """Guards against: a start with two parts on one channel, or with a binding that an earlier version allowed."""
    configured = performance().settings
    live = with_values(
        configured, [("play.comp", ("shells", "bass")), ("midi.nrpn", Bindings(((5, TAP), (16383, TAP))))]
    )
    written = memory.changed_settings(configured, live)
    after, left = memory.with_changes(with_values(configured, [("midi.channel", 3)]), written)
    assert (after.play.comp, dict(after.midi.nrpn)) == (configured.play.comp, {5: TAP})
    assert sorted(left) == ["midi.nrpn.16383", "play.comp"]


def test_a_chart_that_was_edited_hides_the_one_that_was_chosen_live() -> None:
    """Guards against: a new chart in the configuration that is never played, because another was set on stage."""
    configured = performance().settings
    live = with_values(configured, [("chart.file", "blues")])
    written = memory.changed_settings(configured, live)
    assert memory.with_changes(configured, written) == (live, [])
    edited = with_values(configured, [("chart.changes", "| F7 |")])
    after, left = memory.with_changes(edited, written)
    assert after == edited
    assert "chart.file" in left


def test_a_key_that_a_later_version_does_not_know_is_left_out() -> None:
    """Guards against: a change of a setting that is gone makes the whole state worthless."""
    configured = performance().settings
    written = {"play.gone": [1, 2], "play.density": [1.0, -5], "play.rest": [2, 2], "midi.input": ["auto", "x"]}
    assert memory.with_changes(configured, written) == (configured, list(written))


def keeper(path: Path, made: Performance | None = None) -> memory.StateKeeper:
    """A keeper for the performance `made`, or that of the tests."""
    return memory.StateKeeper(path, made or performance())


def remembered(engine: Engine, *, resume: bool = True) -> Remembered:
    """What a player leaves of this engine."""
    return Remembered(engine.memory(), with_values(engine.settings, [("play.resume", resume)]))


def some_value(name: str, random: Random) -> object:
    """One of a few values that the key allows."""
    texts = [0, 1, 2, 0.5, True, False, "auto", "off", "solo", "trade", "eighth", "C3-C5", None, "debug", "sideman", {}]
    read = []
    for text in texts:
        with contextlib.suppress(ValueError):
            read.append(KEYS[name].value_type.read(text))
    return random.choice(read) if read else KEYS[name].default
