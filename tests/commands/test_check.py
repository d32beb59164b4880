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
from sideman.core.settings.instruments import INSTRUMENTS
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
    """Run `sideman check` with these words; its status, output and errors."""
    try:
        status = cli.main(["check", *words])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_chart_is_printed_bar_by_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a user cannot see how a chart was read."""
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


def test_a_guess_in_a_chart_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a song that is read by a guess, and the musician finds out on the stand."""
    file = write(tmp_path / "gig.txt", playlist_link(song_text("Odd", "T44[C7   |F7   <D.S. al Coda>Z")))
    status, out, _ = check(capsys, "--chart", str(file))
    assert status == 0
    assert f"warning: {file}, Odd, bar 2: 'D.S. al Coda' without a Segno: played from the top" in out.splitlines()


def test_every_meter_of_a_chart_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a tune that changes its meter is shown as 4/4 only."""
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
def test_a_chart_that_cannot_be_shown_is_an_error(
    capsys: pytest.CaptureFixture[str], words: list[str], status: int, message: str
) -> None:
    """Guards against: a script cannot distinguish a wrong chart from a missing one."""
    found, out, err = check(capsys, *words)
    assert (found, out) == (status, "")
    assert message in err


def test_an_error_in_a_chart_names_line_and_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a user has to search a whole chart for one wrong sign."""
    file = write(tmp_path / "tune.chart", "title: X\n| C | D |\n| E | Fx |\n")
    status, _, err = check(capsys, "--chart", str(file))
    assert status == 65
    assert f"{file}, line 3, bar 4: 'Fx' is not a chord" in err


def test_a_users_chart_is_found_by_its_name(home: Path) -> None:
    """Guards against: the user's charts need full paths, or those of the system win over them."""
    folder = home / ".config" / "sideman" / "charts"
    write(folder / "mine.chart", "| Ab7 |")
    write(folder / "coda.txt", "| Bb7 |")
    assert chart("--set", "chart.file=mine").bars[0].chords[0][1].text == "Ab7"
    assert chart("--set", "chart.file=coda").bars[0].chords[0][1].text == "Bb7"


def test_a_song_of_a_playlist_is_played_by_its_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: only the first song of a playlist can be played, or none from the configuration."""
    file = write(
        tmp_path / "gig.html", html_page(playlist_link(song_text("One", "T44[C   Z"), song_text("Two", "T34[D   Z")))
    )
    config = write(tmp_path / "my.yaml", "chart: {file: 'gig.html#two', transpose: 2}\n")
    monkeypatch.chdir("/")
    assert chart("--config", str(config)).text() == "| E |"
    assert chart("--set", f"chart.file={file}").info.title == "One"


def test_a_link_is_a_chart() -> None:
    """Guards against: a link has to be saved to a file before it can be used."""
    assert chart("--set", f"chart.file={playlist_link(song_text('One', 'T44[C   |G7   Z'))}").text() == "| C | G7 |"


NOTHING = ("--set", "midi.output=none", "--set", "midi.input=none")


def test_it_shows_what_will_be_played_with_the_preset(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: `check` says that all settings have their defaults, and `run` plays eighths at 208."""
    out = " ".join(check(capsys, *NOTHING, "--preset", "bebop", "--mode", "trade", "--bpm", "90")[1].split())
    assert "preset bebop" in out
    assert "play.rate is eighth" in out
    assert "sideman takes turns with you, 4 bars each: eighths, no band" in out
    assert "tempo 90 bpm" in out
    assert "all settings have their defaults" in check(capsys)[1]


def test_the_key_is_the_one_that_the_player_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a trumpeter to whom `check` and `run` show different keys."""
    words = ("--chart", "waltz", "--set", "midi.transpose=-2")
    out = check(capsys, *words)[1]
    assert ", in Am, " in out
    assert "| Am7 | Dm7 |" in out
    assert "you read it in Am; it sounds in Gm" in out
    with_key = check(capsys, *words, "--key", "Em")[1]
    assert ", in Em, " in with_key
    assert "| Em7 | Am7 |" in with_key
    assert check(capsys, "--chart", "| C7 | F7 |", "--key", "Bb")[1].endswith("| Bb7 | Eb7 |\n")


@pytest.mark.parametrize("key", ["H", "", "C major please"])
def test_a_wrong_key_is_a_usage_error(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a tune in a key that was not asked for."""
    assert check(capsys, "--chart", "waltz", "--key", key)[0] == 2


def test_chords_of_every_source_are_written_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: `C^7` from a link and `Cmaj7` from a text, which look like two chords."""
    link = playlist_link(song_text("Odd", "T44[C^7   |A-7   |Dh7   |G7b9   Z"))
    text = write(tmp_path / "a.chart", "| CΔ | Am7 | Dø | G7(b9) |")
    shown = [check(capsys, "--chart", each)[1].splitlines()[-1] for each in (link, str(text))]
    assert shown == ["| Cmaj7 | Am7 | Dm7b5 | G7b9 |"] * 2


def test_the_sound_of_the_solo_is_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a player who has to know that a tenor saxophone is number 67."""
    assert "midi.program is 67" in " ".join(check(capsys, *NOTHING, "--instrument", "Tenor Saxophone")[1].split())
    status, _, err = check(capsys, *NOTHING, "--instrument", "trumpett")
    assert status == 2
    assert "trumpet" in err
    assert len(INSTRUMENTS) == 128
    assert [INSTRUMENTS[name] for name in ("grand piano", "double bass", "trumpet", "flute", "gunshot")] == [
        1, 33, 57, 74, 128
    ]  # fmt: skip


def test_it_says_what_the_network_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a service that is set to OSC and gets no message, because its unit has no network."""
    nothing = ("--set", "midi.output=none", "--set", "midi.input=none", "--set", "midi.wait=true")
    assert "network not used" in check(capsys, *nothing)[1]
    out = check(capsys, *nothing, "--set", "control.osc=9000")[1]
    assert "network OSC at 127.0.0.1, port 9000\n        as a service, it has no network until you allow it" in out


def test_the_chart_is_written_as_it_is_played(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Guards against: a chart that cannot be taken to other programs, or in another key than was asked for."""
    for name in ("x.musicxml", "x.html", "x.txt"):
        assert check(capsys, "--chart", "waltz", "--transpose", "2", "--out", str(tmp_path / name))[0] == 0
        written = chart("--set", f"chart.file={tmp_path / name}")
        assert written == chart("--set", "chart.file=waltz").transposed(2)
        assert written.info.title == "Three Lamps"
    status, _, error = check(capsys, "--out", str(tmp_path / "x.mid"))
    assert status == 2
    assert "a chart is written as .musicxml" in error
