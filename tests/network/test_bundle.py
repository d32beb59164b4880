# SPDX-License-Identifier: Apache-2.0
"""Bundles on disk: saved whole, and refused if anything in them is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman_models.errors import BundleError
from sideman_models.music.context import FEATURES, ContextFeatures
from sideman_models.music.motifs import NO_ROWS
from sideman_models.music.values import Value, Vocabulary
from sideman_models.network import bundle as bundle_module
from sideman_models.network import storage as store
from sideman_models.network.bundle import (
    VALUES_FILE,
    Bundle,
    bundle_names,
    find_bundle,
    load_bundle,
    save_bundle,
)
from sideman_models.network.storage import CARD_FILE, WEIGHTS_FILE
from support.fakes import random_weights
from support.strategies import classic_values, modern_values

KNOWN = [Value("C", 6, 2), Value("S", 6, -1), Value("R", 12), Value("A", 3)]
MOTIF = np.linspace(-1.0, 2.0, 12, dtype=np.float32).reshape(2, 6)
CONTEXT = ContextFeatures(["beat", "register"])


def some_bundle(name: str = "mine") -> Bundle:
    """Return a bundle of four values."""
    weights = replace(random_weights(len(KNOWN), CONTEXT.n_rows, 5, 1.5), motif=MOTIF)
    return Bundle(name, Vocabulary(KNOWN), CONTEXT, {"seed": 3}, "# mine\n", weights=weights)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A bundle on disk."""
    save_bundle(some_bundle(), tmp_path / "mine")
    return tmp_path / "mine"


def change(folder: Path, key: str, value: object) -> None:
    """Change a key of `values.json`, or delete it if `value` is an Ellipsis."""
    description = json.loads((folder / VALUES_FILE).read_text())
    description[key] = value
    if value is ...:
        del description[key]
    (folder / VALUES_FILE).write_text(json.dumps(description))


