# SPDX-License-Identifier: Apache-2.0
"""Where configurations, presets and charts are found, and which of them wins."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sideman.commands.common import add_play_options, add_settings_options, load_settings
from sideman.config import resources
from sideman.config.sources import load_chart
from sideman.core.chart.chart import Chart, Meter
from sideman.core.chart.text import parse_changes
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError, Unavailable, UnreadableInput, UsageError
from sideman.core.settings.groups.chart import DEFAULT_CHANGES
from sideman.core.settings.schema import Settings


def settings(*words: str) -> Settings:
    """Return the settings of a command line."""
    parser = argparse.ArgumentParser()
    add_settings_options(parser)
    add_play_options(parser)
    return load_settings(parser.parse_args(words))


def chart(*words: str) -> Chart:
    """Return the chart of a command line."""
    return load_chart(settings(*words))


def write(path: Path, text: str) -> Path:
    """Write a file; create its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_bundled_files_are_found() -> None:
    """Guards against: an installation without presets and charts."""
    assert resources.bundled_path("config", "default.yaml").is_file()
    assert {"ballad", "bebop", "sparse"} <= set(resources.resource_names("presets", ".yaml"))


def test_an_installation_without_its_data_files_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a broken package that counts as an empty configuration."""
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "a" / "b" / "c")
    with pytest.raises(Unavailable, match="install sideman again"):
        resources.bundled_path("config")


def test_the_package_comes_before_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: an installed program that reads files from the folder above it."""
    package = tmp_path / "lib" / "sideman"
    for root in (package / "share", tmp_path):
        write(root / "config" / "default.yaml", "")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.bundled_path("systemd") == package / "share" / "systemd"


def test_default_paths_are_tried_in_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a file at the documented path that is silently ignored."""
    machine = tmp_path / "etc"
    monkeypatch.setattr(resources, "_SYSTEM", machine)
    assert resources.config_path(None) is None
    for bpm, path in enumerate([machine / "config.yaml", home / ".config" / "sideman" / "config.yaml"], 100):
        write(path, f"tempo: {{bpm: {bpm}}}\n")
        assert settings().tempo.bpm == bpm
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    write(tmp_path / "xdg" / "sideman" / "config.yaml", "tempo: {bpm: 102}\n")
    assert settings().tempo.bpm == 102
    monkeypatch.setenv("SIDEMAN_CONFIG", str(write(tmp_path / "env.yaml", "tempo: {bpm: 103}\n")))
    assert settings().tempo.bpm == 103
    assert settings("--config", str(write(tmp_path / "named.yaml", "tempo: {bpm: 104}\n"))).tempo.bpm == 104


def test_a_user_without_a_home_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a traceback for a service that runs as a user without a home."""

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert resources.user_config_folder() is None


def test_defaults_then_preset_then_file_then_set(tmp_path: Path) -> None:
    """Guards against: settings that override each other in another order than documented."""
    file = write(tmp_path / "my.yaml", "play: {velocity: 70, rests: 4}\n")
    found = settings("--set", "play.rests=5", "--config", str(file), "--preset", "bebop", "--set", "tempo.meter=3/4")
    assert (found.play.rate, found.play.velocity, found.play.rests, found.tempo.meter) == ("eighth", 70, 5, Meter(3, 4))


def test_problems_of_all_sources_are_reported_together(home: Path) -> None:
    """Guards against: the next mistake that appears only when the first one is corrected."""
    write(home / ".config" / "sideman" / "presets" / "mine.yaml", "play: {rate: x}\n")
    write(home / ".config" / "sideman" / "config.yaml", "tempo:\n  bpm: 1\n  bpm: 2\n")
    with pytest.raises(ConfigError) as caught:
        settings("--preset", "mine", "--set", "nope=1")
    words = ["given twice", "play.rate", "tempo.bpm: 1", "nope"]
    assert all(word in line for word, line in zip(words, str(caught.value).splitlines(), strict=True))


def test_quiet_and_verbose_set_the_log() -> None:
    """Guards against: a line for each bar although the user asked for quiet."""
    assert settings("-q").log.level == "warning"
    assert settings("-v", "--set", "play.mode=off").log.level == "debug"
    with pytest.raises(UsageError, match="choose one of them"):
        settings("-q", "-v")


