# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the folders of trained models: a folder is written whole or not at all, and checked when it is read.

The files may come from anywhere, so nothing in them is trusted. Pickles are never read, and every error names the file.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.digest import sha256_hex
from sideman_models.errors import ArchiveError, BundleError
from sideman_models.files import ZipReader, read_plain_file
from sideman_models.limits import CARD, DESCRIPTION, WEIGHTS
from sideman_models.network.lstm import Floats
from sideman_models.writing import delete_folder, make_folder, rename, scratch_folder, write_whole

WEIGHTS_FILE, CARD_FILE = "weights.npz", "CARD.md"
_BACKUP_MARK = "-old-"


def write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """Make `path` a folder of the files `contents` (bytes by file name), or leave it as it was.

    The new folder is written in a hidden folder beside `path`. Then the old one is moved there, the new one takes its
    place, and the old one is deleted. If an earlier save was killed in between, its old folder is put back first.
    Raises `OSError`.
    """
    make_folder(path.parent)
    if (backup := existing_folder(path)) != path:
        rename(backup, path)
        delete_folder(backup.parent)
    with scratch_folder(path, _BACKUP_MARK) as hidden:
        old_folder, new_folder = hidden / path.name, hidden / f"{path.name}-new"
        try:
            make_folder(new_folder)
            for name, content in contents.items():
                write_whole(new_folder / name, content)
            if os.path.lexists(path):
                if path.lstat().st_uid != new_folder.lstat().st_uid:
                    raise PermissionError(errno.EPERM, "what is there belongs to another user")
                rename(path, old_folder)
            rename(new_folder, path)
        finally:
            if os.path.lexists(old_folder) and not os.path.lexists(path):  # the new folder could not take its place
                rename(old_folder, path)
    for backup in _backup_folders(path):
        delete_folder(backup.parent)


def existing_folder(path: Path) -> Path:
    """Return `path`, or its newest backup if a save was killed after it had moved the old folder to a hidden one."""
    if path.exists():
        return path
    return max(_backup_folders(path), key=lambda backup: backup.stat().st_mtime, default=path)


def _backup_folders(path: Path) -> list[Path]:
    """Return the old folders that saves moved aside and did not delete; none if the parent folder cannot be read.

    A link, or a folder of another user, is not one of them.
    """
    with contextlib.suppress(OSError):
        hidden = [folder for folder in path.parent.iterdir() if folder.name.startswith(f".{path.name}{_BACKUP_MARK}")]
        return [folder / path.name for folder in hidden if all(map(_is_own_folder, (folder, folder / path.name)))]
    return []


