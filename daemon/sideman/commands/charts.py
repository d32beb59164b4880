# SPDX-License-Identifier: Apache-2.0
"""`sideman charts`: lists the songs of chart files, playlists, tune books and folders, with key, form and length."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sideman.charts.detect import CHART_SUFFIXES, read_songs
from sideman.commands.common import print_list
from sideman.config.resources import CHARTS, expand_user, find_resource, resource_names
from sideman.core.chart.chart import Chart, ChartError
from sideman.core.errors import NoSuchInput, SidemanError, UnreadableInput
from sideman.core.settings.groups.tempo import COMMON_TIME
from sideman_models.text import closest

MAX_FILES = 10_000
"""The most files of a folder, with those below it."""
_MAX_FORM = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman charts`."""
    about = "a chart file, a playlist, a folder, or the name of a chart (default: all charts that have a name)"
    parser.add_argument("files", nargs="*", metavar="FILE", help=about)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the list. A file that cannot be read is in it, with the reason; one that is named alone is an error."""
    named = args.files or resource_names(*CHARTS)
    files = [file for name in named for file in _files(name)]
    facts = [each for file in files for each in _songs(file)]
    if len(files) == len(facts) == 1 and args.files and "wrong" in facts[0]:
        raise UnreadableInput(facts[0]["wrong"])
    rows = [["#", "title", "key", "bars", "meter", "tempo", "form", "file"]]
    rows += [_row(each) for each in facts]
    print_list(facts, rows, "there are no charts here", as_json=args.json)
    return 0


def _files(name: str) -> list[Path]:
    """The files that a name stands for. Raises NoSuchInput."""
    path = expand_user(name)
    if path.is_dir():
        inside = (each for each in sorted(path.rglob("*")) if each.suffix.lower() in CHART_SUFFIXES and each.is_file())
        return list(islice(inside, MAX_FILES))
    found = path if path.exists() else find_resource(CHARTS[0], name, *CHARTS[1:])
    if found is None:
        near = closest(name, resource_names(*CHARTS))
        hint = f"; did you mean {near}?" if near else ""
        raise NoSuchInput(f"{name}: no such file or folder, and no chart of that name{hint}")
    return [found]


def _songs(file: Path) -> Iterator[dict[str, Any]]:
    facts: dict[str, Any] = {"file": str(file), "number": 1}
    try:
        songs = read_songs(file, COMMON_TIME)
    except SidemanError as error:
        yield {**facts, "title": file.stem, "wrong": str(error)}
        return
    for number, song in enumerate(songs, 1):
        facts = {"file": str(file), "number": number, "title": song.title}
        try:
            yield {**facts, **_chart_facts(song.read(), song.title)}
        except ChartError as error:
            yield {**facts, "wrong": str(error)}


def _chart_facts(chart: Chart, title: str) -> dict[str, Any]:
    info = chart.info
    return {
        "title": info.title or title,
        "composer": info.composer,
        "key": info.key,
        "bars": len(chart.bars),
        "meter": ", ".join(dict.fromkeys(str(bar.meter) for bar in chart.bars)),
        "tempo": info.tempo,
        "style": info.style,
        "form": [name for _, name in info.sections],
        "warnings": list(info.warnings),
    }


def _row(facts: dict[str, Any]) -> list[str]:
    file = Path(facts["file"]).name
    if "wrong" in facts:
        return [str(facts["number"]), facts["title"], "", "", "", "", "cannot be read", file]
    names = facts["form"]
    form = ("" if all(len(name) == 1 for name in names) else " ").join(names)
    tempo = "" if facts["tempo"] is None else f"{facts['tempo']:g}"
    form = form if len(form) <= _MAX_FORM else form[: _MAX_FORM - 1] + "…"
    return [str(facts["number"]), facts["title"], facts["key"], str(facts["bars"]), facts["meter"], tempo, form, file]
