# SPDX-License-Identifier: Apache-2.0
"""What users install: the wheel with all its data, the source archive, the locked requirements."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from sideman import __version__
from support import audit

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {"daemon/sideman": "sideman", "models/sideman_models": "sideman_models"}
DATA = {"config": "sideman/share/config", "systemd": "sideman/share/systemd"}
LOCKS = ("requirements.lock", "requirements-dev.lock")


@dataclass(frozen=True)
class Built:
    """The built wheel and source archive."""

    wheel: Path
    sdist: Path


def call(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, without our import paths. Returns its output."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, target: Path) -> Built:
    """Build wheel and source archive of the project at `source`, without a network."""
    call(sys.executable, "-m", "hatchling", "build", "-d", target, cwd=source)
    return Built(next(target.glob("*.whl")), next(target.glob("*.tar.gz")))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The wheel and source archive of this tree."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


def files(folders: Mapping[str, str]) -> set[str]:
    """The files in these folders, by the paths that they should have in the wheel."""
    return {
        f"{there}/{path.relative_to(ROOT / here).as_posix()}"
        for here, there in folders.items()
        for path in (ROOT / here).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_the_wheel_holds_the_packages_their_data_and_nothing_else(built: Built) -> None:
    """Guards against: an installation without its model or presets, or that overwrites another package."""
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    info = f"sideman-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == files(SOURCES) | files(DATA)
    assert {f"{info}licenses/LICENSE", f"{info}entry_points.txt", f"{info}sboms/sideman.cdx.json"} <= names
    assert {"sideman/py.typed", "sideman_models/py.typed", "sideman/share/config/default.yaml"} <= names


@pytest.mark.slow
def test_the_source_archive_can_build_and_test_itself(built: Built, tmp_path: Path) -> None:
    """Guards against: a source archive that cannot be built or tested."""
    call("tar", "-xzf", built.sdist, cwd=tmp_path)
    source = tmp_path / f"sideman-{__version__}"
    assert all((source / name).is_file() for name in ("Makefile", "LICENSE", "README.md", ".ci/run", *LOCKS))
    assert os.access(source / ".ci" / "run", os.X_OK)
    with zipfile.ZipFile(build(source, tmp_path / "dist").wheel) as again, zipfile.ZipFile(built.wheel) as first:
        assert set(again.namelist()) == set(first.namelist())
    call(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/config/test_resources.py", cwd=source)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `sideman` command in a new environment with the wheel and its dependencies."""
    place = tmp_path_factory.mktemp("elsewhere")
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    call(*pip, "install", "--quiet", "--no-deps", "--no-index", built.wheel, cwd=place)
    site = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip()
    ours = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    # A path named in a .pth file is searched, its own .pth files are not: the checkout stays out of reach.
    Path(site, "dependencies.pth").write_text("\n".join(ours), "utf-8")
    return place / "bin" / "sideman"


@pytest.mark.slow
def test_an_installed_wheel_runs_far_from_any_checkout(installed: Path, tmp_path: Path) -> None:
    """Guards against: an installed command that does not start."""
    assert call(installed, "--version", cwd=tmp_path) == f"sideman {__version__}\n"
    find = "r.bundled_path('config', 'default.yaml'), r.find_resource('charts', 'blues', '.txt')"
    program = f"import sideman.config.resources as r; print({find})"
    python = installed.with_name("python")
    found = [Path(name) for name in call(python, "-c", program, cwd=tmp_path).split()]
    assert all(path.is_file() and path.is_relative_to(installed.parents[1]) for path in found)


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "models/sideman_models/bundles/default").is_dir(), reason="no model was trained yet")
def test_an_installed_wheel_plays_with_its_own_model(installed: Path, tmp_path: Path) -> None:
    """Guards against: an installation without a network to play with."""
    call(installed, "render", "--preset", "bebop", "--bars", "2", "--out", tmp_path / "solo.mid", cwd=tmp_path)
    assert (tmp_path / "solo.mid").read_bytes().startswith(b"MThd")


def pins(lock: str) -> dict[str, list[str]]:
    """The requirements in a lock file by name, each with its condition, if any."""
    found: dict[str, list[str]] = {}
    for name, rest in re.findall(r"^([A-Za-z0-9_.-]+)==(.*?) \\$", (ROOT / lock).read_text("utf-8"), re.MULTILINE):
        found.setdefault(name.lower(), []).append(rest)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(lock: str) -> None:
    """Guards against: other files than the tested ones; locks that depend on one machine."""
    text = (ROOT / lock).read_text("utf-8")
    requirements = [each for each in re.split(r"\n(?=\S)", text) if not each.startswith("#")]
    assert requirements
    assert all("--hash=sha256:" in each for each in requirements)
    assert not re.search(r"https?:|index-url|file:|find-links| @ |/", text)


