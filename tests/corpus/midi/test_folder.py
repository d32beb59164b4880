# SPDX-License-Identifier: Apache-2.0
"""Folders of MIDI files: one report for each file, cached readings, and errors that affect only one file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from sideman import cli
from sideman_models.corpus.corpus import corpus_facts, midi_summary, read_corpus
from sideman_models.corpus.midi import folder, reader
from sideman_models.corpus.midi.reader import MidiMusic, ReadingOptions, read_midi
from sideman_models.errors import CorpusError
from sideman_models.network.bundle import load_bundle
from support.midi_files import (
    bass,
    comping,
    drums,
    marker_events,
    meter_event,
    midi_bytes,
    note_events,
    scale_events,
    track,
    tune,
    write_midi,
)
from support.processes import run_sideman


def music_folder(path: Path) -> Path:
    """Write files of several kinds, good and bad."""
    write_midi(path / "b" / "Autumn_Tune (2).MID", track(scale_events(4, 72), "Sax"), track(comping))
    write_midi(path / "a.mid", track(marker_events([(0, "Dm7"), (8, "G7")]), "Blue Tune"), track(tune, "Melody"))
    write_midi(
        path / "b" / "again.mid", track(marker_events([(0, "Dm7"), (8, "G7")]), "Blue Tune"), track(tune, "Melody")
    )
    write_midi(path / "drums.midi", track(drums))
    write_midi(path / "site.kar", track([], "www.midi.example"), track(scale_events(2), "Melody"))
    (path / "broken.mid").write_bytes(b"not music")
    (path / "readme.txt").write_text("not a MIDI file")
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_each_file_of_a_folder_has_a_report(tmp_path: Path) -> None:
    """Guards against: a user who cannot know what the network was trained on."""
    corpus = read_corpus([music_folder(tmp_path / "music")])
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
    assert corpus_facts(corpus)["notes"] == sum(report.notes for report in corpus.reports) == 64 + 32 + 16


def test_a_second_run_reads_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: minutes of reading at the start of each training on a large collection."""
    path = music_folder(tmp_path / "music")
    first = read_corpus([path])

    def refuse(data: bytes, reading: ReadingOptions) -> MidiMusic:
        raise AssertionError(f"{len(data)} bytes read again, {reading}")

    monkeypatch.setattr(folder, "read_midi", refuse)
    second = read_corpus([path])
    assert second.pieces == first.pieces
    assert [replace(one, cached=False) for one in second.reports] == first.reports
    assert sum(one.cached for one in second.reports) == 5
    with pytest.raises(AssertionError, match="read again"):
        read_corpus([path], ReadingOptions(use_cache=False))
    with pytest.raises(AssertionError, match="read again"):
        read_corpus([path], ReadingOptions(chords="infer"))
    monkeypatch.setattr(folder, "READER_VERSION", -1)
    with pytest.raises(AssertionError, match="read again"):
        read_corpus([path])


READ = {
    3: "a0e132124ad3fe1a97af53fcd3e26a0d25feda6e8fa7212b40237d8f30bba3f5",
    4: "a0e132124ad3fe1a97af53fcd3e26a0d25feda6e8fa7212b40237d8f30bba3f5",  # other wording for counts
    5: "a0e132124ad3fe1a97af53fcd3e26a0d25feda6e8fa7212b40237d8f30bba3f5",  # other readings of files that broke a rule
    6: "a2ab8a928e928887d64c9d0e4abe3684d013e504395148bca2de814772653796",  # the number of solos; takes
    7: "a2ab8a928e928887d64c9d0e4abe3684d013e504395148bca2de814772653796",  # XF chords, German letters
}
"""The sha256 of the reading of one band, for each version of the reader."""


def test_a_changed_reading_has_a_new_version() -> None:
    """Guards against: cached readings of an older release mixed with those of a newer one.

    If the result for the same bytes changes, raise `READER_VERSION` and add the hash here.
    """
    tracks = [
        track([meter_event(0, 4, 4), meter_event(16, 3, 4)]),
        track(tune),
        track(bass),
        track(comping),
        track(drums),
    ]
    packed_reading = folder._to_json(read_midi(midi_bytes(*tracks), ReadingOptions()))
    assert {reader.READER_VERSION: hashlib.sha256(packed_reading.encode()).hexdigest()}.items() <= READ.items()


