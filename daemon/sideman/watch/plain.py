# SPDX-License-Identifier: Apache-2.0
"""Plain lines for files, pipes and terminals that cannot draw: one line for each bar and for each change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from sideman.control.protocol import BarEvent, Message
from sideman.watch.model import WatchState, read_message
from sideman_models.text import count_noun, printable

_TEMPO_CHANGE_BPM = 1.0  # beats per minute; an external clock is never quite steady


def write_plain(lines: Iterable[str], stream: TextIO) -> int:
    """Write what comes in `lines` of the control socket to `stream`, until they end or Ctrl-C. Return the status."""
    writer = PlainWriter()
    try:
        for line in lines:
            for text in writer.lines_for(read_message(line)):
                stream.write(f"{text}\n")
                stream.flush()
        stream.write("the daemon has ended\n")
        stream.flush()
    except KeyboardInterrupt:
        pass
    return 0


class PlainWriter:
    """Describes events in lines of text, and each part of the state only when it has changed."""

    def __init__(self) -> None:
        self._state = WatchState()
        self._last_lines: dict[str, str] = {}
        self._bpm = 0.0

    def lines_for(self, event: Message | None) -> Iterator[str]:
        """Return the lines for an event; most events have none."""
        state = self._state
        state.apply_event(event, 0.0)
        if isinstance(event, BarEvent):
            yield self._format_bar(event)
        while state.log:
            level, text = state.log.popleft()
            yield text if level == "info" else f"{level}: {text}"
        meters = ", ".join(dict.fromkeys(map(str, state.meters)))
        chart = f"{state.title or 'untitled'}, {count_noun(len(state.bars), 'bar')} of {meters}"
        late = state.counts.get("late", 0)
        if state.bpm is not None and abs(state.bpm - self._bpm) >= _TEMPO_CHANGE_BPM:
            self._bpm = state.bpm
        has_halted = not state.rolling or "rolling" in self._last_lines
        lines = {
            "chart": f"chart: {chart}" if state.bars else "",
            "seed": "" if state.seed is None else f"seed: {state.seed}",
            "tempo": f"tempo: {self._bpm:.0f} bpm" if self._bpm else "",
            "mode": f"mode: {state.mode}" if state.mode else "",
            "doing": state.doing,
            "ports": f"ports: {state.ports}" if state.ports else "",
            "rolling": ("rolling" if state.rolling else "halted") if has_halted else "",
            "late": f"late: {count_noun(late, 'note')} left out" if late else "",
        }
        for name, text in lines.items():
            if text and self._last_lines.get(name) != text:
                self._last_lines[name] = text
                yield text

    def _format_bar(self, bar: BarEvent) -> str:
        """Return a bar as the log has it: `bar 3 | F7 | C,0.500,+2 Eb4 · R,1.000 -`."""
        chords = " ".join(map(printable, bar.chords))
        names = ("" if each.pitch is None else self._state.pitch_name(each.pitch) for each in bar.values)
        values = (f"{printable(each.value)} {name or '-'}" for each, name in zip(bar.values, names, strict=True))
        return f"bar {bar.number} | {chords} | {' · '.join(values) or '-'}"