def test_chords_are_chords_wherever_their_first_bar_line_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: chords that are taken for the name of a file, and a file that is taken for chords."""
    for chords in ("| Dm7 | G7 |", "Dm7 | G7", "[A] | Dm7 | G7 |", "key: C\n| Dm7 | G7 |"):
        assert settings("--chart", chords).chart.changes == chords
    with pytest.raises(NoSuchInput, match=r"Dm7 G7: no such file, .*chords go between bar lines: \| Dm7 \| G7 \|$"):
        load_chart(settings("--chart", "Dm7 G7"))
    with pytest.raises(NoSuchInput, match=r"chords go between bar lines: \| Dm7/C \| G7/B \|$"):
        load_chart(settings("--chart", "Dm7/C G7/B"))
    for first in ("", "Dm7 "):
        chords = first + "| Dm7 | G7 | Cmaj7 | A7b9 " * 20 + "|"
        assert settings("--chart", chords).chart.changes == chords
    monkeypatch.chdir(tmp_path)
    write(home / ".config" / "sideman" / "charts" / "x.chart", "title: A | B\n| C |")
    Path("a|b.chart").write_text("| C |")
    for name in ("a|b.chart", "x#A | B"):
        assert settings("--chart", name).chart.file == name


def test_a_set_without_its_commas_is_explained() -> None:
    """Guards against: a set list for tonight that is refused, and the musician does not see why."""
    with pytest.raises(NoSuchInput, match=r"^chart.file: Alone in December: no such file, (?!.*commas)"):
        load_chart(settings("--set", "chart.set=['Alone in December']", "--set", "chart.song=1"))
    for song in ("blues 3 choruses", "blues, 3 choruses in Bb", "blues in Bb", "my/song.chart 160 bpm"):
        with pytest.raises(NoSuchInput, match=r"after a chart's name come commas: CHART, in Bb, 160 bpm, 3 choruses$"):
            load_chart(settings("--set", f"chart.set=['{song}']", "--set", "chart.song=1"))


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--set", "play.comp=[piano]"], ConfigError, "--set: play.comp: ['piano']: allowed is"),
        (["--set", "tempo.bpm"], UsageError, "write KEY=VALUE"),
        (["--set", "tempo.bpm=fast"], ConfigError, "--set: tempo.bpm: 'fast'"),
        (["--preset", "bepop"], NoSuchInput, "did you mean bebop"),
        (["--preset", "../../etc/passwd"], NoSuchInput, "no such preset"),
        (["--preset", ""], NoSuchInput, "no such preset"),
        (["--set", "midi.programs.1=balad"], ConfigError, "--set: midi.programs.1: balad: no such preset; there are"),
        (["--config", "nowhere.yaml"], NoSuchInput, "nowhere.yaml: no such file"),
        (["--config", ""], SidemanError, "a folder"),
        (["--set", "chart.changes=| C7 | Xyz |"], ConfigError, "--set: chart.changes, bar 2: 'Xyz'"),
    ],
)
def test_a_wrong_option_is_reported_on_one_line(words: list[str], error: type[SidemanError], message: str) -> None:
    """Guards against: a user who does not know which option is wrong."""
    with pytest.raises(error) as caught:
        settings(*words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", resources.resource_names("charts", ".chart", ".txt"))
def test_every_bundled_chart_is_valid(name: str) -> None:
    """Guards against: a chart that comes with sideman and ends in an error."""
    assert len(chart("--set", f"chart.file={name}").bars) >= 8


def test_the_blues_chart_is_the_default_chart() -> None:
    """Guards against: two versions of the default chords."""
    assert chart("--set", "chart.file=blues") == chart() == parse_changes(DEFAULT_CHANGES, Meter(4, 4), "")


def test_charts_are_transposed() -> None:
    """Guards against: a singer's key that cannot be played."""
    assert chart("--set", "chart.transpose=2").bars[0].chords[0][1].text == "G7"


def test_a_relative_chart_path_starts_at_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a service, which runs in /, that does not find the chart next to its configuration."""
    write(tmp_path / "band" / "tune.txt", "| Eb7 |\n")
    file = write(tmp_path / "band" / "my.yaml", "chart: {file: tune.txt}\n")
    monkeypatch.chdir("/")
    assert chart("--config", str(file)).bars[0].chords[0][1].text == "Eb7"


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("wrong.txt", b"| C7 | Hm |", UnreadableInput, "wrong.txt, bar 2: 'Hm'"),
        ("empty.txt", b"# nothing\n", UnreadableInput, "empty.txt: this is no chart"),
        ("binary.txt", b"\xff\xfe\x00", UnreadableInput, "binary.txt: not text"),
        ("gone.txt", None, NoSuchInput, "gone.txt: no such file"),
    ],
)
def test_an_invalid_chart_file_is_reported(
    tmp_path: Path, name: str, content: bytes | None, error: type[SidemanError], message: str
) -> None:
    """Guards against: a wrong chord that is found only on stage."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as caught:
        chart("--set", f"chart.file={tmp_path / name}")
    assert message in str(caught.value)


def test_an_unknown_chart_name_suggests_the_closest() -> None:
    """Guards against: a user who has to look up the names of the charts."""
    with pytest.raises(NoSuchInput, match="did you mean blues"):
        chart("--set", "chart.file=bluse")
