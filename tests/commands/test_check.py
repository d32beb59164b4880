# SPDX-License-Identifier: Apache-2.0
"""`sideman check --chart`, and where charts of every kind are found."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sideman import cli
from sideman.commands.common import add_settings_options, load_settings
from sideman.config.sources import load_chart
from sideman.core.chart.chart import Chart
from support.ireal import html_page, playlist_link, song_text


def chart(*words: str) -> Chart:
    """The changes of a command line."""
    parser = argparse.ArgumentParser()
    add_settings_options(parser)
    return load_chart(load_settings(parser.parse_args(words)))


def write(path: Path, text: str) -> Path:
    """Make a file and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def check(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """What `sideman check` with these words gives: its status, output and errors."""
    try:
        status = cli.main(["check", *words])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_chart_is_printed_bar_by_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """Lost: nobody can see whether a chart was read as it was meant."""
    status, out, _ = check(capsys, "--chart", "waltz", "--transpose", "2")
    assert status == 0
    lines = out.splitlines()
    assert lines[:4] == [
        "waltz, 24 bars of 3/4",
        "Three Lamps, by sideman, in Am, 150 bpm",
        "[A]",
        "| Am7 | Dm7 | Am7 | E7b9 |",
    ]
    assert "[B]" in lines
    assert "model" not in out
    assert check(capsys, "--transpose", "-1")[1].splitlines()[1].startswith("| E7 | A7 |")


def test_every_meter_of_a_chart_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lost: a tune that changes its meter is taken for one in 4/4 throughout."""
    (tmp_path / "odd.chart").write_text("| C | 3/4 F | 4/4 G |")
    _, out, _ = check(capsys, "--chart", str(tmp_path / "odd.chart"))
    assert out.splitlines()[0].endswith("3 bars of 4/4, 3/4")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--chart", "walz"], 66, "did you mean waltz?"),
        (["--chart", "no/such#2"], 66, "no/such: no such file"),
        (["--chart", " "], 2, "--chart needs the file"),
        (["--chart", "blues", "--transpose", "12"], 2, "-11 to 11"),
        (["--chart", "blues#2"], 65, "it has one song"),
        (["--chart", "irealb://x"], 65, "chart.file: it has no song of iReal Pro"),
    ],
)
def test_a_chart_that_cannot_be_shown_is_told(
    capsys: pytest.CaptureFixture[str], words: list[str], status: int, message: str
) -> None:
    """Lost: a script cannot tell a wrong chart from one that is missing."""
    found, out, err = check(capsys, *words)
    assert (found, out) == (status, "")
    assert message in err


def test_a_broken_chart_is_told_by_line_and_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lost: the player has to search a whole chart for one wrong sign."""
    file = write(tmp_path / "tune.chart", "title: X\n| C | D |\n| E | Fx |\n")
    status, _, err = check(capsys, "--chart", str(file))
    assert status == 65
    assert f"{file}, line 3, bar 4: 'Fx' is not a chord" in err


def test_a_chart_of_ones_own_is_found_by_its_name(home: Path) -> None:
    """Lost: one's own charts have to be named by their whole path, or the machine's win over them."""
    folder = home / ".config" / "sideman" / "charts"
    write(folder / "mine.chart", "| Ab7 |")
    write(folder / "coda.txt", "| Bb7 |")
    assert chart("--set", "chart.file=mine").bars[0].chords[0][1].text == "Ab7"
    assert chart("--set", "chart.file=coda").bars[0].chords[0][1].text == "Bb7"


def test_a_song_of_a_playlist_is_played_by_its_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: of an exported playlist only the first song can be played, or none from a configuration."""
    file = write(
        tmp_path / "gig.html", html_page(playlist_link(song_text("One", "T44[C   Z"), song_text("Two", "T34[D   Z")))
    )
    config = write(tmp_path / "my.yaml", "chart: {file: 'gig.html#two', transpose: 2}\n")
    monkeypatch.chdir("/")
    assert chart("--config", str(config)).text() == "| E |"
    assert chart("--set", f"chart.file={file}").info.title == "One"


def test_a_link_is_a_chart() -> None:
    """Lost: a link that somebody was sent has to be made a file first."""
    assert chart("--set", f"chart.file={playlist_link(song_text('One', 'T44[C   |G7   Z'))}").text() == "| C | G7 |"
