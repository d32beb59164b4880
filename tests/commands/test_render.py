# SPDX-License-Identifier: Apache-2.0
"""`sideman render`: reproducible takes as MIDI files, pictures and sound, one or many."""

from __future__ import annotations

import argparse
import io
import re
import shutil
import stat
import sys
import wave
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.charts.detect import read_songs
from sideman.cli import main
from sideman.commands import render
from sideman.core.chart.chart import Chart
from sideman.core.errors import (
    CannotCreate,
    ConfigError,
    DiskError,
    NoSuchInput,
    SidemanError,
    Unavailable,
    UnreadableInput,
    UsageError,
)
from sideman.core.events import note_spans
from sideman.core.settings.groups.tempo import COMMON_TIME
from sideman.render.render import render_take, take_name, take_picture, take_seed
from sideman.sound.fluidsynth import GAIN, find_fluidsynth
from sideman_models.course.names import load_name_model as load_names
from support.fakes import performance
from support.processes import write_bundle
from support.scores import notes_of_parts
from support.strategies import charts

BAR_S = 2.0
FONT = b"RIFF\x04\x00\x00\x00sfbk"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a bundle beside it."""
    write_bundle(tmp_path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def run(*words: str | Path) -> int:
    """Run the command in this process, with an untrained bundle."""
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    given = [*words, "--set", "model.bundle=../untrained"]
    return render.run(parser.parse_args([str(word) for word in given]))


def fake_fluidsynth(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str = "") -> Path:
    """A fluidsynth first on the PATH that notes its options and writes ten seconds of silence, or `does` else."""
    bin_folder = folder.parent / "bin"
    bin_folder.mkdir()
    silence = r"printf 'RIFF\044\000\000\000WAVE' > $2; head -c 1764044 /dev/zero >> $2"
    program = bin_folder / "fluidsynth"
    shift = 'while [ "$1" != -F ]; do shift; done'
    program.write_text(f'#!/bin/sh\necho "$@" > "{bin_folder}/options"\n{shift}\n{does or silence}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(bin_folder), prepend=":")
    (folder.parent / "font.sf2").write_bytes(FONT)
    return bin_folder / "options"


# -- one take


def test_the_seed_makes_the_take(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a solo that cannot be reproduced; `--seed` that differs from the setting."""
    run("--out", "a.mid", "--bars", "2", "--seed", "5")
    assert re.fullmatch(r"a\.mid: \d+ notes, 2 bars, seed 5, [\d,]+ × real time\n", capsys.readouterr().out)
    run("--out", "b.mid", "--bars", "2", "--set", "play.seed=5")
    run("--out", "c.mid", "--bars", "2", "--seed", "6", "--set", "play.seed=5")
    run("--out", "d.mid", "--bars", "2", "--seed", "6")
    a, b, c, d = (Path(f"{name}.mid").read_bytes() for name in "abcd")
    assert a == b
    assert c == d != a


def test_the_length_is_chart_choruses_unless_bars_are_given(folder: Path) -> None:
    """Guards against: a take that ends in the middle of a chorus, or never."""
    changes_of = ["--set", "chart.changes=| C7 | F7 | G7 |"]
    for words, bars in (
        ([], 32),
        (["--set", "chart.choruses=2"], 6),
        (["--set", "chart.choruses=2", "--bars", "4"], 4),
    ):
        run("--out", "a.mid", *changes_of, *words)
        assert mido.MidiFile("a.mid").length == pytest.approx(bars * BAR_S)


@settings(max_examples=20)
@given(charts(), st.integers(1, 8))
def test_the_chords_of_a_picture_are_those_of_the_chart(chart: Chart, bars: int) -> None:
    """Guards against: a picture with other chords than those that were played over."""
    take = render_take(replace(performance(play__rate="beat"), chart=chart), bars, "take")
    printed = list(take.chords)
    assert printed[0][0] == 0
    assert all(beat < take.beats for beat, _ in printed)
    assert [take.beat_of_bar(bar) for bar in range(bars + 3)] == [chart.beat_of_bar(bar) for bar in range(bars)] + [
        pytest.approx(take.beats + over * float(chart.meter_at(take.beats - 0.01).quarters)) for over in range(3)
    ]
    for half in range(int(2 * take.beats)):
        name = [text for beat, text in printed if beat <= half / 2 + 1e-6][-1]
        assert name == chart.chord_at(half / 2).text


