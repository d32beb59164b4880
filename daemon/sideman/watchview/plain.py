# SPDX-License-Identifier: Apache-2.0
"""Plain lines for files, pipes and terminals that can draw nothing: one for each bar and for each change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from sideman.watchview.model import Scene, read_event
from sideman_models.harmony import pitch_name
from sideman_models.wording import counted, printable


def write(lines: Iterable[str], stream: TextIO) -> int:
    """Write what comes in `lines`, of the control socket, to `stream`, until they end or the user does; the status."""
    teller = Teller()
    try:
        for line in lines:
            for told in teller.tell(read_event(line)):
                stream.write(f"{told}\n")
                stream.flush()
        stream.write("the daemon has ended\n")
        stream.flush()
    except KeyboardInterrupt:
        pass
    return 0


class Teller:
    """Puts events into words, and tells each state only when it is another one."""

    def __init__(self) -> None:
        self._scene = Scene()
        self._said: dict[str, str] = {}
        self._logged = 0

    def tell(self, event: object) -> Iterator[str]:
        """The lines for an event; most have none."""
        if not isinstance(event, Mapping):
            return
        self._scene.take(event, 0.0)
        kind = event.get("event")
        if kind == "bar":
            yield _bar(event)
        elif kind == "changed":
            values = event.get("values")
            yield from (
                (f"{printable(k)} is {printable(v)}" for k, v in values.items()) if isinstance(values, Mapping) else ()
            )
        elif kind == "log" or event.get("ok") is False:
            yield from (f"{level}: {text}" for level, text in list(self._scene.log)[-1:])
        yield from self._states()

    def _states(self) -> Iterator[str]:
        scene = self._scene
        chart = f"chart: {scene.title or 'untitled'}, {counted(len(scene.bars), 'bar')} of {scene.meter}"
        tempo = "" if scene.bpm is None else f"tempo: {scene.bpm:.0f} bpm"
        late = scene.counts.get("late", 0)
        states = {
            "chart": chart if scene.bars else "",
            "seed": "" if scene.seed is None else f"seed: {scene.seed}",
            "tempo": tempo,
            "mode": f"mode: {scene.mode}" if scene.mode else "",
            "doing": scene.doing,
            "ports": f"ports: {scene.ports}" if scene.ports else "",
            "rolling": ""
            if scene.rolling and "rolling" not in self._said
            else "rolling"
            if scene.rolling
            else "halted",
            "late": f"late: {counted(late, 'note')} left out" if late else "",
        }
        for name, text in states.items():
            if text and self._said.get(name) != text:
                self._said[name] = text
                yield text


def _bar(event: Mapping[str, object]) -> str:
    """A bar as the log has it: `bar 3 | F7 | C,0.500,+2 Eb4 · R,1.000 -`."""
    chords, values = event.get("chords"), event.get("values")
    named = " ".join(printable(chord) for chord in chords) if isinstance(chords, list) else ""
    played = " · ".join(_value(value) for value in values) if isinstance(values, list) else ""
    return f"bar {printable(event.get('number', '?'))} | {named} | {played or '-'}"


def _value(told: object) -> str:
    if not isinstance(told, Mapping):
        return printable(told)
    pitch = told.get("pitch")
    name = pitch_name(pitch) if isinstance(pitch, int) and 0 <= pitch <= 127 else "-"
    return f"{printable(told.get('value', '?'))} {name}"
