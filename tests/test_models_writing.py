# SPDX-License-Identifier: Apache-2.0
"""Writing follows no planted link and replaces nothing of others (sideman_models.writing).

Another user is played by a file, a link or a folder that is given away to him, so these tests need to be root; without
that, the number of our own user is changed instead.
"""

from __future__ import annotations

import ast
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import sideman
import sideman_models
from sideman_models import writing
from sideman_models.writing import (
    create_file,
    delete,
    delete_folder,
    locked_file,
    make_folder,
    open_folder,
    own_file,
    rename,
    replace_file,
    scratch_folder,
    write_whole,
)  # fmt: skip

STRANGER = 4242
SECRET = b"ssh-ed25519 mine"


@pytest.fixture(autouse=True)
def _folders_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_reported", set())


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of ours that an attacker would like to have overwritten."""
    (tmp_path / "home").mkdir()
    path = tmp_path / "home" / "authorized_keys"
    path.write_bytes(SECRET)
    return path


def give_away(path: Path) -> None:
    """Give a file, a folder or a link to another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


def shared_folder(tmp_path: Path, mode: int = 0o777) -> Path:
    """A folder in which others may write."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    return folder


WRITERS: list[Callable[[Path], object]] = [lambda path: write_whole(path, b"new"), create_file]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o700])
def test_a_planted_link_is_not_followed(
    write: Callable[[Path], object], mode: int, secret: Path, tmp_path: Path
) -> None:
    """Guards against: a key of an attacker's in ~/.ssh, through a link where a file is about to be written."""
    folder = shared_folder(tmp_path, mode)
    for name, target in (("link", secret), ("dangling", secret.with_name("new"))):
        (folder / name).symlink_to(target)
        with pytest.raises(OSError, match=r"a link; name|File exists"):
            write(folder / name)
    assert secret.read_bytes() == SECRET
    assert [path.name for path in secret.parent.iterdir()] == [secret.name]
    assert sorted(path.name for path in folder.iterdir()) == ["dangling", "link"]


def test_a_hard_link_costs_only_its_name(secret: Path, tmp_path: Path) -> None:
    """Guards against: a second name for our own file, through which its content is changed."""
    folder = shared_folder(tmp_path)
    (folder / "solo.mid").hardlink_to(secret)
    write_whole(folder / "solo.mid", b"new")
    assert (secret.read_bytes(), (folder / "solo.mid").read_bytes()) == (SECRET, b"new")


@pytest.mark.parametrize("write", WRITERS)
def test_a_pipe_and_a_folder_are_refused(write: Callable[[Path], object], tmp_path: Path) -> None:
    """Guards against: a program that waits for a planted pipe for ever, or tells it what it writes."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match=r"something else|directory|File exists"):
            write(tmp_path / name)


def test_a_file_of_another_user_is_not_replaced(tmp_path: Path) -> None:
    """Guards against: the song of another player in a folder of the band that is overwritten."""
    path = shared_folder(tmp_path) / "solo.mid"
    path.write_bytes(b"his")
    give_away(path)
    with pytest.raises(PermissionError, match="belongs to another user"):
        write_whole(path, b"ours")
    scratch = tmp_path / "new"
    scratch.write_bytes(b"ours")
    with pytest.raises(PermissionError, match="belongs to another user"):
        replace_file(path, scratch)
    assert path.read_bytes() == b"his"
    assert [each.name for each in path.parent.iterdir()] == ["solo.mid"]


def test_a_link_of_another_user_in_the_path_is_not_followed(secret: Path, tmp_path: Path) -> None:
    """Guards against: a takes folder in /tmp that is in truth another folder of our own."""
    folder = shared_folder(tmp_path)
    (folder / "takes").symlink_to(secret.parent)
    write_whole(folder / "takes" / "a", b"")  # our own link
    give_away(folder / "takes")
    for act in (
        lambda: write_whole(folder / "takes" / "authorized_keys", b"new"),
        lambda: make_folder(folder / "takes" / "more" / "still"),
        lambda: delete(folder / "takes" / "authorized_keys"),
        lambda: rename(folder / "takes" / "authorized_keys", tmp_path / "stolen"),
        lambda: create_file(folder / "takes" / "b"),
    ):
        with pytest.raises(OSError, match="takes in its path is a link of another user"):
            act()
    delete_folder(folder / "takes" / "a")
    assert secret.read_bytes() == SECRET
    assert sorted(path.name for path in secret.parent.iterdir()) == ["a", secret.name]


def test_links_without_end_are_an_error(tmp_path: Path) -> None:
    """Guards against: a program that goes round and round."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="link"):
        write_whole(tmp_path / "a" / "x", b"")


