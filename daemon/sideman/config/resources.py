# SPDX-License-Identifier: Apache-2.0
"""Where things lie: what came with the program, and what the user keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sideman.core.errors import Unavailable

_PACKAGE = Path(__file__).resolve().parents[1]
_SYSTEM = Path("/etc/sideman")


def bundled_path(*parts: str) -> Path:
    """A file or folder that came with the program, such as `bundled_path("config", "default.yaml")`.

    A wheel carries config/ and systemd/ inside the package; an editable install has them only in its checkout.
    Raises Unavailable if neither does. The path itself need not exist.
    """
    for root in (_PACKAGE / "share", _PACKAGE.parents[1]):
        if (root / "config" / "default.yaml").is_file():
            return root.joinpath(*parts)
    raise Unavailable(f"{_PACKAGE}: this installation lacks its data; install sideman again")


def expand_user(path: str) -> Path:
    """`path` with a `~` at its beginning spelled out; one of nobody we know stays, and is found not to be there."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises for an unknown user


def user_config_folder() -> Path | None:
    """The user's configuration folder, whether it exists or not; None for a user without a home (some services)."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(given):  # noqa: PTH117 - the rule of the XDG specification: others are ignored
        return Path(given) / "sideman"
    try:
        return Path.home() / ".config" / "sideman"
    except RuntimeError:
        return None


def config_folders() -> Iterator[Path]:
    """Where configurations are looked for: the user's folder, then the machine's."""
    own = user_config_folder()
    if own is not None:
        yield own
    yield _SYSTEM


def default_config_file() -> Path | None:
    """The configuration file used when none is named, or None where there is none."""
    places = (folder / "config.yaml" for folder in config_folders())
    return next((path for path in places if os.path.lexists(path)), None)


def find_resource(kind: str, name: str, *suffixes: str) -> Path | None:
    """The preset or chart called `name`: the user's own, then the machine's, then one that came along.

    Of several suffixes in one place, the first that there is.
    """
    if not name or os.sep in name or name.startswith("."):
        return None
    places = [*config_folders(), bundled_path("config")]
    files = (place / kind / f"{name}{suffix}" for place in places for suffix in suffixes)
    return next(filter(Path.is_file, files), None)


def resource_names(kind: str, *suffixes: str) -> list[str]:
    """What `find_resource` would find, by name."""
    places = [*config_folders(), bundled_path("config")]
    return sorted({path.stem for place in places for suffix in suffixes for path in (place / kind).glob(f"*{suffix}")})
