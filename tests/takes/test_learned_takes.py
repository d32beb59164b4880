# SPDX-License-Identifier: Apache-2.0
"""Takes in which another network took over, because something was learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.errors import Unavailable
from sideman.core.events import AdoptNetwork, EventSent, NoteOff, NoteOn, Report
from sideman.playing.assembly import Performance
from sideman.takes.folder import TakeFolder
from sideman.takes.journal import Journal, TakeHeader
from sideman.takes.replay import compare_replay, replay_engine
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.network.learned import LearnedWeights, encode_learned, read_learned
from sideman_models.network.lstm import TRAINED, NumpyNetwork
from support.fakes import performance
from support.performances import PHRASE
from support.processes import write_bundle
from support.takes import perform_with_reports, take_recorder


def learned_weights(bundle: Bundle, more: float) -> LearnedWeights:
    """Weights that play something else than the bundle."""
    weights = replace(bundle.weights, **{name: getattr(bundle.weights, name) * (1 + more) for name in TRAINED})
    return read_learned(encode_learned(weights, bundle.fingerprint), bundle, Path("test"))


def learning_performance(tmp_path: Path) -> tuple[Performance, Bundle]:
    """A performance that learns, of a bundle on disk."""
    bundle = load_bundle(str(write_bundle(tmp_path)))
    return performance(bundle, model__learn=True, model__bundle=str(bundle.path), play__rate="eighth"), bundle


def perform(
    made: Performance, swaps: Sequence[tuple[float, LearnedWeights]], until: float = 6.0
) -> tuple[TakeHeader, list[Report]]:
    """Play, with another network from some seconds on."""
    engine = made.make_engine(0.1)
    for _, learned in swaps:
        engine.improviser.prepared[learned.fingerprint] = NumpyNetwork(learned.weights)
    commands = [(second, AdoptNetwork(learned.fingerprint)) for second, learned in swaps]
    arrivals = sorted([*PHRASE, *commands], key=lambda each: each[0])
    header, reports, _ = perform_with_reports(made, arrivals, until, engine=engine)
    return header, reports


def record(folder: Path, header: TakeHeader, reports: Sequence[Report], files: Sequence[LearnedWeights]) -> Journal:
    """Record it as the daemon does."""
    recorder = take_recorder(folder, header)
    recorder.learned |= {learned.fingerprint: learned.content for learned in files}
    for report in reports:
        recorder.record(report)
    recorder.close()
    return Journal(TakeFolder(folder).journal(TakeFolder(folder).names()[-1]))


def sent(reports: Sequence[Report]) -> list[EventSent]:
    """What was sent."""
    return [report for report in reports if isinstance(report, EventSent)]


@given(st.lists(st.floats(0.2, 5.5), min_size=1, max_size=3, unique=True))
@hypothesis_settings(max_examples=10, deadline=None)
def test_a_take_replays_with_what_was_learned_in_it(seconds: list[float]) -> None:
    """Guards against: a take that cannot be heard again as it was, because the network was another one by its end."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made, bundle = learning_performance(Path(folder))
        swaps = [(second, learned_weights(bundle, 0.2 * (1 + n))) for n, second in enumerate(sorted(seconds))]
        header, reports = perform(made, swaps)
        files = [learned for _, learned in swaps]
        journal = record(Path(folder) / "takes", header, reports, files)
        result = compare_replay(journal, replay_engine(journal), lambda _: None)
        assert not result.difference
        assert result.same_events == len(sent(reports))


def test_the_other_network_plays_other_notes(tmp_path: Path) -> None:
    """Guards against: a command that changes nothing, so that nothing of what was learned is heard."""
    made, bundle = learning_performance(tmp_path)
    _, before = perform(made, [])
    _, after = perform(made, [(2.0, learned_weights(bundle, 1.0))])
    same = [one == other for one, other in zip(sent(before), sent(after), strict=False)]
    assert not all(same)
    assert all(one == other for one, other in zip(sent(before), sent(after), strict=False) if one.second < 2.0)


