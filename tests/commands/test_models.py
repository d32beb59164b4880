# SPDX-License-Identifier: Apache-2.0
"""`sideman models`: list, show, export and import networks."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

import sideman_models.network
from sideman.cli import main
from sideman.commands import models
from sideman.core.errors import CannotCreate, NoSuchInput, UsageError
from sideman_models.errors import BundleError, NoSuchBundle
from sideman_models.network.bundle import VALUES_FILE, find_bundle, load_bundle, save_bundle
from sideman_models.network.storage import WEIGHTS_FILE
from support.fakes import classic_bundle, modern_bundle

FIGURES = {"figures": {"unseen": {"bits_per_value": 4.25, "bits_per_note": 6.5}}}


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own bundles: a modern one with card, figures and picture, a classic one, a broken one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    folder = home / "sideman" / "bundles"
    save_bundle(
        replace(modern_bundle(), card="# mine\n\nMusic of my own.", facts=FIGURES), folder / "mine", {"a.png": b""}
    )
    save_bundle(replace(classic_bundle(), facts={"figures": "many"}), folder / "old")
    save_bundle(modern_bundle(), folder / "torn")
    (folder / "torn" / WEIGHTS_FILE).write_bytes(b"")
    monkeypatch.chdir(home)
    return folder


def run(*words: str | Path) -> int:
    """The command, in this process."""
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    return models.run(parser.parse_args([str(word) for word in words]))


def test_the_list_names_every_network(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a list that omits networks, or is empty because one is broken."""
    assert run("list") == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    modern, classic = modern_bundle().weights, classic_bundle().weights
    assert rows["mine"][1:] == ["modern", str(modern.n_a), str(modern.n_values), "4.250", str(own / "mine")]
    assert rows["old"][1:] == ["classic", str(classic.n_a), str(classic.n_values), "-", str(own / "old")]
    assert rows["torn"][1:] == ["broken", str(own / "torn")]
    run("list", "--json")
    printed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert printed["mine"]["bits_per_value"] == 4.25
    assert printed["old"]["bits_per_value"] is None
    assert "do not match" in printed["torn"]["wrong"]


def test_the_list_shows_the_networks_where_one_stands(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a network made with `--out mine` that cannot be found again without its path."""
    save_bundle(modern_bundle(), Path("fresh"))
    run("list")
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert rows["./fresh"][1] == "modern"
    assert Path(rows["./fresh"][-1]).resolve() == Path("fresh").resolve()


def test_without_any_network_the_list_says_so(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: an empty answer that looks like a failure."""
    monkeypatch.setattr(models, "bundle_names", list)
    run("list")
    assert "sideman train" in capsys.readouterr().out
    run("list", "--json")
    assert json.loads(capsys.readouterr().out) == []


def test_a_network_is_shown_with_card_figures_and_pictures(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a network without its training music, figures and licence."""
    run("show", "mine")
    shown = capsys.readouterr().out
    assert shown.startswith("# mine\n\nMusic of my own.")
    assert f"pictures: {own / 'mine' / 'a.png'}" in shown
    assert "bits per value: 4.25" in shown
    run("show", own / "old")
    assert "It has no card." in capsys.readouterr().out
    run("show", "mine", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["facts"] == FIGURES
    assert printed["pictures"] == [str(own / "mine" / "a.png")]
    assert printed["units"] == modern_bundle().weights.n_a


@pytest.mark.tensorflow
def test_a_network_goes_to_keras_and_comes_back(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a network that was trained further in Keras cannot be played."""
    pytest.importorskip("tensorflow")
    assert run("export", "mine", "--to", "keras", "mine.keras") == 0
    assert "clash" in capsys.readouterr().out
    assert run("import", "mine.keras", "--like", "mine", "--out", own / "back") == 0
    back = load_bundle("back")
    assert (back.weights.kernel == load_bundle("mine").weights.kernel).all()
    assert "Music of my own." in back.card
    run("import", "mine.keras", "--like", "mine", "--out", own / "back")  # a bundle may be replaced
    (own / "songs").mkdir()
    for words in (
        ["import", "mine.keras", "--like", "mine", "--out", own / "songs"],
        ["export", "mine", "mine.foo"],
    ):
        with pytest.raises(UsageError):
            run(*words)
    with pytest.raises(NoSuchInput):
        run("import", "nothing.keras", "--like", "mine", "--out", "x")
    with pytest.raises(BundleError, match="shape"):
        run("import", "mine.keras", "--like", "old", "--out", "x")
    with pytest.raises(CannotCreate):
        run("export", "mine", "nowhere/mine.keras")


@pytest.mark.tensorflow
def test_a_network_goes_to_litert_by_its_files_suffix(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a network that cannot be used without Python."""
    pytest.importorskip("tensorflow")
    export = pytest.importorskip("sideman_models.network.export")
    try:
        export.litert_step_function(export.litert_file_bytes(modern_bundle().weights))
    except export.NoLiteRT as error:
        pytest.skip(str(error))
    assert run("export", "mine", "mine.tflite") == 0
    assert "differ by" in capsys.readouterr().out
    assert Path("mine.tflite").read_bytes()[4:8] == b"TFL3"


def test_without_tensorflow_the_extra_is_named(
    own: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a traceback for users without TensorFlow."""
    monkeypatch.delitem(sys.modules, "sideman_models.network.export", raising=False)
    monkeypatch.delattr(sideman_models.network, "export", raising=False)
    monkeypatch.setitem(sys.modules, "keras", None)
    assert main(["models", "export", "mine", "mine.keras"]) == 69
    assert "sideman[train]" in capfd.readouterr().err
    assert not Path("mine.keras").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["show", "nothing"], NoSuchBundle),
        (["show", "torn"], BundleError),
        (["export", "torn", "x.keras"], BundleError),
        (["export", "nothing", "x.keras"], NoSuchBundle),
    ],
)
def test_missing_and_broken_files_are_errors(words: list[str], error: type[Exception], own: Path) -> None:
    """Guards against: a typing mistake that causes a traceback."""
    with pytest.raises(error):
        run(*words)
    assert (own / "mine" / VALUES_FILE).is_file()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: repack_with_header(folder, "'''"),
        lambda folder: (folder / "values.json").write_text('{"format": "sideman bundle", "version": 1}'),
        lambda folder: change_values(folder, ["\ud800"]),
        lambda folder: change_values(folder, ["a"] * 100_000),
        lambda folder: (folder / "CARD.md").write_bytes(bytes(2 << 20)),
        lambda folder: (folder / "values.json").write_text("[" * 100_000),
    ],
)
def test_one_broken_bundle_hides_no_other(
    spoil: Callable[[Path], object], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: one damaged download after which no network can be listed any more."""
    folder = home / ".local" / "share" / "sideman" / "bundles" / "spoilt"
    shutil.copytree(find_bundle("default"), folder)
    spoil(folder)
    assert main(["models", "list"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert " broken " in rows["spoilt"]
    assert " modern " in rows["default"]


def change_values(folder: Path, values: list[str]) -> None:
    """Give a bundle other values."""
    file = folder / "values.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "values": values}))


def repack_with_header(folder: Path, header: str) -> None:
    """Give the arrays of a bundle another header, with a correct hash."""
    weights, file = folder / "weights.npz", folder / "values.json"
    with zipfile.ZipFile(weights) as archive:
        names = archive.namelist()
    text = header.encode() + b"\n"
    with zipfile.ZipFile(weights, "w") as archive:
        for name in names:
            archive.writestr(name, b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    file.write_text(json.dumps({**json.loads(file.read_text()), "weights_sha256": sha256}))
