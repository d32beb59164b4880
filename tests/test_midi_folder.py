# SPDX-License-Identifier: Apache-2.0
"""Folders of MIDI files: each told of, none read twice, none that is bad in the way of the others."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from midis import bass, comping, drums, markers, packed, scale, signature, track, tune, written
from sideman import cli
from sideman_models.corpus import facts, midi_summary, read
from sideman_models.errors import CorpusError
from sideman_models.midi import folder, reading
from sideman_models.midi.reading import MidiMusic, Reading, read_midi


def music_folder(path: Path) -> Path:
    """Files of several kinds, good and bad."""
    written(path / "b" / "Autumn_Tune (2).MID", track(scale(4, 72), "Sax"), track(comping))
    written(path / "a.mid", track(markers([(0, "Dm7"), (8, "G7")]), "Blue Tune"), track(tune, "Melody"))
    written(path / "b" / "again.mid", track(markers([(0, "Dm7"), (8, "G7")]), "Blue Tune"), track(tune, "Melody"))
    written(path / "drums.midi", track(drums))
    written(path / "site.kar", track([], "www.midi.example"), track(scale(2), "Melody"))
    (path / "broken.mid").write_bytes(b"not music")
    (path / "readme.txt").write_text("nothing of ours")
    return path


@pytest.fixture(autouse=True)
def _a_cache_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    """One would not know what the network had learned from, and what not."""
    corpus = read([music_folder(tmp_path / "music")])
    assert [(Path(one.file).name, one.left_out) for one in corpus.reports] == [
        ("a.mid", ""),
        ("Autumn_Tune (2).MID", ""),
        ("again.mid", "the same as another"),
        ("broken.mid", "not a MIDI file"),
        ("drums.midi", "only drums"),
        ("site.kar", ""),
    ]
    assert [piece.title for piece in corpus.pieces] == ["Blue Tune", "Autumn Tune", "site"]
    assert corpus.left_out == {"the same as another": 1, "not a MIDI file": 1, "only drums": 1}
    assert list(corpus.files) == ["music/"]
    assert corpus.sources == ["music: 3 MIDI files, origin and licence not known to the program"]
    assert midi_summary(corpus).startswith("3 of 6 MIDI files used; 1 the same as another; ")
    assert facts(corpus)["notes"] == sum(report.notes for report in corpus.reports) == 64 + 32 + 16


def test_a_second_run_reads_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training on a large collection would begin with minutes of reading."""
    path = music_folder(tmp_path / "music")
    first = read([path])

    def refuse(data: bytes, reading: Reading) -> MidiMusic:
        raise AssertionError(f"{len(data)} bytes read again, {reading}")

    monkeypatch.setattr(folder, "read_midi", refuse)
    again = read([path])
    assert again.pieces == first.pieces
    assert [replace(one, cached=False) for one in again.reports] == first.reports
    assert sum(one.cached for one in again.reports) == 5
    with pytest.raises(AssertionError, match="read again"):
        read([path], Reading(cache=False))
    with pytest.raises(AssertionError, match="read again"):
        read([path], Reading(chords="infer"))
    monkeypatch.setattr(folder, "VERSION", -1)
    with pytest.raises(AssertionError, match="read again"):
        read([path])


READ = {3: "a0e132124ad3fe1a97af53fcd3e26a0d25feda6e8fa7212b40237d8f30bba3f5"}
"""The sha256 of a band as every version of the reader reads it."""


def test_another_reading_has_another_version() -> None:
    """Readings kept by an older release would be taken for those of a newer one, and mixed with them.

    After a change of what is read from the same bytes raise `reading.VERSION`, and add the hash here.
    """
    told = [track([signature(0, 4, 4), signature(16, 3, 4)]), track(tune), track(bass), track(comping), track(drums)]
    packed_reading = folder._pack(read_midi(packed(*told), Reading()))
    assert {reading.VERSION: hashlib.sha256(packed_reading.encode()).hexdigest()}.items() <= READ.items()


@pytest.mark.parametrize("broken", [b"", b"\xff\xfe", b"{}", b"0" * 64 + b"\n{}", None])
def test_a_broken_cache_is_no_error(tmp_path: Path, broken: bytes | None) -> None:
    """After a crash, or with a full disk, no music could be read any more."""
    path = written(tmp_path / "one.mid", track(tune, "Melody"))
    first = read([path])
    [kept] = (tmp_path / "cache").rglob("*.json")
    kept.unlink()
    if broken is None:
        kept.mkdir()  # nor can it be written
    else:
        kept.write_bytes(broken)
    assert read([path]).pieces == first.pieces
    assert read([path]).reports[0].cached == (broken is not None)
    assert sorted(kept.parent.iterdir()) == [kept]


