# SPDX-License-Identifier: Apache-2.0
"""Recorded performances, played again: the program may be rebuilt, but the music stays the same."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from sideman.config.sources import SettingsSources, load_chart
from sideman.core.events import BarPlayed, BarStarted, EventSent, NoteHeard, Report
from sideman.core.settings.schema import KEYS, value_of, write_value
from sideman.playing.assembly import load_performance, resumed_engine
from sideman.playing.state import load_state
from sideman.takes import replay as takes
from sideman.takes.lines import settings_from_json
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import load_bundle
from support.fakes import modern_bundle
from support.recordings import (
    BY_THE_DAEMON,
    DATA,
    MIDIS,
    RECORDED,
    RENDER_CHARTS,
    RENDERS,
    SCENES,
    journal_of,
    midi_hash,
    render_presets,
    rendered,
    settings_of,
)

KINDS = (BarStarted, BarPlayed, NoteHeard)
NEW_DEFAULTS = {"play.repetition": "auto", "play.ending": "root or 3 or 5"}
"""The keys that the configuration leaves out, and that have another default by now."""


@pytest.fixture(autouse=True)
def _network_of_that_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `default` be the network of that version: a user's own bundle comes before one that comes with sideman."""
    monkeypatch.setenv("XDG_DATA_HOME", str(DATA))


@pytest.mark.parametrize("name", [*SCENES, *BY_THE_DAEMON])
def test_a_recorded_take_plays_the_same_events(name: str, tmp_path: Path) -> None:
    """Guards against a change of the code that changes the music, or that makes old takes unplayable."""
    journal = journal_of(name, tmp_path)
    played: list[Report] = []
    engine = takes.engine_at_start(journal.header, takes.performance_of(journal.header))
    found = takes.compare_replay(journal, engine, played.append)
    reports = list(journal.reports())
    assert found == takes.ReplayResult(sum(isinstance(report, EventSent) for report in reports))
    assert found.same_events > 40
    assert _of_kinds(played) == _of_kinds(reports)
    assert midi_hash(journal) == json.loads(MIDIS.read_text("utf-8"))[name]


def _of_kinds(reports: list[Report]) -> list[Report]:
    """Those reports, without the key of a bar, which the takes of that version do not say."""
    of_kinds = [report for report in reports if isinstance(report, KINDS)]
    return [replace(report, key=None) if isinstance(report, BarStarted) else report for report in of_kinds]


@pytest.mark.slow
@pytest.mark.parametrize("chart", RENDER_CHARTS)
def test_a_render_is_the_same_file(chart: str) -> None:
    """Guards against a change of the code that changes what a preset and a seed render."""
    then = json.loads(RENDERS.read_text("utf-8"))
    now = dict(one for preset in render_presets() for one in rendered(preset, chart))
    assert now == {name: value for name, value in then.items() if name.split()[1] == chart}


def test_a_configuration_of_that_version_means_the_same() -> None:
    """Guards against an update that refuses a user's configuration, or reads it differently."""
    settings = SettingsSources(config=str(RECORDED / "config.yaml")).read()
    (header,) = (json.loads(line) for line in _lines("daemon-hands")[:1])
    assert {key: write_value(key, value_of(settings, key)) for key in KEYS} == {
        key: write_value(key, value_of(settings_from_json(header["settings"], "header"), key)) for key in KEYS
    } | NEW_DEFAULTS


def test_a_state_of_that_version_is_resumed() -> None:
    """Guards against an update after which a service that resumes starts from nothing."""
    kept = load_state(RECORDED / "state.json")
    assert kept is not None
    settings = settings_of({})
    engine = resumed_engine(load_performance(settings, load_chart(settings)), kept, 0.0)
    assert engine.tempo.beat == 12.0
    assert engine.improviser.random_source.seed == kept["seed"]
    memory = engine.improviser.export_state(12 * TICKS_PER_QUARTER)
    assert {name: memory[name] for name in ("a", "c", "last", "pitch")} == {
        name: kept[name] for name in ("a", "c", "last", "pitch")
    }


def test_a_bundle_of_that_version_is_read() -> None:
    """Guards against an update that cannot play a network that a user has trained."""
    then, now = load_bundle(str(RECORDED / "bundle")), modern_bundle()
    assert then.vocabulary.values == now.vocabulary.values
    for name in ("kernel", "recurrent", "bias", "densor_kernel", "densor_bias"):
        assert (getattr(then.weights, name) == getattr(now.weights, name)).all()


def _lines(name: str) -> list[str]:
    return gzip.decompress((RECORDED / f"{name}.jsonl.gz").read_bytes()).decode().splitlines()
