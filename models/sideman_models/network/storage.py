# SPDX-License-Identifier: Apache-2.0
"""Trained numbers on disk: folders written whole or not at all, arrays and JSON that are checked before they are used.

What is read comes from anywhere, so nothing in it is believed: no pickle is read, and every refusal names the file.
"""

from __future__ import annotations

import contextlib
import io
import json
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sideman_models.errors import BundleError
from sideman_models.files import read_plain_file, write_whole
from sideman_models.network.lstm import Floats

MAX_BYTES = 1 << 28
_BACKUP_MARK = "-old-"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """Make `path` a folder of `contents` (contents by name), whole or not at all; an older one is replaced at the end.

    One that was set aside by a save that was killed is put back first; when all is done, none of these is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if (aside := existing_folder(path)) != path:
        aside.rename(path)
        shutil.rmtree(aside.parent, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        for name, content in contents.items():
            write_whole(fresh / name, content)
        fresh.chmod(0o755)
        _replace_folder(path, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    for old in _backup_folders(path):
        shutil.rmtree(old.parent, ignore_errors=True)


def existing_folder(path: Path) -> Path:
    """Where the folder `path` stands: there, or, after a save that was killed as it took its place, set aside."""
    if path.exists():
        return path
    return max(_backup_folders(path), key=lambda old: old.stat().st_mtime, default=path)


def _backup_folders(path: Path) -> list[Path]:
    """The older folders that saves have moved out of the way; none where nobody may look."""
    with contextlib.suppress(OSError):
        olds = [one for one in path.parent.iterdir() if one.name.startswith(f".{path.name}{_BACKUP_MARK}")]
        return [old / path.name for old in olds if (old / path.name).is_dir()]
    return []


def _replace_folder(path: Path, new_folder: Path) -> None:
    if not path.exists():
        new_folder.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}{_BACKUP_MARK}", dir=path.parent))
    path.rename(old / path.name)
    try:
        new_folder.rename(path)
    except OSError:
        (old / path.name).rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def read_bytes(path: Path) -> bytes:
    """What the file holds. Raises `BundleError` where it cannot be read or is too large."""
    try:
        return read_plain_file(path, MAX_BYTES)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error


def read_description(path: Path, format_name: str, version: int) -> dict[str, Any]:
    """Read the JSON description of a folder. Raises `BundleError` for another `format_name` or `version`."""
    try:
        told = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(told, dict) or told.get("format") != format_name:
        raise BundleError(
            f'{path}: format: not a {format_name.partition(" ")[2]} of sideman (it would say "{format_name}")'
        )
    found = told.get("version")
    if found != version:
        later = isinstance(found, int) and found > version
        raise BundleError(
            f"{path}: version: {found!r}, but this program reads {version}" + ("; it is too old" if later else "")
        )
    return told


def pack_arrays(arrays: Mapping[str, Floats]) -> bytes:
    """The contents of an .npz file of these arrays in float32, the same for the same numbers."""
    archive_bytes = io.BytesIO()
    with zipfile.ZipFile(archive_bytes, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array, np.float32), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH), member.getvalue(), zipfile.ZIP_DEFLATED)
    return archive_bytes.getvalue()


def unpack_arrays(path: Path, raw: bytes, names: Sequence[str]) -> dict[str, Floats]:
    """The arrays called `names`, in float32, of the .npz file `path` whose contents are `raw`. Raises `BundleError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            missing, foreign = set(names) - set(members), set(members) - set(names)
            if missing or foreign:
                wrong = f"no {min(missing)}" if missing else f"{min(foreign)!r} does not belong there"
                raise BundleError(f"{path}: {wrong}; it holds {', '.join(names)}")
            if sum(info.file_size for info in members.values()) > MAX_BYTES:
                raise BundleError(f"{path}: its arrays are larger than {MAX_BYTES >> 20} MiB")
            return {name: _parse_array(path, name, _read_member(archive, info)) for name, info in members.items()}
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path}: not a whole .npz file: {error}") from error


def check_shapes(
    path: Path, arrays: Mapping[str, Floats], shapes: Mapping[str, tuple[int, ...]], sizes_text: str
) -> None:
    """See that every array has its shape, which is never empty, and only finite numbers; `sizes_text` tells of what."""
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or not array.size:
            raise BundleError(f"{path}: {name}: shape {array.shape}, but {sizes_text} need {shape}")
        if not np.isfinite(array).all():
            raise BundleError(f"{path}: {name}: holds numbers that are not finite")


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as member:
        return member.read(info.file_size)  # told how much, it unpacks no more than was claimed and checked


def _parse_array(path: Path, name: str, raw: bytes) -> Floats:
    try:
        array = np.load(io.BytesIO(raw), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, SyntaxError) as error:
        raise BundleError(f"{path}: {name}: not an array of numbers: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise BundleError(f"{path}: {name}: not an array of float32")
    return array