def test_state_line_and_choice_stay(tmp_path: Path) -> None:
    """Guards against: a solo that forgets what was played, or changes its mind, whenever something was learned."""
    made, bundle = learning_performance(tmp_path)
    engine, learned = made.make_engine(0.0), learned_weights(bundle, 1.0)
    for second in (0.0, 0.5, 1.0, 1.3):
        list(engine.advance(second))
    engine.receive(NoteOn(62, 80, 1), 1.3)
    engine.receive(NoteOff(62, 1), 1.4)
    engine.prepare(1.4)
    before, choice = engine.memory(), engine.snapshot(1.4).next_choice
    engine.improviser.prepared[learned.fingerprint] = NumpyNetwork(learned.weights)
    assert engine.receive(AdoptNetwork(learned.fingerprint), 1.4) == []
    assert engine.memory() == before
    assert engine.snapshot(1.4).next_choice is choice
    assert not engine.improviser.prepared
    engine.receive(AdoptNetwork("0" * 64), 1.4)  # one that is not there changes nothing
    assert engine.memory() == before


def test_a_take_that_began_with_what_was_learned_before(tmp_path: Path) -> None:
    """Guards against: takes that replay only on the day on which something was learned."""
    made, bundle = learning_performance(tmp_path)
    first = learned_weights(bundle, 0.5)
    made = replace(made, network=NumpyNetwork(first.weights), learned=first.fingerprint)
    header, reports = perform(made, [])
    journal = record(tmp_path / "takes", header, reports, [first])
    assert journal.header.weights == first.fingerprint
    assert not compare_replay(journal, replay_engine(journal), lambda _: None).difference


def test_without_its_files_a_take_is_refused_by_name(tmp_path: Path) -> None:
    """Guards against: other notes that are passed off as the take, where a file was deleted or exchanged."""
    made, bundle = learning_performance(tmp_path)
    learned = learned_weights(bundle, 0.5)
    header, reports = perform(made, [(2.0, learned)])
    journal = record(tmp_path / "takes", header, reports, [learned])
    [file] = (tmp_path / "takes").glob("*.learned-*.npz")
    file.write_bytes(learned_weights(bundle, 0.25).content)
    for _ in range(2):
        with pytest.raises(Unavailable, match=f"what it learned .{learned.fingerprint[:12]}. is gone or has changed"):
            replay_engine(journal)
        file.unlink(missing_ok=True)


def test_the_files_count_and_go_with_the_take(tmp_path: Path) -> None:
    """Guards against: a disk that fills with files of takes that are no more."""
    made, bundle = learning_performance(tmp_path)
    learned = learned_weights(bundle, 0.5)
    header, reports = perform(made, [(2.0, learned)])
    journal = record(tmp_path / "takes", header, reports, [learned])
    folder = TakeFolder(tmp_path / "takes")
    assert folder.size(journal.name) > len(learned.content)
    folder.delete(journal.name)
    assert list(folder.path.iterdir()) == []


def test_a_take_kept_from_memory_has_them_too(tmp_path: Path) -> None:
    """Guards against: `ctl keep` that saves a take which cannot be played again."""
    made, bundle = learning_performance(tmp_path)
    learned = learned_weights(bundle, 0.5)
    header, reports = perform(made, [(2.0, learned)])
    recorder = take_recorder(tmp_path / "takes", header, record=False)
    recorder.learned[learned.fingerprint] = learned.content
    for report in reports:
        recorder.record(report)
    journal = Journal(Path(recorder.keep()).with_suffix(".jsonl"))
    assert not compare_replay(journal, replay_engine(journal), lambda _: None).difference


def test_an_old_take_needs_none(tmp_path: Path) -> None:
    """Guards against: takes of earlier versions that are not read any more."""
    made, _ = learning_performance(tmp_path)
    made = replace(made, settings=replace(made.settings, model=replace(made.settings.model, learn=False)))
    header, reports = perform(made, [])
    journal = record(tmp_path / "takes", header, reports, [])
    assert not list((tmp_path / "takes").glob("*.npz"))
    assert not compare_replay(journal, replay_engine(journal), lambda _: None).difference
