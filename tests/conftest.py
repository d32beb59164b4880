# SPDX-License-Identifier: Apache-2.0
"""What every test stands on: a world without the tester's own settings, repeatable dice, ports in CI."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support.processes import can_unshare_network

_OWN_PREFIXES = ("SIDEMAN_", "XDG_")
_SYSTEMD = ("JOURNAL_STREAM", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID")
_SYSTEMD_FOLDERS = ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY", "LOGS_DIRECTORY")

# No deadlines: how long a test takes says nothing on a busy machine. In CI the same examples each time.
settings.register_profile("home", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.fixture(autouse=True, scope="session")
def _isolated_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may find, or write, the settings, bundles and state of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_OWN_PREFIXES) or name in (*_SYSTEMD, *_SYSTEMD_FOLDERS):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True, scope="module")
def _collect_garbage_early() -> None:
    """A player gathers garbage once a bar: not among all that the tests before have left, which takes long."""
    gc.freeze()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, empty."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI there are ports: a test that would be skipped for want of one is a failure there.

    So is one with two Link peers, wherever they can have a network of their own.
    """
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail") and _must_run(item):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {report.longrepr}"
    return report


def _must_run(item: pytest.Item) -> bool:
    if item.get_closest_marker("link") is not None:
        return can_unshare_network()
    return item.get_closest_marker("ports") is not None or "ports" in item.path.relative_to(item.config.rootpath).parts