def test_paths_with_dots_and_own_links_lead_where_the_system_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a file in another folder than the one that was named."""
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/inner")
    (tmp_path / "absolute").symlink_to(tmp_path / "link")
    monkeypatch.chdir(tmp_path / "real")
    for number, path in enumerate(("../link/../x", "./inner/./../../absolute/y", "z")):
        write_whole(Path(path), bytes([number]))
        assert Path(path).read_bytes() == bytes([number])
    assert (tmp_path / "real" / "x").exists()
    assert (tmp_path / "real" / "inner" / "y").exists()


def test_an_exchanged_folder_gets_nothing(secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a folder that is exchanged for a link between the look at it and the writing."""
    folder = shared_folder(tmp_path)
    (folder / "takes").mkdir()

    def exchange(*arguments: object, **more: object) -> None:
        (folder / "takes").rename(folder / "away")
        (folder / "takes").symlink_to(secret.parent)
        real_replace(*arguments, **more)  # type: ignore[arg-type]

    real_replace = os.replace
    monkeypatch.setattr(os, "replace", exchange)
    write_whole(folder / "takes" / secret.name, b"new")
    assert secret.read_bytes() == SECRET
    assert (folder / "away" / secret.name).read_bytes() == b"new"


@pytest.mark.parametrize(
    ("mode", "said"), [(0o777, True), (0o1777, True), (0o775, True), (0o755, False), (0o700, False)]
)
def test_a_folder_that_others_may_write_is_said_once(
    mode: int, said: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a player who does not know that others can exchange his takes."""
    folder = shared_folder(tmp_path, mode)
    if mode == 0o775:  # a group with others in it
        monkeypatch.setattr(writing, "_is_shared", lambda status: bool(status.st_mode & 0o020))
    for _ in range(2):
        write_whole(folder / "a", b"")
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: others may write here; a folder of your own is safer"
    ] * said
    caplog.clear()
    (folder / "inner").mkdir()
    write_whole(folder / "inner" / "a", b"")
    assert len(caplog.records) == (said and not mode & 0o1000)  # in a sticky folder, ours cannot be exchanged


def test_a_folder_of_another_user_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Guards against: takes in a folder of /tmp whose owner can do with them what he likes."""
    folder = shared_folder(tmp_path, 0o755)
    (folder / "takes").mkdir()
    give_away(folder)
    with caplog.at_level(logging.WARNING):
        write_whole(folder / "takes" / "a", b"")
    assert "others may write here" in caplog.text


def test_a_configuration_may_be_a_link_of_ours(secret: Path, tmp_path: Path) -> None:
    """Guards against: `learn --write` that replaces the link into the dotfiles, or follows a planted one."""
    own = tmp_path / "config.yaml"
    own.symlink_to(secret)
    assert own_file(own) == secret
    planted = shared_folder(tmp_path) / "config.yaml"
    planted.symlink_to(secret)
    with pytest.raises(OSError, match="where others may write"):
        own_file(planted)
    give_away(own)
    with pytest.raises(OSError, match="where others may write"):
        own_file(own)


def test_a_lock_is_ours_alone(secret: Path, tmp_path: Path) -> None:
    """Guards against: another user who keeps the lock, or has our own file made accessible as one."""
    folder = shared_folder(tmp_path)
    with locked_file(folder / "lock") as is_free:
        assert is_free
        assert (folder / "lock").stat().st_mode & 0o777 == 0o600
        with locked_file(folder / "lock") as is_free_again:
            assert not is_free_again
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(secret)
    (folder / "hard").hardlink_to(secret)
    for name in ("pipe", "link", "hard"):
        with pytest.raises(OSError, match=r"not our own lock|symbolic links"), locked_file(folder / name):
            pass
    (folder / "lock").chmod(0o666)
    give_away(folder / "lock")
    with pytest.raises(OSError, match="not our own lock"), locked_file(folder / "lock"):
        pass


def test_what_is_deleted_is_the_link(secret: Path, tmp_path: Path) -> None:
    """Guards against: the folder behind a planted link that is emptied."""
    with scratch_folder(tmp_path / "net") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "link").symlink_to(secret.parent)
    (tmp_path / "link").symlink_to(secret.parent)
    delete_folder(tmp_path / "link")
    delete(tmp_path / "link")
    delete(tmp_path / "link")
    assert not folder.exists()
    assert secret.read_bytes() == SECRET


