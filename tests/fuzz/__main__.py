# SPDX-License-Identifier: Apache-2.0
"""Fuzzes the targets and prints what came of it.

    python -m fuzz [TARGET ...] [--seconds 60] [--jobs 1]

Each runs in a process of its own with at most a gigabyte of memory. A finding is every error that the target does not
allow, and an input that takes ten seconds of the processor (on a busy machine, the time that passes means nothing).
Inputs that reach new code are kept in build/fuzz, findings in build/fuzz/findings: `python -m fuzz TARGET --input FILE`
repeats one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WORK = Path("build/fuzz")
TARGET_NAMES = [
    "midi", "charts", "tunes", "scores", "databases", "bundles", "journals", "states", "settings", "socket", "osc",
]  # fmt: skip
MEMORY_MB = 1024
INPUT_S, HANGS_S = 10, 300
"""How long an input may take: of the processor, and at all, should it never come back."""
_ESCAPES = str.maketrans({'"': r"\x22", "\\": r"\x5c"})


def main() -> int:
    """Fuzz. Returns 1 if something was found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="how many targets at the same time")
    parser.add_argument("--input", help="one file that is fed to one target")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        fuzz_one(args.targets[0], args.seconds, args.input)
        return 0
    names = args.targets or TARGET_NAMES
    print(f"{'target':10}{'inputs':>12}{'a second':>10}{'seconds':>9}{'paths':>7}  findings")
    with ThreadPoolExecutor(max(1, args.jobs)) as jobs:
        return max(jobs.map(lambda name: run(name, args.seconds, args.input), names))


def run(name: str, seconds: int, file: str | None) -> int:
    """Fuzz one target in a process of its own. Returns 1 if something was found."""
    (WORK / "findings").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fuzz", "--inside", name, "--seconds", str(seconds)]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as home:  # noqa: PTH112
        kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
        environment = {**kept, "HOME": home, "TMPDIR": home, "XDG_RUNTIME_DIR": home}
        log = WORK / f"{name}.log"
        with log.open("w") as output:
            more = ["--input", file] if file else []
            done = subprocess.run([*command, *more], env=environment, stdout=output, stderr=output, check=False)
    text = log.read_text("utf-8", "replace")
    stat = {key: int(number) for key, number in re.findall(r"stat::(\w+):\s+(\d+)", text)}
    found = re.findall(r"Test unit written to (\S+)", text)
    paths = re.findall(r"corp: (\d+)", text)[-1:] or ["-"]
    inputs, rate = stat.get("number_of_executed_units", 0), stat.get("average_exec_per_sec", 0)
    trouble = ", ".join(found) or ("none" if done.returncode == 0 else f"see {log}")
    print(f"{name:10}{inputs:12,}{rate:10,}{seconds:9,}{paths[0]:>7}  {trouble}", flush=True)
    return int(done.returncode != 0)


def fuzz_one(name: str, seconds: int, file: str | None) -> None:
    """Fuzz in this process; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["sideman", "sideman_models", "pythonosc"], enable_loader_override=False):
        from fuzz.targets import TARGETS
    import logging

    logging.disable()
    target = TARGETS[name]
    corpus = WORK / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = WORK / f"{name}.words"
    words.write_text("".join(f'"{word.translate(_ESCAPES)}"\n' for word in target.words.split()))
    feed = target.make(Path(tempfile.mkdtemp()))

    def once(data: bytes) -> None:
        start = time.process_time()
        with contextlib.suppress(*target.allowed):
            feed(data)
        if (spent := time.process_time() - start) > INPUT_S:
            raise TimeoutError(f"the input took {spent:.0f} s of the processor")

    if file is not None:
        once(Path(file).read_bytes())
        return
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={HANGS_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={target.max_bytes}",
        f"-dict={words}",
        f"-artifact_prefix={WORK}/findings/{name}-",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], once)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