def _is_own_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and path.lstat().st_uid == os.geteuid()


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file. Raises `BundleError` if it cannot be read or is larger than `max_bytes`."""
    try:
        return read_plain_file(path, max_bytes)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error


class ModelFormat(Struct, frozen=True):
    """A kind of trained model: a folder of its weights, its card, and a JSON file `file` that describes it.

    The JSON file states the format, which is `sideman` and the `kind`, its `version`, and the sha256 of the weights.
    A model may have the arrays `optional`. One that has any is written with `version`, any other with version 1.
    """

    kind: str
    version: int
    file: str
    optional: tuple[str, ...] = ()

    def write(
        self,
        folder: Path,
        description: Mapping[str, Any],
        arrays: Mapping[str, Floats],
        card: str,
        extras: Mapping[str, bytes],
    ) -> None:
        """Write a model, whole or not at all, with `extras`: further files by name.

        Raises `BundleError` if something else is at `folder`, and `OSError` if it cannot be written.
        """
        if folder.exists() and not (folder / self.file).is_file():
            raise BundleError(f"{folder}: something that is not a {self.kind} is already there")
        archive_bytes = io.BytesIO()
        with zipfile.ZipFile(archive_bytes, "w", zipfile.ZIP_DEFLATED) as archive:
            for array_name, array in arrays.items():
                member = io.BytesIO()
                np.lib.format.write_array(member, np.ascontiguousarray(array, np.float32), allow_pickle=False)
                # `ZipInfo` has a date of its own, so the same numbers give the same bytes.
                archive.writestr(zipfile.ZipInfo(f"{array_name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)
        weights = archive_bytes.getvalue()
        sha256 = sha256_hex(weights)
        version = self.version if set(self.optional) & set(arrays) else 1
        stated = {"format": f"sideman {self.kind}", "version": version, "weights_sha256": sha256}
        text = json.dumps({**stated, **description}, indent=1, ensure_ascii=False) + "\n"
        # A byte of the command line that was not UTF-8 is written as an escape.
        stated_bytes, card_bytes = (content.encode(errors="backslashreplace") for content in (text, card))
        write_folder(folder, {WEIGHTS_FILE: weights, self.file: stated_bytes, CARD_FILE: card_bytes, **extras})

    def read(
        self, folder: Path, names: Sequence[str], more: Callable[[dict[str, Any]], Sequence[str]] = lambda _: ()
    ) -> tuple[dict[str, Any], dict[str, Floats], str]:
        """Return the description of a model, its arrays, and its card, empty if it has none.

        The arrays must be `names`; from version 2 on they may also be `optional`.

        `more` returns the names of further arrays that a model of this description must have.

        Raises `BundleError`, which names the file, if one is missing or broken, or is of another format or version.
        """
        path, card = folder / self.file, folder / CARD_FILE
        try:
            description = json.loads(read_bytes(path, DESCRIPTION.bytes))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{path}: not a JSON file: {error}") from error
        if not isinstance(description, dict) or description.get("format") != f"sideman {self.kind}":
            raise BundleError(
                f'{path}: format: not a {self.kind} of sideman (its format would be "sideman {self.kind}")'
            )
        found, known = description.get("version"), range(1, self.version + 1)
        if not isinstance(found, int) or isinstance(found, bool) or found not in known:
            too_old = "; this program is too old for it" if isinstance(found, int) and found > self.version else ""
            versions = " and ".join(map(str, known))
            raise BundleError(f"{path}: version: {found!r}, but this program reads {versions}{too_old}")
        optional, names = self.optional if found > 1 else (), [*names, *more(description)]
        arrays = _read_arrays(folder / WEIGHTS_FILE, description.get("weights_sha256"), names, optional)
        return description, arrays, read_bytes(card, CARD.bytes).decode(errors="replace") if card.is_file() else ""


def _read_arrays(path: Path, sha256: object, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Floats]:
    """Return the float32 arrays of an .npz file, whose content must have the hash `sha256` (hexadecimal).

    Raises `BundleError` if the file is missing or broken, has another hash, or holds other arrays than `names` and
    perhaps `optional`, another number type or a pickle.
    """
    raw = read_bytes(path, WEIGHTS.bytes)
    if sha256_hex(raw) != sha256:
        raise BundleError(f"{path}: its contents do not match weights_sha256")

    def check_names(found: set[str]) -> None:
        missing, unknown = set(names) - found, found - {*names, *optional}
        if missing or unknown:
            wrong = f"{min(missing)} is missing" if missing else f"{min(unknown)[:100]!r} is unknown"
            raise BundleError(f"{path}: {wrong}; it should hold {', '.join((*names, *optional))}")

    try:
        arrays = read_npz(raw, WEIGHTS.bytes, check_names)
    except ArchiveError as error:
        raise BundleError(f"{path}: not a complete .npz file: {error}") from error
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise BundleError(f"{path}: {name}: not an array of float32")
    return arrays


def read_npz(
    content: bytes, max_bytes: int, check_names: Callable[[set[str]], None] = lambda _names: None
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays in an .npz file, which have `max_bytes` at most. `check_names` may refuse their names.

    Raises `ArchiveError`.
    """
    archive = ZipReader(content, max_bytes)
    files = {name.removesuffix(".npy"): name for name in archive.names}
    check_names(set(files))
    return {name: _read_npy(name, archive.read(file)) for name, file in files.items()}


def _read_npy(name: str, content: bytes) -> npt.NDArray[Any]:
    """Return the array in an .npy file. Memory is used only for what the file really holds. Raises `ArchiveError`."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = header(stream)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
            raise ValueError("it is a pickle, or of another size than it says")
        array = np.frombuffer(content, dtype, offset=stream.tell()) if math.prod(shape) else np.empty(0, dtype)
        return array.reshape(shape, order="F" if is_fortran else "C").copy()
    except Exception as error:  # NumPy reads the header as Python source, with as many types of errors
        raise ArchiveError(f"{name[:100]}: not an array of numbers: {str(error)[:200]}") from error


def check_shapes(path: Path, arrays: Mapping[str, Floats], shapes: Mapping[str, tuple[int, ...]], sizes: str) -> None:
    """Check that every array has its shape in `shapes`, is not empty, and holds only finite numbers.

    `sizes` names the sizes that the shapes follow from, for the error message. Raises `BundleError`.
    """
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or not array.size:
            raise BundleError(f"{path}: {name}: shape {array.shape}, but {sizes} need {shape}")
        if not np.isfinite(array).all():
            raise BundleError(f"{path}: {name}: holds numbers that are not finite")
