# SPDX-License-Identifier: Apache-2.0
"""The table of actions: everything that lists actions, and everything that performs them, agrees with it."""

from __future__ import annotations

import argparse

import pytest

from sideman.commands import ctl
from sideman.control.requests import REQUESTS, request_fields, request_summary
from sideman.core.actions import ACTIONS, Action, action_list
from sideman.core.settings.bindings import read_learn_target
from sideman.core.targets import ActionTarget
from support.control import control_scene


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_an_action_can_be_bound_and_requested(action: Action) -> None:
    """Guards against: an action that the documentation lists and that no pedal, key or request performs."""
    argument = {"mode": "trade", "preset": "ballad", "chart": "waltz", "jump": "2"}.get(action.name, "")
    written = f"{action.name}:{argument}" if action.argument == "required" else action.name
    assert read_learn_target(written) == ActionTarget(action.name, argument if action.argument == "required" else "")
    control_scene().ask(action.name, **({request_fields(REQUESTS[action.name])[0]: argument} if argument else {}))
    if not argument:  # a request with fields explains them in words of its own
        assert request_summary(REQUESTS[action.name]) == action.help
    parser = argparse.ArgumentParser()
    ctl.add_arguments(parser)
    assert parser.parse_args([action.name, *([argument] if argument else [])]).verb == action.name


def test_an_action_has_its_own_key() -> None:
    """Guards against: a key of the live view that performs another action than the view says."""
    pytest.importorskip("rich")
    from sideman.watch.screen import key_lines
    from sideman.watch.view import ACTION_KEYS, QUIT_KEYS

    assert len(ACTION_KEYS) == sum(action.key != "" for action in ACTIONS.values())
    assert not ACTION_KEYS.keys() & {*QUIT_KEYS, "+", "-", "="}
    shown = [line.plain.strip() for line in key_lines(40)]
    assert all(f"{key}  {action.help}" in shown for key, action in ACTION_KEYS.items())


def test_the_list_of_actions_names_each_of_them() -> None:
    """Guards against: an action that a musician cannot find in the default file or in an error message."""
    words = action_list().replace(" or ", ", ").split(", ")
    assert words == [spelling for action in ACTIONS.values() for spelling in action.spellings]
    assert {"start", "mode", "mode:NAME", "preset:NAME"} <= set(words)
    assert "preset" not in words
