# SPDX-License-Identifier: Apache-2.0
"""Finds files: those that come with sideman, and the user's own presets, charts and configuration."""

from __future__ import annotations

import os
from pathlib import Path

from sideman.core.errors import Unavailable

PRESETS, CHARTS = ("presets", ".yaml"), ("charts", ".chart", ".txt", ".abc")
"""Where presets and charts are that have a name, and how their files end."""
_PACKAGE = Path(__file__).resolve().parents[1]
_SYSTEM = Path("/etc/sideman")


def bundled_path(*parts: str) -> Path:
    """Return the path of a file or folder that comes with sideman, such as `bundled_path("config", "default.yaml")`.

    A wheel has config/ and systemd/ inside the package, an editable install has them in its checkout. Raises
    Unavailable if they are in neither place. The path itself need not exist.
    """
    for root in (_PACKAGE / "share", _PACKAGE.parents[1]):
        if (root / "config" / "default.yaml").is_file():
            return root.joinpath(*parts)
    raise Unavailable(f"{_PACKAGE}: this installation lacks its data files; install sideman again")


def expand_user(path: str) -> Path:
    """Return `path` with a leading `~` or `~user` expanded. The name of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises for an unknown user


def user_config_folder() -> Path | None:
    """Return the user's configuration folder, which may not exist; None for a user without a home (some services)."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(given):  # noqa: PTH117 - the XDG specification ignores relative paths
        return Path(given) / "sideman"
    try:
        return Path.home() / ".config" / "sideman"
    except RuntimeError:
        return None


def config_folders() -> list[Path]:
    """Return the folders of configurations: the user's, then the machine's."""
    return list(filter(None, (user_config_folder(), _SYSTEM)))


def config_path(named: str | None) -> Path | None:
    """Return the configuration file to read: --config, else $SIDEMAN_CONFIG, else the default one if there is one."""
    named = named if named is not None else os.environ.get("SIDEMAN_CONFIG") or None
    if named is not None:
        return expand_user(named)
    paths = (folder / "config.yaml" for folder in config_folders())
    return next((path for path in paths if os.path.lexists(path)), None)


def writable_config_path(named: str | None) -> Path | None:
    """Return the configuration file to write to: the one that is read, else a new one of the user."""
    own = user_config_folder()
    return config_path(named) or (own and own / "config.yaml")


def find_resource(kind: str, name: str, *suffixes: str) -> Path | None:
    """Return the preset or chart called `name`: the user's, else the machine's, else the one that comes with sideman.

    If a folder has it with several suffixes, the first suffix wins.
    """
    if not name or os.sep in name or name.startswith("."):
        return None
    folders = [*config_folders(), bundled_path("config")]
    files = (folder / kind / f"{name}{suffix}" for folder in folders for suffix in suffixes)
    return next(filter(Path.is_file, files), None)


def resource_names(kind: str, *suffixes: str) -> list[str]:
    """Return the names that `find_resource` would find."""
    folders = [folder / kind for folder in (*config_folders(), bundled_path("config"))]
    return sorted({path.stem for folder in folders for suffix in suffixes for path in folder.glob(f"*{suffix}")})
