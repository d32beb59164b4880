# SPDX-License-Identifier: Apache-2.0
"""`sideman presets`: lists the presets, the user's own and those that come with sideman."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from sideman.commands.common import print_list
from sideman.config.resources import PRESETS, find_resource, resource_names
from sideman.config.sources import read_preset
from sideman.core.errors import SidemanError
from sideman.core.settings.types import plain_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman presets`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    facts = list(preset_facts())
    rows = [["preset", "what it sets"]]
    rows += [[each["name"], each.get("wrong") or ", ".join(each["settings"])] for each in facts]
    print_list(facts, rows, "there are no presets", as_json=args.json)
    return 0


def preset_facts() -> Iterator[dict[str, Any]]:
    """The name of each preset, its file, and what it sets; or what is wrong with it."""
    for name in resource_names(*PRESETS):
        facts: dict[str, Any] = {"name": name, "file": str(find_resource(PRESETS[0], name, PRESETS[1]))}
        try:
            layer = read_preset(name)
            yield {**facts, "settings": [f"{key}={plain_text(given.value)}" for key, given in layer.items()]}
        except SidemanError as error:
            yield {**facts, "wrong": str(error).splitlines()[0]}
