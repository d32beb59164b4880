# SPDX-License-Identifier: Apache-2.0
"""The presets: what each of them plays, measured, agrees with its name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from sideman.config import resources
from sideman.config.yaml import read_yaml
from sideman.core.settings.resolve import resolve_settings
from support.preset_table import (
    CONTROL_HEAD,
    CONTROLS,
    HEAD,
    NONE,
    PRESETS_MEASURED,
    Figures,
    control_row,
    network_line,
    preset_figures,
)

CHORUSES = 4
MANUAL = Path(__file__).parents[2] / "docs" / "controls.md"


@cache
def figures(preset: str) -> Figures:
    """Measure a few choruses of a preset."""
    return preset_figures(preset, CHORUSES)


def test_sparse_leaves_room_and_bebop_fills_it() -> None:
    """Guards against: a preset sparse that leaves the player no room."""
    assert figures("sparse").notes_a_beat < 0.7
    assert figures("sparse").silence > 0.6
    assert figures("bebop").notes_a_beat > 2.5 * figures("sparse").notes_a_beat
    assert figures("bebop").bpm > 200


def test_the_figures_of_the_manual_are_those_of_the_network_that_is_played() -> None:
    """Guards against: a manual that shows how a network played that has been replaced. The script measures again."""
    lines = MANUAL.read_text("utf-8").split("\n")
    assert network_line() in lines
    assert CONTROL_HEAD in lines
    for name in CONTROLS:
        assert any(line.startswith(f"| {name} | ") for line in lines)
    extreme = "`play.contour=0`"  # a whole row: also the settings may have been changed
    assert control_row(extreme) in lines


def test_a_ballad_is_slow_soft_and_made_of_long_notes() -> None:
    """Guards against: a preset ballad that is a fast piece played slowly."""
    ballad, bebop = figures("ballad"), figures("bebop")
    assert ballad.bpm < 80
    assert ballad.length > 2 * bebop.length
    assert ballad.silence > bebop.silence
    assert ballad.velocity < bebop.velocity - 20


def test_wild_leaps_and_plays_fewer_chord_tones() -> None:
    """Guards against: a preset wild that is tame."""
    wild, ballad = figures("wild"), figures("ballad")
    assert wild.interval > 1.5 * ballad.interval
    assert wild.leaps > 0.1 > ballad.leaps
    assert wild.of_chord < ballad.of_chord - 0.08
    assert wild.highest - wild.lowest > ballad.highest - ballad.lowest + 12


def test_modal_moves_by_step_with_few_rests_and_fewer_chord_tones() -> None:
    """Guards against: the same arpeggio again and again over one chord of eight bars."""
    modal = figures("modal")
    assert modal.interval < 2.6
    assert modal.leaps == modal.repeated == 0
    assert modal.silence < figures("ballad").silence
    assert modal.of_chord < figures(NONE).of_chord


def test_duet_stays_above_the_player_and_leaves_room() -> None:
    """Guards against: a second voice that covers the first one."""
    duet, fours = figures("duet"), figures("fours")
    assert duet.lowest >= 67
    assert duet.notes_a_beat < fours.notes_a_beat
    assert duet.velocity < fours.velocity - 5


@pytest.mark.parametrize(("preset", "mode"), [("fours", "trade"), ("answer", "answer"), ("duet", "duet")])
def test_a_preset_named_after_a_mode_plays_in_it(preset: str, mode: str) -> None:
    """Guards against: a preset fours that plays a solo without end."""
    path = resources.find_resource("presets", preset, ".yaml")
    assert path
    assert resolve_settings([read_yaml(path).values]).play.mode == mode


@pytest.mark.parametrize("preset", PRESETS_MEASURED)
def test_every_preset_has_its_figures_in_the_manual(preset: str) -> None:
    """Guards against: a manual that lacks a preset."""
    lines = MANUAL.read_text("utf-8").split("\n")
    assert HEAD in lines
    assert any(line.startswith(f"| {preset} | {figures(preset).bpm:g} | ") for line in lines)
