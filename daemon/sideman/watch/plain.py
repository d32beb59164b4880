# SPDX-License-Identifier: Apache-2.0
"""Plain lines for files, pipes and terminals that cannot draw: one line for each bar and for each change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TextIO

from sideman.control.codec import Message
from sideman.control.events import BarEvent, HeardEvent
from sideman.core.words import BarLine
from sideman.watch.model import WatchState, read_message
from sideman_models.text import count_noun, printable

_TEMPO_CHANGE_BPM = 1.0  # beats per minute; an external clock is never quite steady


def write_plain(lines: Iterable[str], stream: TextIO) -> None:
    """Write what comes in `lines` of the control socket to `stream`, until they end or Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        for text in chain(plain_lines(map(read_message, lines)), ["the daemon has ended"]):
            stream.write(f"{text}\n")
            stream.flush()


def plain_lines(messages: Iterable[Message | None]) -> Iterator[str]:
    """Describe `messages` in lines of text, and each part of the state only when it has changed."""
    state, last_lines, bpm, heard = WatchState(), dict[str, str](), 0.0, list[str]()
    for message in messages:
        state.apply_event(message, 0.0)
        if isinstance(message, BarEvent):
            own = ["-" if each.pitch is None else state.pitch_name(each.pitch) or "-" for each in message.values]
            yield BarLine(message.number, [*map(printable, message.chords)], own, heard).text()
            heard = []
        elif isinstance(message, HeardEvent) and message.on:
            heard.append(state.pitch_name(message.pitch) or "-")
        while state.log:
            level, text = state.log.popleft()
            yield text if level == "info" else f"{level}: {text}"
        meters = ", ".join(dict.fromkeys(map(str, state.meters)))
        chart = f"{state.title or 'untitled'}, {count_noun(len(state.bars), 'bar')} of {meters}"
        late = state.counts.get("late", 0)
        if state.bpm is not None and abs(state.bpm - bpm) >= _TEMPO_CHANGE_BPM:
            bpm = state.bpm
        has_halted = not state.rolling or "rolling" in last_lines
        lines = {
            "chart": f"chart: {chart}" if state.bars else "",
            "seed": "" if state.seed is None else f"seed: {state.seed}",
            "tempo": f"tempo: {bpm:.0f} bpm" if bpm else "",
            "mode": f"mode: {state.mode}" if state.mode else "",
            "doing": state.doing,
            "ports": f"ports: {state.ports}" if state.ports else "",
            "rolling": ("rolling" if state.rolling else state.waiting or "halted") if has_halted else "",
            "late": f"late: {count_noun(late, 'note')} left out" if late else "",
        }
        for name, text in lines.items():
            if text and last_lines.get(name) != text:
                last_lines[name] = text
                yield text