def repack(folder: Path, members: dict[str, bytes]) -> None:
    """Write other weights, with a correct hash."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    rewrite(folder, packed.getvalue())


def rewrite(folder: Path, raw: bytes) -> None:
    """Write other weights, with a correct hash."""
    (folder / WEIGHTS_FILE).write_bytes(raw)
    change(folder, "weights_sha256", hashlib.sha256(raw).hexdigest())


def members(folder: Path) -> dict[str, bytes]:
    """Return the files in the archive of weights, by name."""
    with zipfile.ZipFile(folder / WEIGHTS_FILE) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def array(values: Any, dtype: Any = np.float32, allow_pickle: bool = False) -> bytes:
    """Return an array as a file of the archive."""
    member = io.BytesIO()
    np.lib.format.write_array(member, np.asarray(values, dtype), allow_pickle=allow_pickle)
    return member.getvalue()


def test_a_bundle_comes_back_as_it_was(saved: Path) -> None:
    """Guards against: a network that changes when it is saved and loaded."""
    loaded = load_bundle(str(saved))
    first = some_bundle()
    assert loaded.name == "mine"
    assert loaded.vocabulary.values == first.vocabulary.values
    assert loaded.context.names == first.context.names
    assert (loaded.facts, loaded.card) == (first.facts, first.card)
    assert loaded.weights.penalty == first.weights.penalty
    for one in ("kernel", "recurrent", "bias", "densor_kernel", "densor_bias", "motif"):
        np.testing.assert_array_equal(getattr(loaded.weights, one), getattr(first.weights, one))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.lists(modern_values(), min_size=1, unique=True) | st.lists(classic_values(), min_size=1, unique=True),
    st.lists(st.sampled_from(sorted(FEATURES)), unique=True),
    st.integers(1, 9),
)
def test_any_network_can_be_saved(tmp_path: Path, values: list[Value], features: list[str], units: int) -> None:
    """Guards against: a vocabulary or context that cannot be saved after hours of training."""
    values = [*values, *([] if any(value.kind != "R" for value in values) else KNOWN[:1])]
    context = ContextFeatures(features)
    weights = random_weights(len(values), context.n_rows, units, 1.5)
    save_bundle(Bundle("any", Vocabulary(values), context, weights=weights), tmp_path / "any")
    loaded = load_bundle(str(tmp_path / "any"))
    assert list(loaded.vocabulary.values) == values
    assert loaded.context.names == tuple(features)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    """Guards against: bundles that cannot be reproduced byte by byte."""
    for name in ("one", "two"):
        save_bundle(some_bundle(), tmp_path / name)
    for file in (WEIGHTS_FILE, VALUES_FILE, CARD_FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_bundle_without_a_memory_of_motifs_is_one_for_older_programs(saved: Path) -> None:
    """Guards against: networks that a program of today writes and one of yesterday refuses, for what they lack."""
    bundle = some_bundle()
    save_bundle(replace(bundle, weights=replace(bundle.weights, motif=NO_ROWS)), saved)
    assert json.loads((saved / VALUES_FILE).read_text())["version"] == 1
    assert "motif/rows.npy" not in members(saved)
    assert not load_bundle(str(saved)).weights.motif.any()


def test_a_bundle_replaces_an_older_one(saved: Path) -> None:
    """Guards against: an old network that keeps playing, or a mixture of both."""
    save_bundle(
        Bundle("mine", Vocabulary(KNOWN[:2]), ContextFeatures(), {}, "", weights=random_weights(2, 0, 3, 0.0)), saved
    )
    assert len(load_bundle(str(saved)).vocabulary) == 2
    assert [path.name for path in saved.parent.iterdir()] == ["mine"]


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    """Guards against: a mistake in --out that destroys another folder."""
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "tune.mid").write_bytes(b"MThd")
    with pytest.raises(BundleError, match="not a bundle"):
        save_bundle(some_bundle(), tmp_path / "songs")
    assert (tmp_path / "songs" / "tune.mid").exists()


def test_an_interrupted_save_leaves_the_old_bundle_whole(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a full disk that destroys the old network."""

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    before = load_bundle(str(saved)).weights.kernel
    monkeypatch.setattr(store, "write_whole", full)
    with pytest.raises(OSError, match="No space"):
        save_bundle(some_bundle(), saved)
    np.testing.assert_array_equal(load_bundle(str(saved)).weights.kernel, before)
    assert [path.name for path in saved.parent.iterdir()] == ["mine"]


def test_bundles_are_found_by_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a user's own network that cannot be named in the configuration."""
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    save_bundle(some_bundle(), home / "data" / "sideman" / "bundles" / "mine")
    assert find_bundle("mine") == home / "data" / "sideman" / "bundles" / "mine"
    assert "mine" in bundle_names()
    with pytest.raises(BundleError, match="mine"):
        load_bundle("yours")
    with pytest.raises(BundleError, match="no such bundle"):
        load_bundle("./yours")