def test_the_locks_follow_the_project() -> None:
    """Guards against: locks that differ from the project's requirements, or from each other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    play, dev = (pins(lock) for lock in LOCKS)
    groups = project["dependency-groups"]
    asked = [each for group in groups.values() for each in group if isinstance(each, str)]
    asked += project["project"]["optional-dependencies"]["train"] + project["project"]["dependencies"]
    names = {re.split(r"[^A-Za-z0-9-]", each)[0].lower() for each in asked}
    assert names <= dev.keys()
    assert {"alsa-midi", "numpy", "mido", "python-rtmidi", "pyyaml", "hatchling", "editables"} <= play.keys()
    assert not {"tensorflow", "keras", "matplotlib", "rich", "pytest"} & play.keys()
    assert {name: dev[name] for name in play} == play


@pytest.mark.slow
def test_the_wheel_says_what_it_is_made_of(built: Built) -> None:
    """Guards against: an owner who cannot find out whether a flaw in a library concerns this installation."""
    with zipfile.ZipFile(built.wheel) as wheel:
        text = wheel.read(f"sideman-{__version__}.dist-info/sboms/sideman.cdx.json").decode()
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["metadata"]["component"]["version"]) == ("CycloneDX", __version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert bill["metadata"]["component"]["licenses"] == [{"expression": project["license"]}]
    libraries = [each for each in bill["components"] if each["type"] == "library"]
    locked = [(name, pin.split(" ")[0]) for name, found in pins("requirements.lock").items() for pin in found]
    assert [(each["name"], each["version"]) for each in libraries] == locked
    assert {digest["content"] for each in libraries for digest in each["hashes"]} == set(
        re.findall(r"sha256:(\w+)", (ROOT / "requirements.lock").read_text("utf-8"))
    )
    tools = {each["name"] for each in libraries if each["scope"] == "excluded"}
    assert tools == {"editables", "hatchling", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
    assert not re.search(r"https?:|[?&]repository_url=|index-url", text)
    assert "files.pythonhosted" not in text


@pytest.mark.slow
def test_the_recipe_of_the_service_installs_from_the_lock(built: Built, tmp_path: Path) -> None:
    """Guards against: a service with other versions of its libraries than the tested ones."""
    for page in ("README.md", "docs/service.md", "docs/setups.md"):
        text = (ROOT / page).read_text("utf-8")
        recipes = re.findall(r"^.*/opt/sideman/bin/pip install .*$", text, re.MULTILINE)
        assert all("--require-hashes" in line or "--no-deps" in line for line in recipes), page
    readme = (ROOT / "README.md").read_text("utf-8")
    assert re.findall(r"/opt/sideman/bin/pip (install .*?)(?: +#.*)?$", readme, re.MULTILINE) == [
        "install --require-hashes -r requirements.lock",
        "install --no-deps --no-build-isolation .",
    ]
    # The second line needs no network: its build tools are in the lock.
    call("tar", "-xzf", built.sdist, cwd=tmp_path)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", tmp_path / "there", "--no-index", "--no-deps")
    call(*pip, "--no-build-isolation", tmp_path / f"sideman-{__version__}", cwd=tmp_path)
    assert (tmp_path / "there" / "sideman" / "share" / "systemd" / "sideman.service").is_file()


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], audit.CLEAN, "1 packages, none with a known vulnerability"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}],
            audit.VULNERABLE,
            "a 1: X-1, mended in 2",
        ),
        ([{"name": "a", "skip_reason": "not found"}], audit.NOT_AUDITED, "cannot reach its data"),
        (
            [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}],
            audit.NOT_AUDITED,
            "1 of 2 packages not audited",
        ),
        ([], audit.NOT_AUDITED, "0 of 0 packages not audited"),
        (None, audit.NOT_AUDITED, "not audited: no name of that host"),
    ],
)
def test_an_audit_without_data_is_no_success(
    answer: list[dict[str, object]] | None,
    status: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Guards against: an audit that passes in a place from where it asks in vain, as pip-audit itself does."""
    tool = tmp_path / "pip-audit"
    lines = ["echo a traceback >&2", "echo no name of that host >&2", "exit 1"]
    if answer is not None:
        lines = [f"echo '{json.dumps({'dependencies': answer})}'"]
    tool.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    tool.chmod(0o755)
    assert audit.main([str(tool), "some.lock"]) == status
    assert said in capsys.readouterr().out
