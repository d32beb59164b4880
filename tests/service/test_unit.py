# SPDX-License-Identifier: Apache-2.0
"""The systemd unit and the files that allow it more. `tests/system/service_trial.sh` tries them with a real systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.processes import ROOT

UNIT = ROOT / "systemd" / "sideman.service"
ALLOWING = sorted((ROOT / "systemd").glob("*.conf"))
PAGE = (ROOT / "docs" / "service.md").read_text("utf-8")


def directives(path: Path) -> list[tuple[str, str]]:
    """The lines `Key=value` of a unit."""
    return re.findall(r"^(\w+)=(.*)$", path.read_text("utf-8"), re.MULTILINE)


def installed(folder: Path, *allowing: Path) -> Path:
    """The unit in a folder, with files that allow it more."""
    (folder / "sideman.service.d").mkdir()
    for path in allowing:
        shutil.copy(path, folder / "sideman.service.d")
    return Path(shutil.copy(UNIT, folder))


def exposure(unit: Path) -> float:
    """What `systemd-analyze security` says of a unit."""
    command = ("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"Overall exposure level for sideman.service: ([\d.]+)", text)[0])


def has_offline_analysis() -> bool:
    """Whether systemd's tools are here, and can look at a unit that is not loaded."""
    try:
        shown = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    return int((re.findall(r"systemd (\d+)", shown) or ["0"])[0]) >= 251


@pytest.mark.subprocess
def test_the_unit_exposes_little(tmp_path: Path) -> None:
    """Guards against: a service from which an attacker of a reader gets to the rest of the machine."""
    if not has_offline_analysis():
        pytest.skip("systemd's tools are not here")
    found = exposure(installed(tmp_path))
    assert found <= 1.0
    assert all(
        f"its exposure {found}" in " ".join(text.split()) for text in (PAGE, (ROOT / "SECURITY.md").read_text("utf-8"))
    )


@pytest.mark.subprocess
@pytest.mark.parametrize("path", ALLOWING, ids=lambda path: path.name)
def test_what_a_file_allows_is_little_and_understood(path: Path, tmp_path: Path) -> None:
    """Guards against: a file that systemd ignores, or that opens the service for more than what it names."""
    if not has_offline_analysis():
        pytest.skip("systemd's tools are not here")
    unit = installed(tmp_path, path)
    assert exposure(unit) <= 1.5
    command = ("systemd-analyze", "verify", "--man=no", unit)
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [line for line in verified.stderr.splitlines() if "is not executable" not in line]
    assert not [line for line in complaints if "sideman" in line]


def test_the_unit_bounds_what_it_may_take() -> None:
    """Guards against: a file that takes the memory of the whole machine, or a folder that others may enter."""
    unit = dict(directives(UNIT))
    assert unit["MemoryMax"].endswith("M")
    assert int(unit["TasksMax"]) <= 64
    assert (unit["RuntimeDirectoryMode"], unit["StateDirectoryMode"]) == ("0700", "0700")
    assert (unit["PrivateNetwork"], unit["ProtectHome"], unit["OOMPolicy"]) == ("yes", "yes", "continue")
    filters = [value for key, value in directives(UNIT) if key == "SystemCallFilter"]
    assert filters == ["@system-service", "~@privileged @resources", "setpriority"]


@pytest.mark.parametrize("path", ALLOWING, ids=lambda path: path.name)
def test_a_file_changes_what_the_unit_says_and_is_explained(path: Path) -> None:
    """Guards against: a line that allows nothing because its key is written wrong, and a file that no page explains."""
    known = {key for key, _ in directives(UNIT)} | {"User", "IPAddressAllow", "LimitRTPRIO", "LimitMEMLOCK"}
    assert {key for key, _ in directives(path)} <= known
    assert f"[{path.name}](../systemd/{path.name})" in PAGE


@pytest.mark.parametrize("path", ALLOWING, ids=lambda path: path.name)
def test_a_service_of_the_users_own_leaves_their_memory_alone(path: Path) -> None:
    """Guards against: a JACK server, and all that plays over it, that falls silent when sideman is stopped."""
    lines = dict(directives(path))
    assert "User" not in lines or (lines["DynamicUser"], lines["RemoveIPC"]) == ("no", "no")
