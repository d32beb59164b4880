# SPDX-License-Identifier: Apache-2.0
"""Plain lines for files, pipes and terminals that can draw nothing: one for each bar and for each change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from sideman.watch.model import WatchState, read_event
from sideman_models.text import count_noun, printable

_TEMPO_CHANGE_BPM = 1.0  # beats a minute; a clock that is followed is never quite steady


def write_plain(lines: Iterable[str], stream: TextIO) -> int:
    """Write what comes in `lines`, of the control socket, to `stream`, until they end or the user does; the status."""
    teller = PlainWriter()
    try:
        for line in lines:
            for told in teller.lines_for(read_event(line)):
                stream.write(f"{told}\n")
                stream.flush()
        stream.write("the daemon has ended\n")
        stream.flush()
    except KeyboardInterrupt:
        pass
    return 0


class PlainWriter:
    """Puts events into words, and tells each state only when it is another one."""

    def __init__(self) -> None:
        self._state = WatchState()
        self._last_lines: dict[str, str] = {}
        self._bpm = 0.0

    def lines_for(self, event: object) -> Iterator[str]:
        """The lines for an event; most have none."""
        if not isinstance(event, Mapping):
            return
        self._state.apply_event(event, 0.0)
        if event.get("event") == "bar":
            yield _format_bar(event, self._state)
        while self._state.log:
            level, text = self._state.log.popleft()
            yield text if level == "info" else f"{level}: {text}"
        yield from self._changed_states()

    def _changed_states(self) -> Iterator[str]:
        """What is another state than was told last."""
        scene, late = self._state, self._state.counts.get("late", 0)
        bars = f"{count_noun(len(scene.bars), 'bar')} of {', '.join(dict.fromkeys(map(str, scene.meters)))}"
        if scene.bpm is not None and abs(scene.bpm - self._bpm) >= _TEMPO_CHANGE_BPM:
            self._bpm = scene.bpm
        halts = not scene.rolling or "rolling" in self._last_lines
        states = {
            "chart": f"chart: {scene.title or 'untitled'}, {bars}" if scene.bars else "",
            "seed": "" if scene.seed is None else f"seed: {scene.seed}",
            "tempo": f"tempo: {self._bpm:.0f} bpm" if self._bpm else "",
            "mode": f"mode: {scene.mode}" if scene.mode else "",
            "doing": scene.state,
            "ports": f"ports: {scene.ports}" if scene.ports else "",
            "rolling": ("rolling" if scene.rolling else "halted") if halts else "",
            "late": f"late: {count_noun(late, 'note')} left out" if late else "",
        }
        for name, text in states.items():
            if text and self._last_lines.get(name) != text:
                self._last_lines[name] = text
                yield text


def _format_bar(event: Mapping[str, object], scene: WatchState) -> str:
    """A bar as the log has it: `bar 3 | F7 | C,0.500,+2 Eb4 · R,1.000 -`."""
    chords, values = event.get("chords"), event.get("values")
    named = " ".join(printable(chord) for chord in chords) if isinstance(chords, list) else ""
    played = " · ".join(_format_value(value, scene) for value in values) if isinstance(values, list) else ""
    return f"bar {printable(event.get('number', '?'))} | {named} | {played or '-'}"


def _format_value(told: object, scene: WatchState) -> str:
    if not isinstance(told, Mapping):
        return printable(told)
    pitch = told.get("pitch")
    name = scene.pitch_name(pitch) if isinstance(pitch, int) else ""
    return f"{printable(told.get('value', '?'))} {name or '-'}"