def test_no_name_can_be_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a link planted under the name that the next temporary file will have."""
    made: list[str] = []
    real_open = os.open

    def open_and_note(path: str, flags: int, *arguments: object, **more: object) -> int:
        if flags & os.O_CREAT:
            assert flags & os.O_EXCL
            assert flags & os.O_NOFOLLOW
            made.append(path)
        return real_open(path, flags, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", open_and_note)
    for _ in range(3):
        write_whole(tmp_path / "a", b"")
    assert len(set(made)) == 3
    with open_folder(tmp_path):
        pass


# -- the product writes nowhere else

_WRITING = Path(writing.__file__)
_METHODS = {
    "write_text", "write_bytes", "mkdir", "makedirs", "rename", "renames", "unlink", "rmdir", "touch", "symlink",
    "symlink_to", "hardlink_to", "chmod", "lchmod", "chown", "truncate", "ftruncate", "mkfifo", "mknod", "savez",
    "savez_compressed", "savetxt", "tofile", "savefig", "save", "save_weights", "FileHandler", "ZipFile", "removedirs",
    "export",
}  # fmt: skip
_MODULES = {"shutil": {"which"}, "tempfile": {"gettempdir"}}
"""Modules that write, with what in them does not."""
_INTO_MEMORY = {
    "np.savez(content, **arrays)",
    "figure.savefig(content, format='png', metadata={'Software': None})",
    "song.save(file=file)",
    "zipfile.ZipFile(archive_bytes, 'w', zipfile.ZIP_DEFLATED)",
    "zipfile.ZipFile(content, 'w', zipfile.ZIP_STORED)",
    "zipfile.ZipFile(io.BytesIO(data))",
    "zipfile.ZipFile(io.BytesIO(raw))",
    "zipfile.ZipFile(io.BytesIO(content))",
    "os.open(name, flags | os.O_NONBLOCK)",  # to read
    "model.save(path)",  # into a scratch folder
    "Path(os.devnull).open('wb')",
    "os.open(os.devnull, os.O_WRONLY)",
    "os.ftruncate(self._file, self.size)",  # a take that was opened in the one place
}


def _writes(call: ast.Call) -> bool:
    """Whether a call may make, change, rename or delete a file."""
    module, _, name = ast.unparse(call.func).rpartition(".")
    if module in _MODULES:
        return name not in _MODULES[module]
    if module == "os":
        return name in {*_METHODS, "remove", "replace", "link"} or (
            name == "open" and "RDONLY" not in ast.unparse(call)
        )
    if name == "truncate" and any(keyword.arg == "overflow" for keyword in call.keywords):
        return False  # a line on the screen
    if name in ("open", "fdopen"):
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        texts = [each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return any(set(text) <= set("rwaxbt+") and set(text) & set("wax+") for text in texts)
    if name == "replace":  # of a path; a text has two arguments, a struct has keywords
        return bool(module) and len(call.args) == 1 and not call.keywords
    return bool(module) and name in _METHODS  # without a module it is a function of the one place


def _sources() -> list[Path]:
    return [path for package in (sideman, sideman_models) for path in sorted(Path(package.__path__[0]).rglob("*.py"))]


def test_the_product_writes_in_one_place() -> None:
    """Guards against: the next file that is written through a planted link."""
    found = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and _writes(node) and ast.unparse(node) not in _INTO_MEMORY
        if path != _WRITING
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    ["open(p, 'w')", "p.open('ab')", "open(p, mode='x')", "os.open(p, os.O_WRONLY | os.O_CREAT)", "p.write_text('')",
     "p.replace(q)", "os.replace(p, q)", "shutil.rmtree(p)", "tempfile.mkdtemp()", "np.savez(p, a)", "p.mkdir()",
     "gzip.open(p, 'wt')", "p.open('r+b')"],
)  # fmt: skip
def test_the_search_finds_what_writes(code: str) -> None:
    """Guards against: a search that finds nothing, whatever is written."""
    assert any(_writes(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
