# SPDX-License-Identifier: Apache-2.0
"""`sideman charts` and `sideman presets`, and `ctl chart` and `ctl preset` without a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sideman import cli
from support.ireal import html_page, playlist_link, song_text

Said = pytest.CaptureFixture[str]


def sideman(capsys: Said, *words: str) -> tuple[int, str, str]:
    """Run `sideman` with these words; its status, output and errors."""
    status = cli.main(list(words))
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_songs_of_a_folder_are_listed(tmp_path: Path, capsys: Said) -> None:
    """Guards against: a playlist whose songs can only be guessed, and one broken file that hides all others."""
    songs = [song_text("Blue Rain", "T44*A[C6|F6|*BG7|C6Z"), song_text("Empty", "T44[n|nZ")]
    (tmp_path / "gig.html").write_text(html_page(playlist_link(*songs)))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "tune.abc").write_text('X:1\nT:Reel\nM:3/4\nQ:1/4=90\nK:Gm\nP:A\n"Gm"G6|\nP:B\n"D7"d6|')
    (tmp_path / "typed.txt").write_text("My Song\nkey: Bb\nstyle: bossa\n| Bb | F7 | Bb |")
    (tmp_path / "notes.txt").write_text("buy milk\nand bread\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    status, out, _ = sideman(capsys, "charts", str(tmp_path))
    assert status == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "# title key bars meter tempo form file"
    assert "1 Blue Rain F 4 4/4 120 AB gig.html" in lines
    assert "2 Empty cannot be read gig.html" in lines
    assert "1 notes cannot be read notes.txt" in lines
    assert "1 Reel Gm 2 3/4 90 AB tune.abc" in lines
    assert "1 My Song Bb 3 4/4 typed.txt" in lines
    assert len(lines) == 6
    facts = json.loads(sideman(capsys, "charts", "--json", str(tmp_path / "typed.txt"))[1])
    assert [(each["title"], each["style"], each["bars"], each["form"]) for each in facts] == [
        ("My Song", "bossa", 3, [])
    ]


def test_the_charts_that_have_a_name_are_listed(home: Path, capsys: Said) -> None:
    """Guards against: charts that come with sideman and that are never found."""
    folder = home / ".config" / "sideman" / "charts"
    folder.mkdir(parents=True)
    (folder / "mine.chart").write_text("title: Mine\n| C |")
    status, out, _ = sideman(capsys, "charts")
    assert status == 0
    assert all(title in out for title in ("Mine", "The Long Way Home", "minor-blues"))
    assert sideman(capsys, "ctl", "chart")[1].split() == [
        "blues", "coda", "lamplight", "mine", "minor-blues", "modal", "two-five-one", "waltz"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [(["bleus"], 66, "did you mean blues?"), (["notes.txt"], 65, "this is no chart")],
)
def test_what_is_no_chart_is_an_error(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, reason: str
) -> None:
    """Guards against: an empty list in place of an answer."""
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("buy milk\nand bread\n")
    got, _, err = sideman(capsys, "charts", *words)
    assert got == status
    assert reason in err


def test_titles_cannot_take_over_the_terminal(tmp_path: Path, capsys: Said) -> None:
    """Guards against: a playlist from the net that writes into the window."""
    (tmp_path / "gig.txt").write_text(playlist_link(song_text("\x1b[2JRain\u202e", "T44[C6|F6Z")))
    out = sideman(capsys, "charts", str(tmp_path))[1]
    assert "Rain" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_the_presets_are_listed(home: Path, capsys: Said) -> None:
    """Guards against: presets that have to be guessed, and one mistake that hides all others."""
    folder = home / ".config" / "sideman" / "presets"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("play:\n  gate: 0.5\n")
    (folder / "wrong.yaml").write_text("play: [\n")
    status, out, _ = sideman(capsys, "presets")
    assert status == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert {"bebop", "ballad", "mine", "wrong"} <= lines.keys()
    assert lines["mine"].endswith("play.gate=0.5")
    assert "wrong.yaml" in lines["wrong"]
    facts = {each["name"]: each for each in json.loads(sideman(capsys, "presets", "--json")[1])}
    assert facts["mine"]["settings"] == ["play.gate=0.5"]
    assert "wrong" in facts["wrong"]
    assert sideman(capsys, "ctl", "preset")[1].split() == sorted(facts)


def test_check_shows_each_song_of_a_set(tmp_path: Path, capsys: Said) -> None:
    """Guards against: a song that cannot be read, which is found out on the stage."""
    config = tmp_path / "my.yaml"
    text = "chart:\n  set:\n    - waltz, in G\n    - blues, 90 bpm, 2 choruses\nmidi: {input: none, output: none}\n"
    config.write_text(text)
    status, out, _ = sideman(capsys, "check", "--config", str(config))
    assert status == 0
    assert "songs   1 waltz, in G: 24 bars, 150 bpm" in out
    assert "        2 blues, 90 bpm, 2 choruses: 12 bars, 90 bpm" in out
    config.write_text(text.replace("blues", "bleus"))
    status, out, _ = sideman(capsys, "check", "--config", str(config))
    assert status == 65
    assert "song 2, bleus, 90 bpm, 2 choruses: " in out