@settings(max_examples=10)
@given(st.sampled_from(["beat", "eighth", "phrase"]), st.integers(0, 2**32 - 1))
def test_every_note_of_a_take_has_its_length(rate: str, seed: int) -> None:
    """Guards against: notes that are missing in the picture, or never end."""
    take = render_take(performance(play__rate=rate, play__seed=seed), 4, "take")
    notes = list(note_spans(take.events))
    assert len(notes) == take.notes
    assert all(length > 0 and onset + length <= take.beats for onset, length, _ in notes)
    assert (take.bars, take.seconds, take.seed) == (4, 8.0, seed)
    assert mido.MidiFile(file=io.BytesIO(take.midi)).tracks[1].name == "take"


def test_the_accompaniment_has_a_track_of_its_own(folder: Path) -> None:
    """Guards against: an accompaniment in the solo's track, or none at all."""
    solo = ("--bars", "4", "--seed", "1")
    run("--out", "a.mid", *solo)
    run("--out", "b.mid", *solo, "--set", "play.comp=bass")
    alone, both = mido.MidiFile("a.mid"), mido.MidiFile("b.mid")
    assert [track.name for track in both.tracks] == ["", "sideman", "comp"]
    assert both.tracks[:2] == alone.tracks
    comp = [message for message in both.tracks[2] if not message.is_meta]
    assert {message.channel for message in comp} == {1}
    assert comp[0].program == 32
    assert sum(message.type == "note_on" for message in comp) == 16


def test_a_render_does_not_wait_and_has_the_sounds_of_the_settings(folder: Path) -> None:
    """Guards against: an empty file where sideman is armed on stage, and a rendered bass with another sound."""
    sounds = ("midi.comp_program=34", "midi.comp_bank=130", "midi.program=12", "play.start=armed")
    run(
        "--out",
        "a.mid",
        "--bars",
        "2",
        "--seed",
        "1",
        "--set",
        "play.comp=bass",
        *(w for s in sounds for w in ("--set", s)),
    )
    _, solo, comp = ([message for message in track if not message.is_meta] for track in mido.MidiFile("a.mid").tracks)
    assert (solo[0].type, solo[0].program) == ("program_change", 11)
    assert [(message.control, message.value) for message in comp[:2]] == [(0, 1), (32, 2)]
    assert comp[2].program == 33
    assert sum(message.type == "note_on" for message in comp) == 8


# -- many takes