@pytest.mark.parametrize("broken", [b"", b"\xff\xfe", b"{}", b"0" * 64 + b"\n{}", None])
def test_a_broken_cache_is_no_error(tmp_path: Path, broken: bytes | None) -> None:
    """Guards against: music that cannot be read any more after a crash or with a full disk."""
    path = write_midi(tmp_path / "one.mid", track(tune, "Melody"))
    first = read_corpus([path])
    [cached_file] = (tmp_path / "cache").rglob("*.json")
    cached_file.unlink()
    if broken is None:
        cached_file.mkdir()  # and it cannot be written
    else:
        cached_file.write_bytes(broken)
    assert read_corpus([path]).pieces == first.pieces
    assert read_corpus([path]).reports[0].cached == (broken is not None)
    assert sorted(cached_file.parent.iterdir()) == [cached_file]


def test_without_a_home_folder_nothing_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a service without a home folder that cannot train."""
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = write_midi(tmp_path / "one.mid", track(tune, "Melody"))
    assert read_corpus([path]).pieces
    assert len(list((tmp_path / "home" / ".cache" / "sideman" / "corpus").rglob("*.json"))) == 1
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    assert read_corpus([path]).pieces


def test_without_the_cache_nothing_is_written(tmp_path: Path) -> None:
    """Guards against: files left behind although the user wants none."""
    assert read_corpus(
        [write_midi(tmp_path / "one.mid", track(tune, "Melody"))], ReadingOptions(use_cache=False)
    ).pieces
    assert not (tmp_path / "cache").exists()


@pytest.mark.subprocess
def test_several_processes_read_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a training that depends on the number of cores."""
    for number in range(12):
        write_midi(tmp_path / "music" / f"{number}.mid", track(scale_events(2, 60 + number), "Melody"), track(comping))
    by_one = read_corpus([tmp_path / "music"], ReadingOptions(use_cache=False))
    monkeypatch.setattr(folder, "_MAX_FILES_IN_PROCESS", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    by_several = read_corpus([tmp_path / "music"], ReadingOptions(use_cache=False))
    assert (by_several.pieces, by_several.reports) == (by_one.pieces, by_one.reports)


def test_without_any_solo_there_is_an_error(tmp_path: Path) -> None:
    """Guards against: a training that begins without music and fails later with another error."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CorpusError, match="empty: no MIDI files in the folder"):
        read_corpus([empty])
    with pytest.raises(CorpusError, match=r"drums.mid: only drums"):
        read_corpus([write_midi(tmp_path / "drums.mid", track(drums))])
    write_midi(empty / "a.mid", track(drums))
    (empty / "b.mid").write_bytes(b"")
    with pytest.raises(CorpusError, match="left out: 1 only drums, 1 not a MIDI file"):
        read_corpus([empty])
    with pytest.raises(CorpusError, match=r"none.mid: cannot be read: No such file"):
        read_corpus([tmp_path / "none.mid"])
    os.mkfifo(tmp_path / "pipe.mid")
    with pytest.raises(CorpusError, match=r"pipe.mid: cannot be read: not a plain file"):
        read_corpus([tmp_path / "pipe.mid"])


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    """Guards against: a file that counts twice because its folder is named too."""
    path = write_midi(tmp_path / "music" / "one.mid", track(tune, "Melody"))
    corpus = read_corpus([path, path.parent])
    assert len(corpus.pieces) == len(corpus.reports) == 1


@pytest.mark.parametrize(
    ("name", "title"),
    [("Untitled", "my song"), ("track 01", "my song"), ("Tempo Track", "my song"), ("So What", "So What"),
     ("Sequence", "my song"), ("1", "my song"), ("made by me@example.org", "my song"), ("Trackdown", "Trackdown")],
)  # fmt: skip
def test_titles_distinguish_tunes(tmp_path: Path, name: str, title: str) -> None:
    """Guards against: all files of one program counted as one tune, all on one side of the split."""
    path = write_midi(tmp_path / "my_song (3).mid", track([], name), track(tune, "Melody"))
    [piece] = read_corpus([path]).pieces
    assert piece.title == title


@pytest.mark.parametrize(
    ("name", "title"),
    [("01 - So What", "So What"), ("012_so_what", "so what"), ("7. So What (12)", "So What"), ("26-2", "26-2"),
     ("500 Miles High", "500 Miles High"), ("(1)", "(1).mid"), ("11", "11")],
)  # fmt: skip
def test_numbers_of_a_collection_are_no_titles(tmp_path: Path, name: str, title: str) -> None:
    """Guards against: a tune of two collections that is in training and among the measured pieces."""
    [piece] = read_corpus([write_midi(tmp_path / f"{name}.mid", track(tune, "Melody"))]).pieces
    assert piece.title == title


def test_a_file_that_cannot_be_read_has_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: files that are missing in training without a name or a reason."""
    music = tmp_path / "music"
    write_midi(music / "good.mid", track(tune, "Melody"))
    write_midi(music / "folder.mid" / "in.mid", track(scale_events(2), "Melody"))
    (music / "gone.mid").symlink_to("nowhere")
    (music / "zero.mid").symlink_to("/dev/zero")
    os.mkfifo(music / "pipe.mid")
    (music / "locked").mkdir()
    scan = os.scandir

    def scan_all_but_locked(path: str) -> object:  # root could open a folder with any permissions
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", scan_all_but_locked)
    corpus = read_corpus([music])
    assert {Path(one.file).relative_to(music).as_posix(): one.left_out for one in corpus.reports} == {
        "folder.mid": "cannot be read: a folder",
        "folder.mid/in.mid": "",
        "gone.mid": "cannot be read: a link to nothing",
        "good.mid": "",
        "locked": "cannot be read: Permission denied",
        "pipe.mid": "cannot be read: not a plain file",
        "zero.mid": "cannot be read: not a plain file",
    }
    assert midi_summary(corpus).startswith("2 of 7 MIDI files used; 1 cannot be read: a folder; ")


@pytest.mark.parametrize(("count", "words"), [(1, "1 was read before"), (2, "2 were read before")])
def test_the_summary_uses_singular_and_plural(tmp_path: Path, count: int, words: str) -> None:
    """Guards against: "1 were read before" in the summary."""
    for number in range(count):
        write_midi(tmp_path / f"{number}.mid", track(scale_events(1, 60 + number), "Melody"))
    read_corpus([tmp_path])
    assert words in midi_summary(read_corpus([tmp_path]))


def test_folders_of_the_same_name_are_all_listed(tmp_path: Path) -> None:
    """Guards against: a card that names only one of two collections."""
    for number, place in enumerate(("aa", "bb", "cc")):
        write_midi(tmp_path / place / "songs" / "one.mid", track(scale_events(2, 60 + number), "Melody"))
        (tmp_path / place / "values.txt").write_text("C,1.000")
    songs = [tmp_path / place / "songs" for place in ("aa", "bb", "cc")]
    corpus = read_corpus([*songs, tmp_path / "aa" / "values.txt", tmp_path / "bb" / "values.txt"])
    assert list(corpus.files) == ["songs/", "songs/ (2)", "songs/ (3)", "values.txt", "values.txt (2)"]
    assert len({corpus.files[name] for name in list(corpus.files)[:3]}) == 3


def badly_named(path: Path) -> Path:
    """Write files whose names are not UTF-8, or contain control characters."""
    for number, name in enumerate((b"bad\xffname.mid", b"two\n\x1b[31mlines.mid", "Águas.mid".encode())):
        write_midi(path / os.fsdecode(name), track(scale_events(8, 60 + number), "Melody"))
    return path


def test_any_file_name_is_made_printable(tmp_path: Path) -> None:
    """Guards against: one file of an old collection that ends the training, or a name that changes terminal colours."""
    corpus = read_corpus([badly_named(tmp_path / os.fsdecode(b"\xe9t\xe9"))])
    assert sorted(piece.title for piece in corpus.pieces) == [r"bad\xffname", r"two\n\x1b[31mlines", "Águas"]
    assert list(corpus.files) == [r"\xe9t\xe9/"]
    texts = [*corpus.files, *corpus.sources, *(text for one in corpus.reports for text in (one.file, one.title))]
    assert all(text.isprintable() and text.encode() for text in texts)


# The command.


@pytest.mark.subprocess
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_any_file_name_can_be_printed(tmp_path: Path, encoding: str) -> None:
    """Guards against: a report on a folder that stops at the first odd name."""
    path = badly_named(tmp_path / "music")
    done = run_sideman("corpus", str(path), env={"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert rf"{path}/bad\xffname.mid: 'bad\\xffname', 4/4, 8 bars, 64 notes" in lines
    assert sum("4/4" in line for line in lines) == 3
    assert "\x1b" not in done.stdout
    missing = run_sideman("corpus", f"{path}/no\x1b[31m.mid")
    assert (missing.returncode, missing.stderr) == (66, rf"sideman: {path}/no\x1b[31m.mid: no such file" + "\n")


@pytest.mark.subprocess
def test_music_with_any_file_name_can_be_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: hours of training that end with a card that cannot be written."""
    pytest.importorskip("tensorflow")
    paths = sorted(str(path) for path in badly_named(tmp_path / "music").iterdir())
    out = tmp_path / os.fsdecode(b"m\xeene")
    small = ["--units", "2", "--epochs", "1", "--validation", "0", "--no-deterministic", "--licence", "\udcff"]
    assert cli.main(["train", *paths, "--out", str(out), *small]) == 0, capsys.readouterr().err
    facts = load_bundle(str(out)).facts
    assert list(facts["files"]) == [r"bad\xffname.mid", r"two\n\x1b[31mlines.mid", "Águas.mid"]
    assert r"bad\xffname.mid" in (out / "CARD.md").read_text()


def test_the_report_of_one_bar_is_in_the_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: "1 bars" in the report."""
    path = write_midi(
        tmp_path / "one.mid", track([*note_events([(0, 4, 60)])[:1], *marker_events([(4, "end")])], "Melody")
    )
    assert cli.main(["corpus", str(path)]) == 0
    output = capsys.readouterr().out
    assert f"{path}: 'one', 4/4, 1 bar, 1 note\n" in output
    assert "    1 note without an end\n" in output
    assert "1 of 1 MIDI file used" in output


@pytest.mark.parametrize(
    "words",
    [["corpus", "{}"], ["corpus", "--classic", "{}"], ["corpus", "--chord-accuracy", "{}"],
     ["evaluate", "{}", "--model", "default"],
     ["train", "{}", "--out", "x"], ["train", "--classic", "{}", "--out", "x"], ["names", "--train", "{}"],
     ["generate", "{}", "--model", "default", "--out", "x"],
     ["models", "import", "{}", "--like", "default", "--out", "x"]],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["pipe.mid", "/dev/zero"])
def test_no_command_waits_for_a_pipe(
    tmp_path: Path, words: list[str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a program that waits without end and without a message."""
    path = tmp_path / kind
    if kind.startswith("pipe"):
        os.mkfifo(path)
    assert cli.main([word.format(path) for word in words]) == 65
    assert capsys.readouterr().err == f"sideman: {path}: not a plain file; save its content to a file first\n"


def test_the_command_reports_what_was_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a user who cannot see why a file was left out, or what was taken for its melody."""
    path = music_folder(tmp_path / "music")
    assert cli.main(["corpus", str(path)]) == 0
    output = capsys.readouterr().out
    assert (
        f"{path}/a.mid: 'Blue Tune', 4/4, 8 bars, 64 notes\n    melody: track 2 'Melody', channel 4, by its name\n"
        in output
    )
    assert "    chords: 2 symbols, marker events of track 1: as written in the file\n        | " in output
    assert f"{path}/drums.midi: left out: only drums\n" in output
    assert f"again.mid: left out: the same as another\n    the same as {path}/a.mid\n" in output
    assert "3 of 6 MIDI files used" in output
    assert cli.main(["corpus", str(path), "--json", "--chords", "infer"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pieces"] == 3
    assert facts["midi_files"][0]["chords"] == "found from the melody alone"
    assert cli.main(["corpus", str(path), "--values", "--melody", "sax", "--no-cache"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("option", [["--chords", "guess"], ["--chords", "track:"], ["--melody", ""]])
def test_an_invalid_option_is_refused(tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a typing error taken for a valid option, so that all files are left out."""
    path = write_midi(tmp_path / "one.mid", track(tune))
    assert cli.main(["corpus", str(path), *option]) == 2
    assert "--chords" in capsys.readouterr().err


def test_training_uses_the_reading_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: training with other chords than requested, or an error without a reason."""
    path = music_folder(tmp_path / "music")
    train = ["train", str(path), "--out", str(tmp_path / "mine")]
    assert cli.main([*train, "--melody", "oboe", "--chords", "track:harp"]) == 65
    assert "3 no melody called 'oboe'" in capsys.readouterr().err
    assert cli.main([*train, "--chords", "guess"]) == 2
    assert not (tmp_path / "mine").exists()


def test_a_network_can_be_measured_on_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a user who cannot see how well a network knows music like theirs."""
    path = music_folder(tmp_path / "music")
    assert cli.main(["evaluate", str(path), "--model", "default", "--choruses", "0", "--json"]) == 0
    output = capsys.readouterr()
    assert "3 of 6 MIDI files used; " in output.err
    assert json.loads(output.out)["pieces"] == 3
