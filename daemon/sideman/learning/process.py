# SPDX-License-Identifier: Apache-2.0
"""The process that learns beside a playing daemon: `python -c "…process.main()"`.

On standard input it gets a job, one line of JSON, and the learned weights to go on from, if there are any; then the
values that are played and heard, an array a line. After each round that `training.fine_tuning` has done it answers with
a line of JSON, and with the file of the new weights if they are better. It loads the bundle first; then it can open
nothing more. It ends when its standard input does, and with the daemon.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Struct

from sideman.config.confinement import confine, end_with_the_daemon, go_last, open_nothing_more
from sideman_models.limits import LEARNING_MEMORY_BYTES, WEIGHTS
from sideman_models.network.bundle import load_bundle
from sideman_models.network.learned import encode_learned, read_learned
from sideman_models.training.fine_tuning import FineTuning, HeardValue, Outcome

NICENESS = 15
"""Whatever else the machine has to do goes first."""
ENVIRONMENT = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
"""One thread: the other cores are for the music."""


class LearningJob(Struct, frozen=True):
    """The bundle at the path `bundle`; a file of learned weights follows that has `learned` bytes, 0 for none."""

    bundle: str
    learned: int

    def encode(self) -> bytes:
        """As a line. A path that is not UTF-8 has lone surrogates, which msgspec does not write."""
        return json.dumps(msgspec.to_builtins(self)).encode() + b"\n"


class Answer(Struct, frozen=True):
    """What a round has come to; `size` bytes of a file of learned weights follow."""

    outcome: Outcome
    size: Annotated[int, msgspec.Meta(ge=0, le=WEIGHTS.bytes)]


def main() -> None:
    """Learn from what comes on standard input until it ends."""
    end_with_the_daemon()
    confine(LEARNING_MEMORY_BYTES)
    go_last(NICENESS)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    job = msgspec.convert(json.loads(source.readline()), LearningJob)
    bundle, learned = load_bundle(job.bundle), source.read(job.learned)
    playing = read_learned(learned, bundle, Path("job")).weights if learned else None
    tuning = FineTuning(bundle, playing)  # this loads what NumPy loads late
    open_nothing_more()
    decoder = msgspec.json.Decoder(list[HeardValue])
    for line in source:
        tuning.hear(decoder.decode(line))
        if (outcome := tuning.learn()) is not None:
            content = encode_learned(tuning.playing, bundle.fingerprint) if outcome.accepted else b""
            sink.write(msgspec.json.encode(Answer(outcome, len(content))) + b"\n" + content)
            sink.flush()
