# SPDX-License-Identifier: Apache-2.0
"""What all tests share: none of the tester's own settings, repeatable examples in CI, and which tests are quick."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from hypothesis import settings

from support.processes import can_unshare_network

pytest_plugins = ["support.chromium"]
_OWN_PREFIXES = ("SIDEMAN_", "XDG_")
_SYSTEMD = ("JOURNAL_STREAM", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID")
_SYSTEMD_FOLDERS = ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY", "LOGS_DIRECTORY")

ALONE = ("browser", "link", "ports")
"""The markers of the tests that `make test` runs one after the other."""
NOT_QUICK = (*ALONE, "slow", "subprocess", "system", "tensorflow")
"""The markers that `make quick` leaves out. Only a test with one of them may start a process or import TensorFlow."""
_STARTS_A_PROCESS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}

# No deadlines: on a busy machine the duration of a test means nothing. In CI the examples are the same each time.
settings.register_profile("home", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=15)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.fixture(autouse=True, scope="session")
def _isolated_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the settings, bundles and state of the person who runs the tests from all tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_OWN_PREFIXES) or name in (*_SYSTEMD, *_SYSTEMD_FOLDERS):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _default_interrupt() -> None:
    """Let Ctrl-C end the programs that tests start: a shell makes its background jobs ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def _collect_garbage_early() -> None:
    """Freeze what earlier tests have left: a player collects garbage once a bar, and would need long for it."""
    gc.freeze()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder for one test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Of the tests that `make test` runs alone, collect only the files that have some: others import TensorFlow."""
    if config.option.markexpr != " or ".join(ALONE) or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text("utf-8")
    return None if any(f"pytest.mark.{name}" in text for name in ALONE) else True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that is skipped because there is no port has failed: CI installs what makes ports.

    The same holds for a test with two Link peers where a network namespace can be made.
    """
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail") and _must_run(item):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let the guard know which test runs, with its fixtures."""
    _Guard.guarded = not any(item.get_closest_marker(name) for name in NOT_QUICK)
    try:
        return (yield)
    finally:
        _Guard.guarded = False


class _Guard:
    """Fails a test that starts a process or imports TensorFlow without a marker: it would slow `make quick` down."""

    guarded = False

    @classmethod
    def check(cls, event: str, arguments: tuple[object, ...]) -> None:
        """See `sys.addaudithook`."""
        if not cls.guarded:
            return
        if event in _STARTS_A_PROCESS and arguments[:1] != ("fc-list",):  # matplotlib lists the fonts, once in a run
            pytest.fail(f"{event} {arguments[:2]}: a test that starts a process needs @pytest.mark.subprocess")
        if event == "import" and arguments[0] == "tensorflow":
            pytest.fail("a test that imports TensorFlow needs @pytest.mark.tensorflow")


sys.addaudithook(_Guard.check)
_start_process = BaseProcess.start


def _start_checked(self: BaseProcess) -> None:
    """What `multiprocessing` starts raises no audit event."""
    _Guard.check("os.fork", ("multiprocessing",))
    _start_process(self)


BaseProcess.start = _start_checked  # type: ignore[method-assign]


def _must_run(item: pytest.Item) -> bool:
    if item.get_closest_marker("link") is not None:
        return can_unshare_network()
    return any(item.get_closest_marker(name) is not None for name in ("browser", "ports"))
