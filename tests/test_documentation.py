# SPDX-License-Identifier: Apache-2.0
"""The settings and commands of the documentation are valid."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from sideman.commands import run
from sideman.commands.common import load_settings
from sideman.config.sources import load_chart
from sideman.control import server
from sideman.core.chart.form import MAX_BARS
from sideman.core.settings.schema import Settings
from support.processes import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(page.name, kind, text) for page in PAGES for kind, text in FENCE.findall(page.read_text("utf-8"))]
SETTINGS = [(page, text) for page, kind, text in BLOCKS if kind == "yaml"]
RUNS = [
    (page, words)
    for page, _, text in BLOCKS
    for words in re.findall(r"(?:^|[/=])sideman run (--.*)$", text, re.MULTILINE)
]


def read(*words: str | Path) -> argparse.Namespace:
    """The options of `sideman run`."""
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def test_the_pages_have_examples() -> None:
    """Guards against: tests that pass because they find no examples."""
    assert sum(page == "setups.md" for page, _ in SETTINGS) >= 6
    assert {page for page, _ in RUNS} >= {"README.md", "setups.md"}


@pytest.mark.parametrize(("page", "text"), SETTINGS)
def test_settings_can_be_copied(page: str, text: str, tmp_path: Path) -> None:
    """Guards against: settings on a page that are refused."""
    file = tmp_path / page
    file.write_text(text, "utf-8")
    assert load_chart(load_settings(read("--config", file))).bars


@pytest.mark.parametrize(("page", "words"), RUNS)
def test_commands_can_be_copied(page: str, words: str) -> None:
    """Guards against: a command on a page that ends with an error."""
    options = shlex.split(words, comments=True)
    assert load_chart(load_settings(read(*options))).bars, page


@pytest.mark.parametrize(
    "page",
    [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_lead_to_files(page: Path) -> None:
    """Guards against a link in a page to a file that was moved or removed."""
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_page_about_security_has_the_limits_of_the_code() -> None:
    """Guards against: a promise about what a client or a file can cost that the program does not keep."""
    text = " ".join((ROOT / "SECURITY.md").read_text("utf-8").split())
    requests = f"{server.REQUESTS_PER_CLIENT} requests of a client and {server.REQUESTS_PER_ROUND} of all clients"
    for promise in (
        f"- {server.MAX_CLIENTS} clients at a time; {requests} every {server.ROUND_S * 1000:.0f} ms",
        f"after {server.MAX_MISTAKES} lines in a row that are not requests",
        f"when more than {server.MAX_UNSENT_BYTES >> 10} KiB wait",
        f"{MAX_BARS} bars as they are played",
    ):
        assert promise in text


def test_the_templates_of_daws_have_the_channels_of_the_parts() -> None:
    """Guards against: a template whose bass track plays the drums, since a default has changed."""
    midi = Settings().midi
    wanted = {"Solo": midi.channel, "Chords": midi.comp, "Bass": midi.bass or 3, "Drums": midi.drums}
    folder = ROOT / "docs" / "templates"
    lua = re.findall(r'track\("(\w+)", "sideman:out", (\d+)\)', (folder / "sideman.lua").read_text("utf-8"))
    assert {name: int(channel) for name, channel in lua} == wanted
    all_inputs = 4096 + (63 << 5)  # Reaper's number of an input: MIDI, its device, its channel
    rpp = re.findall(r'NAME "(\w+)"\s+REC 1 (\d+)', (folder / "sideman.RPP").read_text("utf-8"))
    assert {name: int(number) - all_inputs for name, number in rpp} == wanted