BREAK: dict[str, tuple[Callable[[Path], object], str]] = {
    "no values": (lambda path: (path / VALUES_FILE).unlink(), "values.json"),
    "no weights": (lambda path: (path / WEIGHTS_FILE).unlink(), "weights.npz"),
    "binary values": (lambda path: (path / VALUES_FILE).write_bytes(b"\xff\x00"), "not a JSON"),
    "deep values": (lambda path: (path / VALUES_FILE).write_text("[" * 100_000), "not a JSON"),
    "a list": (lambda path: (path / VALUES_FILE).write_text("[]"), "format"),
    "another format": (lambda path: change(path, "format", "magenta"), "format"),
    "another number of units": (lambda path: change(path, "units", 7), "units.*7"),
    "another dialect": (lambda path: change(path, "dialect", "classic"), "dialect.*classic"),
    "the future": (lambda path: change(path, "version", 99), "version.*99.*too old"),
    "no version": (lambda path: change(path, "version", ...), "version"),
    "facts": (lambda path: change(path, "facts", []), "facts"),
    "no list": (lambda path: change(path, "values", "C,0.500"), "values"),
    "a changed value": (lambda path: change(path, "values", ["C,0.500"] * 4), "twice"),
    "another value": (
        lambda path: change(path, "values", ["C,0.500,+3", "S,0.500,-1", "R,1.000", "A,0.250"]),
        "values_sha256",
    ),
    "an unknown feature": (
        lambda path: change(path, "context", [{"feature": "weather", "rows": 2}]),
        r"context\[0\].*weather",
    ),
    "a feature's size": (lambda path: change(path, "context", [{"feature": "beat", "rows": 3}]), "4 rows, not 3"),
    "a wrong hash": (lambda path: (path / WEIGHTS_FILE).write_bytes(b"PK"), "weights_sha256"),
    "no archive": (lambda path: rewrite(path, b"not an archive"), "not a complete .npz"),
    "cut short": (lambda path: rewrite(path, (path / WEIGHTS_FILE).read_bytes()[:-300]), "not a complete .npz"),
    "a missing array": (
        lambda path: repack(path, {name: raw for name, raw in members(path).items() if "densor/bias" not in name}),
        "densor/bias",
    ),
    "an unknown array": (lambda path: repack(path, members(path) | {"extra.npy": array([1])}), "extra"),
    "a wrong shape": (
        lambda path: repack(path, members(path) | {"densor/bias.npy": array([1, 2])}),
        "densor/bias: shape",
    ),
    "no units": (
        lambda path: repack(path, members(path) | {"LSTM_cell/recurrent_kernel.npy": array(np.zeros((0, 0)))}),
        "shape",
    ),
    "not finite": (
        lambda path: repack(path, members(path) | {"densor/bias.npy": array([1, np.nan, 0, 0])}),
        "not finite",
    ),
    "doubles": (lambda path: repack(path, members(path) | {"densor/bias.npy": array([1] * 4, float)}), "float32"),
    "a pickle": (
        lambda path: repack(path, members(path) | {"densor/bias.npy": array([{}], object, allow_pickle=True)}),
        "densor/bias: not an array",
    ),
    "a short memory of motifs": (
        lambda path: repack(path, members(path) | {"motif/rows.npy": array(np.zeros((2, 5)))}),
        r"motif/rows: shape \(2, 5\).*need \(2, 6\)",
    ),
    "an infinite memory of motifs": (
        lambda path: repack(path, members(path) | {"motif/rows.npy": array(np.full((2, 6), np.inf))}),
        "motif/rows: holds numbers that are not finite",
    ),
    "an array of a later version": (lambda path: change(path, "version", 1), "'motif/rows' is unknown"),
    "a bare pickle": (lambda path: repack(path, members(path) | {"densor/bias.npy": pickle.dumps(1)}), "densor/bias"),
}


@pytest.mark.parametrize("how", BREAK)
def test_a_broken_bundle_is_refused_with_the_file_and_the_field(saved: Path, how: str) -> None:
    """Guards against: a damaged bundle that crashes the daemon or plays noise, or a hostile one that runs code."""
    break_it, says = BREAK[how]
    break_it(saved)
    with pytest.raises(BundleError, match=says) as refused:
        load_bundle(str(saved))
    assert str(saved) in str(refused.value)
    assert "\n" not in str(refused.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sampled_from([WEIGHTS_FILE, VALUES_FILE]), st.data())