def test_without_a_home_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service without a home could not train."""
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = written(tmp_path / "one.mid", track(tune, "Melody"))
    assert read([path]).pieces
    assert len(list((tmp_path / "home" / ".cache" / "sideman" / "corpus").rglob("*.json"))) == 1
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    assert read([path]).pieces


def test_no_cache_keeps_nothing(tmp_path: Path) -> None:
    """Whoever wants no traces would leave some."""
    assert read([written(tmp_path / "one.mid", track(tune, "Melody"))], Reading(cache=False)).pieces
    assert not (tmp_path / "cache").exists()


def test_many_files_are_read_by_many_processes_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned would depend on the number of cores."""
    for number in range(12):
        written(tmp_path / "music" / f"{number}.mid", track(scale(2, 60 + number), "Melody"), track(comping))
    alone = read([tmp_path / "music"], Reading(cache=False))
    monkeypatch.setattr(folder, "_FEW", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    together = read([tmp_path / "music"], Reading(cache=False))
    assert (together.pieces, together.reports) == (alone.pieces, alone.reports)


def test_with_nothing_left_there_is_an_error(tmp_path: Path) -> None:
    """A training would begin, and fail later with another error."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CorpusError, match="empty: no MIDI files in the folder"):
        read([empty])
    with pytest.raises(CorpusError, match=r"drums.mid: only drums"):
        read([written(tmp_path / "drums.mid", track(drums))])
    written(empty / "a.mid", track(drums))
    (empty / "b.mid").write_bytes(b"")
    with pytest.raises(CorpusError, match="left out: 1 only drums, 1 not a MIDI file"):
        read([empty])
    with pytest.raises(CorpusError, match=r"none.mid: cannot be read: No such file"):
        read([tmp_path / "none.mid"])
    os.mkfifo(tmp_path / "pipe.mid")
    with pytest.raises(CorpusError, match=r"pipe.mid: cannot be read: not a plain file"):
        read([tmp_path / "pipe.mid"])


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    """A file in a folder that is named as well would count double."""
    path = written(tmp_path / "music" / "one.mid", track(tune, "Melody"))
    corpus = read([path, path.parent])
    assert len(corpus.pieces) == len(corpus.reports) == 1


@pytest.mark.parametrize(
    ("name", "title"),
    [("Untitled", "my song"), ("track 01", "my song"), ("Tempo Track", "my song"), ("So What", "So What"),
     ("Sequence", "my song"), ("1", "my song"), ("made by me@example.org", "my song"), ("Trackdown", "Trackdown")],
)  # fmt: skip
def test_titles_tell_one_tune_from_another(tmp_path: Path, name: str, title: str) -> None:
    """All files of one program would count as one tune, all on the same side of the split."""
    path = written(tmp_path / "my_song (3).mid", track([], name), track(tune, "Melody"))
    [piece] = read([path]).pieces
    assert piece.title == title


@pytest.mark.parametrize(
    ("name", "title"),
    [("01 - So What", "So What"), ("012_so_what", "so what"), ("7. So What (12)", "So What"), ("26-2", "26-2"),
     ("500 Miles High", "500 Miles High"), ("(1)", "(1).mid"), ("11", "11")],
)  # fmt: skip
def test_numbers_of_a_collection_are_no_titles(tmp_path: Path, name: str, title: str) -> None:
    """The same tune in two collections would be learned from the one and measured on the other."""
    [piece] = read([written(tmp_path / f"{name}.mid", track(tune, "Melody"))]).pieces
    assert piece.title == title


# The command.


def test_the_command_tells_what_was_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A musician could not tell why a file was not used, or what was taken for its melody."""
    path = music_folder(tmp_path / "music")
    assert cli.main(["corpus", str(path)]) == 0
    told = capsys.readouterr().out
    assert (
        f"{path}/a.mid: 'Blue Tune', 4/4, 8 bars, 64 notes\n    melody: track 2 'Melody', channel 4, by its name\n"
        in told
    )
    assert "    chords: 2 symbols, marker events of track 1\n" in told
    assert f"{path}/drums.midi: left out: only drums\n" in told
    assert f"again.mid: left out: the same as another\n    the same as {path}/a.mid\n" in told
    assert "3 of 6 MIDI files used" in told
    assert cli.main(["corpus", str(path), "--json", "--chords", "infer"]) == 0
    told_json = json.loads(capsys.readouterr().out)
    assert told_json["pieces"] == 3
    assert told_json["midi_files"][0]["chords"] == "found from the melody alone"
    assert cli.main(["corpus", str(path), "--values", "--melody", "sax", "--no-cache"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("how", [["--chords", "guess"], ["--chords", "track:"], ["--melody", ""]])
def test_a_reading_that_there_is_not_is_refused(
    tmp_path: Path, how: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error would be taken for a wish, and every file be left out."""
    path = written(tmp_path / "one.mid", track(tune))
    assert cli.main(["corpus", str(path), *how]) == 2
    assert "--chords" in capsys.readouterr().err


def test_training_reads_as_it_is_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A musician's own files would be learned from with other chords than asked for, or fail without a reason."""
    path = music_folder(tmp_path / "music")
    train = ["train", str(path), "--out", str(tmp_path / "mine")]
    assert cli.main([*train, "--melody", "oboe", "--chords", "track:harp"]) == 65
    assert "3 no melody called 'oboe'" in capsys.readouterr().err
    assert cli.main([*train, "--chords", "guess"]) == 2
    assert not (tmp_path / "mine").exists()


def test_a_folder_can_be_measured_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A musician could not tell how well a network knows music like theirs."""
    path = music_folder(tmp_path / "music")
    assert cli.main(["evaluate", str(path), "--model", "default", "--choruses", "0", "--json"]) == 0
    told = capsys.readouterr()
    assert "3 of 6 MIDI files used; " in told.err
    assert json.loads(told.out)["pieces"] == 3
