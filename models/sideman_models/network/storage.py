# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the folders of trained models: a folder is written whole or not at all, and checked when it is read.

The files may come from anywhere, so nothing in them is trusted. Pickles are never read, and every error names the file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from sideman_models.errors import BundleError
from sideman_models.files import read_plain_file
from sideman_models.network.lstm import Floats
from sideman_models.writing import delete_folder, make_folder, rename, scratch_folder, write_whole

WEIGHTS_FILE, CARD_FILE = "weights.npz", "CARD.md"
MAX_BYTES = 1 << 28
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


def read_bytes(path: Path) -> bytes:
    """Return the content of a file. Raises `BundleError` if it cannot be read or is larger than `MAX_BYTES`."""
    try:
        return read_plain_file(path, MAX_BYTES)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error


class ModelFormat(Struct, frozen=True):
    """A kind of trained model: a folder of its weights, its card, and a JSON file `file` that describes it.

    The JSON file states the format, which is `sideman` and the `kind`, its `version`, and the sha256 of the weights.
    """

    kind: str
    version: int
    file: str

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
        sha256 = hashlib.sha256(weights).hexdigest()
        stated = {"format": f"sideman {self.kind}", "version": self.version, "weights_sha256": sha256}
        text = json.dumps({**stated, **description}, indent=1, ensure_ascii=False) + "\n"
        # A byte of the command line that was not UTF-8 is written as an escape.
        stated_bytes, card_bytes = (content.encode(errors="backslashreplace") for content in (text, card))
        write_folder(folder, {WEIGHTS_FILE: weights, self.file: stated_bytes, CARD_FILE: card_bytes, **extras})

    def read(self, folder: Path, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Floats], str]:
        """Return the description of a model, its arrays, which must be `names`, and its card, empty if it has none.

        Raises `BundleError`, which names the file, if one is missing or broken, or is of another format or version.
        """
        path, card = folder / self.file, folder / CARD_FILE
        try:
            description = json.loads(read_bytes(path))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{path}: not a JSON file: {error}") from error
        if not isinstance(description, dict) or description.get("format") != f"sideman {self.kind}":
            raise BundleError(
                f'{path}: format: not a {self.kind} of sideman (its format would be "sideman {self.kind}")'
            )
        found = description.get("version")
        if found != self.version:
            too_old = "; this program is too old for it" if isinstance(found, int) and found > self.version else ""
            raise BundleError(f"{path}: version: {found!r}, but this program reads {self.version}{too_old}")
        arrays = _read_arrays(folder / WEIGHTS_FILE, description.get("weights_sha256"), names)
        return description, arrays, card.read_text("utf-8", "replace") if card.is_file() else ""


def _read_arrays(path: Path, sha256: object, names: Sequence[str]) -> dict[str, Floats]:
    """Return the float32 arrays of an .npz file, whose content must have the hash `sha256` (hexadecimal).

    Raises `BundleError` if the file is missing or broken, has another hash, or holds other arrays than `names`, another
    number type or a pickle.
    """
    raw = read_bytes(path)
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise BundleError(f"{path}: its contents do not match weights_sha256")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            missing, unknown = set(names) - set(members), set(members) - set(names)
            if missing or unknown:
                wrong = f"{min(missing)} is missing" if missing else f"{min(unknown)!r} is unknown"
                raise BundleError(f"{path}: {wrong}; it should hold {', '.join(names)}")
            if sum(info.file_size for info in members.values()) > MAX_BYTES:
                raise BundleError(f"{path}: its arrays are larger than {MAX_BYTES >> 20} MiB")
            arrays = {}
            for name, info in members.items():
                with archive.open(info) as member:
                    content = member.read(info.file_size)  # with a size, it never unpacks more than the checked size
                try:
                    array = np.load(io.BytesIO(content), allow_pickle=False)
                except (ValueError, EOFError, OSError, MemoryError, SyntaxError) as error:
                    raise BundleError(f"{path}: {name}: not an array of numbers: {error}") from error
                if not isinstance(array, np.ndarray) or array.dtype != np.float32:
                    raise BundleError(f"{path}: {name}: not an array of float32")
                arrays[name] = array
            return arrays
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path}: not a complete .npz file: {error}") from error


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