def test_many_takes_have_names_and_seeds_of_their_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: many takes without names of their own, or that cannot be reproduced."""
    run("--takes", "3", "--out", "takes", "--seed", "5", "--bars", "2")
    *lines, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"3 takes, seed 5: 0\.2 minutes of music, [\d,]+ × real time", last)
    printed = [re.fullmatch(r"takes/(\w+)\.mid: \d+ notes, 2 bars, seed (\d+)", line) for line in lines]
    found = {match[1]: match[2] for match in printed if match}
    assert len(found) == len({*found.values()}) == 3
    for name, seed in found.items():
        run("--out", "again.mid", "--seed", seed, "--bars", "2")
        again, take = mido.MidiFile("again.mid"), mido.MidiFile(f"takes/{name}.mid")
        assert take.tracks[1].name == name
        assert [m for m in take.tracks[1] if not m.is_meta] == [m for m in again.tracks[1] if not m.is_meta]
    run("--takes", "3", "--out", "twice", "--seed", "5", "--bars", "2")
    assert all(
        (folder / "takes" / f"{name}.mid").read_bytes() == Path(f"twice/{name}.mid").read_bytes() for name in found
    )


def test_a_pattern_names_the_takes(folder: Path) -> None:
    """Guards against: takes that cannot be sorted, or written where another program needs them."""
    run("--takes", "2", "--out", "{number}/{name}-{seed}.mid", "--seed", "5", "--bars", "1")
    assert [path.parent.name for path in sorted(folder.glob("*/*.mid"))] == ["1", "2"]
    assert all(re.fullmatch(r"[A-Z][a-z]+-\d+", path.stem) for path in folder.glob("*/*.mid"))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_the_same_seed_is_always_the_same_take_and_none_has_anothers_name(seed: int) -> None:
    """Guards against: one more take changes the others; a take overwrites another."""
    seeds = [take_seed(seed, number) for number in range(1, 6)]
    assert len({*seeds}) == 5
    model, known = load_names(), set[str]()
    names = [take_name(model, one, known) for one in [*seeds, seeds[0]]]
    assert len({*names}) == 6
    assert names[0] == take_name(model, seeds[0], set())


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--out", "x.mid", "--bars", "0"], UsageError),
        (["--out", "x.mid", "--seed", "-1"], ConfigError),
        (["--out", "x.mid", "--seed", str(2**32)], ConfigError),
        (["--out", "x", "--takes", "0"], UsageError),
        (["--out", "x.mid", "--takes", "2"], UsageError),
        (["--out", "{name}.mid"], UsageError),
        (["--out", "x", "--takes", "2", "--picture", "x.png"], UsageError),
        (["--out", "{name}", "--takes", "2", "--picture", "{name}"], UsageError),
        (["--out", "x", "--picture", "x"], UsageError),
        (["--out", "x.mid", "--sound-font", "x.sf2"], UsageError),
        (["--out", "../untrained/values.json/x.mid"], CannotCreate),
        (["--out", "../untrained/values.json", "--takes", "2"], CannotCreate),
    ],
)
def test_an_output_that_cannot_be_written_is_reported_first(
    words: list[str], error: type[SidemanError], folder: Path
) -> None:
    """Guards against: a typing mistake that is reported only after the long work, or costs files."""
    with pytest.raises(error):
        run(*words)
    assert not list(folder.rglob("*"))


# -- pictures


def test_a_picture_comes_with_the_take(folder: Path) -> None:
    """Guards against: a take without a picture."""
    pytest.importorskip("matplotlib")
    run("--out", "a.mid", "--picture", "a.png", "--bars", "2", "--seed", "1")
    run("--takes", "2", "--out", "takes", "--picture", "takes", "--bars", "2", "--seed", "1")
    assert len(list(folder.glob("takes/*.png"))) == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.rglob("*.png"))


def test_without_matplotlib_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a traceback, or half of the files, for users without matplotlib."""
    for name in [name for name in sys.modules if name.startswith(("matplotlib", "sideman_models.pictures"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = ["render", "--out", "a.mid", "--picture", "a.png", "--set", "model.bundle=../untrained"]
    assert main(words) == 69
    assert "sideman[picture]" in capfd.readouterr().err
    assert not list(folder.iterdir())


def test_a_picture_shows_the_band_and_the_solo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a picture of a solo in the air, without the bass that it was played over."""
    pictures = pytest.importorskip("sideman_models.pictures")
    drawn: list[Any] = []

    def draw(notes: list[Any], *_: object) -> bytes:
        drawn.extend(notes)
        return b""

    monkeypatch.setattr(pictures, "piano_roll", draw)
    take = render_take(performance(play__comp="bass"), 2, "x")
    take_picture({"sideman": take.events, "band": take.band}, [], "x", take.chart.beat_of_bar)
    assert {note.player for note in drawn} == {"sideman", "band"}
    assert max(note.pitch for note in drawn if note.player == "band") <= 55


# -- sound


@pytest.mark.subprocess
def test_the_name_says_what_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a MIDI file that is called solo.wav, and which no player opens."""
    fake_fluidsynth(folder, monkeypatch)
    run("--out", "a.wav", "--bars", "2", "--sound-font", "../font.sf2")
    assert Path("a.wav").read_bytes().startswith(b"RIFF")
    for words in (["--out", "a.mp3"], ["--out", "a.mid", "--wav", "b.png"], ["--out", "{name}.ogg", "--takes", "2"]):
        with pytest.raises(UsageError, match="its name says"):
            run(*words)
    run("--out", "take 1.5", "--bars", "1")
    assert Path("take 1.5").read_bytes().startswith(b"MThd")


@pytest.mark.subprocess
def test_a_sound_file_is_as_loud_as_live_sound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a file that is a third as loud as what was heard with --sound."""
    options = fake_fluidsynth(folder, monkeypatch)
    run("--out", "a.mid", "--bars", "2", "--wav", "a.wav", "--sound-font", "../font.sf2")
    given = options.read_text().split()
    assert given[given.index("-g") + 1] == str(GAIN)


@pytest.mark.subprocess
def test_a_take_becomes_sound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a take that cannot be heard without a synthesizer."""
    options = fake_fluidsynth(folder, monkeypatch)
    run("--out", "a.mid", "--wav", "a.wav", "--sound-font", "../font.sf2", "--bars", "2")
    assert Path("a.wav").read_bytes().startswith(b"RIFF")
    assert {path.name for path in folder.iterdir()} == {"a.mid", "a.wav"}
    assert re.search(r"-F \S+\.wav \.\./font\.sf2 \S+\.mid$", options.read_text().strip())


@pytest.mark.subprocess
def test_the_users_own_sound_font_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: the user's sound font is not found, or another kind of file is used."""
    options = fake_fluidsynth(folder, monkeypatch)
    own = folder.parent / "data" / "soundfonts"
    own.mkdir(parents=True)
    for name, content in (("a.sf2", b"no font"), ("bells.sf2", FONT), ("default.sf2", FONT), ("x.txt", FONT)):
        (own / name).write_bytes(content)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder.parent / "data"))
    run("--out", "a.mid", "--wav", "a.wav", "--bars", "2")
    assert str(own / "default.sf2") in options.read_text()


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("does", "error", "words"),
    [
        ("echo 'no such font' >&2", Unavailable, "wrote no sound: no such font"),
        ("printf 'nonsense' > $2", Unavailable, "wrote no sound"),
        ("printf 'RIFF' > $2", DiskError, "only a part"),
    ],
)
def test_if_fluidsynth_fails_the_old_sound_file_stays(
    does: str, error: type[SidemanError], words: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: half a sound file, because fluidsynth ends with status 0 when it fails."""
    fake_fluidsynth(folder, monkeypatch, does)
    Path("a.wav").write_bytes(b"the old one")
    with pytest.raises(error, match=words):
        run("--out", "a.mid", "--wav", "a.wav", "--sound-font", "../font.sf2", "--bars", "2")
    assert Path("a.wav").read_bytes() == b"the old one"
    assert {path.name for path in folder.iterdir()} == {"a.mid", "a.wav"}


@pytest.mark.parametrize("place", ["nowhere/a.wav", "."])
def test_a_wrong_path_for_sound_is_an_error(place: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a wrong path that causes a traceback."""
    fake_fluidsynth(folder, monkeypatch)
    with pytest.raises(CannotCreate):
        run("--out", "a.mid", "--wav", place, "--sound-font", "../font.sf2", "--bars", "2")


def test_a_device_is_not_replaced_by_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: `--wav /dev/null` replaces the device."""
    fake_fluidsynth(folder, monkeypatch)
    with pytest.raises(CannotCreate):
        run("--out", "a.mid", "--wav", "/dev/null", "--sound-font", "../font.sf2", "--bars", "2")
    assert Path("/dev/null").is_char_device()


def test_a_missing_fluidsynth_is_reported_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a missing fluidsynth that is reported only after the long work."""
    fake_fluidsynth(folder, monkeypatch)
    with pytest.raises(NoSuchInput, match="no such file"):
        find_fluidsynth(folder / "nothing.sf2")
    with pytest.raises(UnreadableInput, match="not a sound font"):
        find_fluidsynth(Path(__file__))
    monkeypatch.setattr("sideman.sound.fluidsynth._FONT_FOLDERS", {str(folder): (".",)})
    with pytest.raises(Unavailable, match="--sound-font"):
        run("--out", "a.mid", "--wav", "a.wav")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(Unavailable, match="not installed"):
        run("--out", "a.mid", "--wav", "a.wav")
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_the_real_fluidsynth_plays_the_whole_take(folder: Path) -> None:
    """Guards against: sound that ends before the solo, or silence."""
    if shutil.which("fluidsynth") is None:
        pytest.skip("no fluidsynth here")
    try:
        find_fluidsynth(None)
    except Unavailable as error:
        pytest.skip(str(error))
    run("--out", "a.mid", "--wav", "a.wav", "--bars", "1", "--seed", "1", "--set", "play.density=4")
    with wave.open("a.wav") as sound:
        assert sound.getnframes() >= BAR_S * sound.getframerate()
        assert any(sound.readframes(sound.getframerate()))


def test_a_set_is_rendered_song_by_song(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a set of which only the first song is heard, or songs in the wrong key, at the wrong tempo."""
    Path("slow.chart").write_text("title: Slow One\nkey: F\n| Dm7 | G7 | Fmaj7 | % |", "utf-8")
    Path("quick.chart").write_text("title: Quick\ntempo: 200\nkey: C\n3/4 | C | G7 |", "utf-8")
    songs = [
        "--set",
        "chart.set=['slow.chart, in G, 60 bpm, 2 choruses', quick.chart]",
        "--set",
        "play.comp=[bass, drums]",
    ]
    assert run("--out", "set.mid", *songs) == 0
    assert ": 2 songs, " in capsys.readouterr().out
    file = mido.MidiFile("set.mid")
    timed = [(sum(each.time for each in file.tracks[0][: at + 1]), each) for at, each in enumerate(file.tracks[0])]
    end = 8 * 4 * file.ticks_per_beat
    tempos = [(tick, round(mido.tempo2bpm(each.tempo))) for tick, each in timed if each.type == "set_tempo"]
    assert tempos == [(0, 60), (end, 200)]
    meters = [(tick, each.numerator) for tick, each in timed if each.type == "time_signature"]
    assert meters == [(0, 4), (end, 3)]
    chords = [each.text for _, each in timed if each.type == "marker"]
    assert chords == [*["Em7", "A7", "Gmaj7"] * 2, "C", "G7"]
    assert file.length == pytest.approx(32.0 + 6 * 0.3)
    assert all(sum(each.type == "note_on" for each in track) for track in file.tracks[1:])
    run("--out", "set.musicxml", *songs)
    parts = notes_of_parts(Path("set.musicxml").read_bytes())
    assert len(parts) == 3
    assert len(list(ET.parse("set.musicxml").iterfind("part[1]/measure"))) == 10
    run("--out", "set.html", *songs)
    assert [song.title for song in read_songs(Path("set.html"), COMMON_TIME)] == ["Slow One", "Quick"]
    run("--picture", "set.png", "--out", "set.mid", *songs)


@pytest.mark.parametrize("count", [3, 5])
def test_a_long_set_is_rendered(count: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a render that never ends, or leaves songs out, because a set has more than two."""
    for number in range(count):
        Path(f"{number}.chart").write_text(f"title: {number}\n| {'CDEFG'[number]} |", "utf-8")
    songs = [f"{number}.chart, {number % 2 + 1} choruses" for number in range(count)]
    assert run("--out", "set.mid", "--set", f"chart.set=[{', '.join(map(repr, songs))}]") == 0
    assert f": {count} songs, " in capsys.readouterr().out
    chords = [each.text for each in mido.MidiFile("set.mid").tracks[0] if each.type == "marker"]
    assert chords == [*"CDEFG"[:count]]


@pytest.mark.parametrize(("named", "bars"), [("2", 32), ("slow one", 4), ("QUICK", 32), ("ow o", 4), ("slow.chart", 4)])
def test_a_song_of_a_set_is_rendered(named: str, bars: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a song that can be rendered only by writing the whole set again."""
    Path("slow.chart").write_text("title: Slow One\n| Dm7 | G7 | Fmaj7 | % |", "utf-8")
    Path("quick.chart").write_text("title: Quick\n| C | G7 |", "utf-8")
    songs = ["--set", "chart.set=['slow.chart, 1 chorus', quick.chart]"]
    run("--out", "a.mid", "--chart", named, *songs)
    assert f"notes, {bars} bars" in capsys.readouterr().out
    with pytest.raises(NoSuchInput, match=r"no chart of that name.*nearest are 1 'Slow One'"):
        run("--out", "a.mid", "--chart", "slow ona", *songs)
    with pytest.raises(UsageError, match="--bars is for one song"):
        run("--out", "a.mid", "--bars", "3", *songs)
    with pytest.raises(UsageError, match=r"html holds all"):
        run("--out", "a.txt", *songs)


# -- practice


def conductor(name: str) -> tuple[list[tuple[float, str]], list[tuple[float, str]], list[tuple[float, int]]]:
    """The chords, the meters and the tempos of a MIDI file, with their beats."""
    file = mido.MidiFile(name)
    beat, chords, meters, tempos = 0.0, [], [], []
    for each in file.tracks[0]:
        beat += each.time / file.ticks_per_beat
        if each.type == "marker":
            chords.append((beat, each.text))
        elif each.type == "time_signature":
            meters.append((beat, f"{each.numerator}/{each.denominator}"))
        elif each.type == "set_tempo":
            tempos.append((beat, round(mido.tempo2bpm(each.tempo))))
    return chords, meters, tempos


def score_chords(name: str) -> list[list[str]]:
    """The roots of the chords of each measure of a score."""
    measures = ET.parse(name).iterfind("part[1]/measure")
    return [[root.text or "" for root in each.iterfind("harmony/root/root-step")] for each in measures]


def test_a_rendered_loop_has_the_bars_that_were_played(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a file with the chords, the meters and the number of bars of the chart, which were not played."""
    words = ["--bars", "4", "--set", "chart.changes=| C | 3/4 F | 4/4 Bb | Eb |", "--set"]
    run("--out", "a.mid", *words, "practice.loop=2")
    run("--out", "a.musicxml", *words, "practice.loop=2")
    chords, meters, _ = conductor("a.mid")
    assert chords == [(0.0, "F")]
    assert meters == [(0.0, "3/4")]
    assert all(root in ([], ["F"]) for root in score_chords("a.musicxml"))
    beats = [each.findtext("attributes/time/beats") for each in ET.parse("a.musicxml").iterfind("part[1]/measure")]
    assert [each for each in beats if each] == ["3"]
    assert len(beats) == 4
    run("--out", "b.mid", *words, "practice.loop=2-3")
    assert conductor("b.mid")[:2] == (
        [(0.0, "F"), (3.0, "Bb"), (7.0, "F"), (10.0, "Bb")],
        [(0.0, "3/4"), (3.0, "4/4"), (7.0, "3/4"), (10.0, "4/4")],
    )


def test_a_rendered_loop_ends_after_its_rounds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a render that never ends."""
    words = ["--set", "chart.changes=| C | F | G | Am |", "--set", "practice.loop=1-2", "--set", "chart.choruses=2"]
    run("--out", "a.mid", *words)
    assert " 4 bars," in capsys.readouterr().out
    assert conductor("a.mid")[0] == [(0.0, "C"), (4.0, "F"), (8.0, "C"), (12.0, "F")]
    run("--out", "b.mid", *words, "--set", "practice.count_in=1")
    assert " 5 bars," in capsys.readouterr().out
    assert conductor("b.mid")[0][-2:] == [(8.0, "C"), (16.0, "F")]
    assert mido.MidiFile("b.mid").length == pytest.approx(5 * BAR_S)


def test_a_rendered_round_in_another_key_and_tempo_is_written_so(folder: Path) -> None:
    """Guards against: chords in the first key under a solo in the next; a file at the wrong tempo."""
    words = ["--set", "chart.changes=| C | G |", "--set", "practice.transpose=fourths", "--set", "practice.tempo=20"]
    run("--out", "a.mid", *words, "--bars", "6")
    chords, _, tempos = conductor("a.mid")
    assert [text for _, text in chords] == ["C", "G", "F", "C", "Bb", "F"]
    assert tempos == [(0, 120), (8, 140), (16, 160)]
    run("--out", "a.musicxml", *words, "--bars", "6")
    assert score_chords("a.musicxml") == [["C"], ["G"], ["F"], ["C"], ["B"], ["F"]]


def test_a_set_with_a_loop_goes_on_to_its_second_song(folder: Path) -> None:
    """Guards against: a set that stays in its first song, or chords of the wrong one."""
    Path("one.chart").write_text("title: One\n| C | F | G |", "utf-8")
    Path("two.chart").write_text("title: Two\n3/4 | Ab | Db | Eb |", "utf-8")
    run("--out", "a.mid", "--set", "chart.set=['one.chart, 2 choruses', two.chart]", "--set", "practice.loop=2")
    assert conductor("a.mid")[:2] == ([(0.0, "F"), (8.0, "Db")], [(0.0, "4/4"), (8.0, "3/4")])