def test_a_damaged_bundle_is_loaded_or_refused(tmp_path: Path, file: str, data: st.DataObject) -> None:
    """Guards against: a traceback for a damaged file."""
    folder = tmp_path / "mine"
    save_bundle(some_bundle(), folder)
    raw = bytearray((folder / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    rewrite(folder, bytes(raw)) if file == WEIGHTS_FILE else (folder / file).write_bytes(bytes(raw))
    try:
        load_bundle(str(folder))
    except BundleError as error:
        assert str(folder) in str(error)  # noqa: PT017 - some damage changes nothing that is read


@pytest.mark.parametrize("name", [WEIGHTS_FILE, VALUES_FILE])
def test_a_pipe_in_a_bundle_is_refused(saved: Path, name: str) -> None:
    """Guards against: a daemon that waits for a pipe and never starts to play."""
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(BundleError, match=f"{name}: cannot be read: not a plain file"):
        load_bundle(str(saved))


def test_the_default_bundle_is_complete_and_names_its_sources() -> None:
    """Guards against: a broken default bundle, or one without its licence."""
    default = load_bundle("default")
    assert len(default.vocabulary) > 300
    assert set(default.context.names) == set(FEATURES)
    assert default.weights.penalty > 0
    for word in ("Weimar Jazz Database", "ODbL", "sideman train", "bits per value", "bits per note"):
        assert word in default.card


def killed_between(saved: Path) -> Path:
    """Leave the folders as a save that was killed between its two renames. Returns the path of the backup."""
    hidden = saved.parent / ".mine-old-x7"
    hidden.mkdir()
    saved.rename(hidden / "mine")
    return hidden / "mine"


def test_a_save_that_was_killed_loses_nothing(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a power cut that leaves neither the old network nor the new one."""
    before = load_bundle(str(saved))
    backup = killed_between(saved)
    monkeypatch.setattr(bundle_module, "bundle_folders", lambda: [saved.parent])
    for other in (".mine-x8", ".git/mine2"):  # a save that was killed earlier; another hidden folder
        (saved.parent / other).mkdir(parents=True)
        (saved.parent / other / VALUES_FILE).write_text("{}")
    assert bundle_names() == ["mine"]
    assert load_bundle("mine").fingerprint == before.fingerprint
    found = load_bundle(str(saved))
    assert (found.name, found.fingerprint, found.path) == ("mine", before.fingerprint, backup)
    save_bundle(
        Bundle("mine", Vocabulary(KNOWN[:2]), ContextFeatures(), {}, "", weights=random_weights(2, 0, 3, 0.0)), saved
    )
    assert len(load_bundle(str(saved)).vocabulary) == 2
    assert sorted(path.name for path in saved.parent.iterdir()) == [".git", ".mine-x8", "mine"]


def test_a_backup_is_restored_even_if_the_next_save_fails(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a second failure that destroys the backup of the first."""

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    before = load_bundle(str(saved)).fingerprint
    killed_between(saved)
    monkeypatch.setattr(store, "write_whole", full)
    with pytest.raises(OSError, match="No space"):
        save_bundle(some_bundle(), saved)
    assert load_bundle(str(saved)).fingerprint == before
    assert (saved / VALUES_FILE).is_file()


def test_a_backup_is_not_used_if_there_is_a_bundle(saved: Path) -> None:
    """Guards against: an old backup that plays although there is a newer bundle."""
    backup = killed_between(saved)
    (backup / VALUES_FILE).write_text("broken")
    save_bundle(some_bundle(), saved.parent / "other")
    (saved.parent / "other").rename(saved)
    assert load_bundle(str(saved)).path == saved


def test_a_planted_backup_is_neither_loaded_nor_moved(saved: Path, tmp_path: Path) -> None:
    """Guards against: a hidden link beside the bundles through which another folder of the user is moved or deleted."""
    music = tmp_path / "music" / "mine"
    music.mkdir(parents=True)
    (music / "tune.mid").write_bytes(b"MThd")
    (saved.parent / ".mine-old-planted").symlink_to(music.parent)
    save_bundle(some_bundle(), saved)
    shutil.rmtree(saved)
    assert store.existing_folder(saved) == saved
    save_bundle(some_bundle(), saved)
    assert (music / "tune.mid").read_bytes() == b"MThd"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_the_bundle_of_another_user_is_not_replaced(saved: Path) -> None:
    """Guards against: a training that replaces the network of another player in a shared folder."""
    os.chown(saved, 4242, 4242)
    before = (saved / VALUES_FILE).read_bytes()
    with pytest.raises(PermissionError, match="belongs to another user"):
        save_bundle(some_bundle(), saved)
    assert (saved / VALUES_FILE).read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["mine"]
