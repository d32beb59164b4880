# SPDX-License-Identifier: Apache-2.0
"""Cuts the samples of the page's sampler out of a SoundFont: `daemon/sideman/window/page/samples`.

`python tests/support/sound_samples.py [FILE.sf3]` needs Debian's package `fluidr3mono-gm-soundfont`. A file `.sf3` is a
SoundFont 2.01 (RIFF) whose samples are whole Ogg Vorbis files. Nothing is encoded again: one file for each group of
instruments holds its samples one after the other, which is a chained Ogg file that any player can play. The file
`instruments.json` says where each sample lies in it and how it sounds: key range, root, loop, envelope, volume.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[2] / "daemon" / "sideman" / "window" / "page" / "samples"
SOUNDFONT = Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3")
COPYRIGHT = Path("/usr/share/doc/fluidr3mono-gm-soundfont/copyright")

_SOFT, _USUAL, _LOUD = 64, 92, 127
"""The layers of velocity differ in envelope and filter only: the envelope is taken from a usual one."""
_EMU = 0.4
"""The players of SoundFonts, FluidSynth too, take an attenuation of 1 dB in the file for 0.4 dB: so fonts are tuned."""
_OPEN_HZ = 15_000
"""A lowpass above this is not heard, and left out."""
_GENERATORS = {
    8: "filter", 35: "hold", 36: "decay", 37: "sustain", 38: "release", 41: "instrument", 43: "keys", 44: "velocities",
    48: "attenuation", 51: "semitones", 52: "cents", 53: "sample", 54: "mode", 57: "choke", 58: "root",
}  # fmt: skip
_ADDED = ("filter", "hold", "decay", "release", "attenuation")
"""What a preset adds to its instrument; the rest stands in the instrument only."""
_UNSET = {"filter": 13500, "hold": -12000, "decay": -12000, "release": -12000, "root": -1}

Zone = dict[str, Any]


@dataclass(frozen=True)
class Pick:
    """What is taken of one preset: the zones with these roots, or all; of a drum kit these keys."""

    file: str
    bank: int
    program: int
    roots: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()


_KIT = (31, 33, 34, 35, 37, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 53, 56, 57, 59, 75, 76, 77)
PICKS: Mapping[str, Pick] = {
    "piano": Pick("piano", 0, 0, roots=(34, 42, 50, 58, 66, 74, 84, 94)),
    "tenor": Pick("tenor", 0, 66),
    "alto": Pick("alto", 0, 65),
    "trumpet": Pick("trumpet", 0, 56),
    "guitar": Pick("guitar", 0, 26),
    "bass": Pick("bass", 0, 32),
    "brushes": Pick("drums", 128, 40, keys=(*_KIT, 38, 39, 40)),
    "sticks": Pick("drums", 128, 32, keys=(*_KIT, 38, 40)),
}


class SoundFont:
    """The parts of a SoundFont that are needed."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self._chunks = dict(self._read(12, len(self.data)))
        self.name = self._text(b"INAM")
        self._presets = self._records(b"phdr", "<20sHHHIII")
        self._instruments = self._records(b"inst", "<20sH")
        self._samples = self._records(b"shdr", "<20sIIIIIBbHH")

    def _read(self, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
        while start + 8 <= end:
            kind, size = struct.unpack_from("<4sI", self.data, start)
            body = start + 8
            if kind == b"LIST":
                yield from self._read(body + 4, body + size)
            else:
                yield kind, (body, size)
            # A chunk of odd length should be padded; the samples of this file are not.
            start = body + size + (size % 2 and self.data[body + size : body + size + 1] == b"\0")

    def _text(self, kind: bytes) -> str:
        start, size = self._chunks[kind]
        return self.data[start : start + size].rstrip(b"\0").decode("latin-1")

    def _records(self, kind: bytes, form: str) -> list[tuple[Any, ...]]:
        start, size = self._chunks[kind]
        return list(struct.iter_unpack(form, self.data[start : start + size]))

    def _zones(self, level: str, first: int, end: int) -> Iterator[Zone]:
        """The zones of a preset (level p) or an instrument (level i); what its first, global one sets holds for all."""
        bags = self._records(f"{level}bag".encode(), "<HH")
        generators = self._records(f"{level}gen".encode(), "<HH")
        needed = {"p": "instrument", "i": "sample"}[level]
        common: Zone = {}
        for number in range(first, end):
            zone = {
                _GENERATORS[kind]: _number(kind, raw)
                for kind, raw in generators[bags[number][0] : bags[number + 1][0]]
                if kind in _GENERATORS
            }
            if needed in zone:
                yield {**common, **zone}
            elif number == first:
                common = zone

    def zones(self, bank: int, program: int, velocity: int = _USUAL) -> Iterator[Zone]:
        """The zones that sound at `velocity`, with the values of preset and instrument put together."""
        place = next(n for n, preset in enumerate(self._presets) if preset[1:3] == (program, bank))
        for outer in self._zones("p", self._presets[place][3], self._presets[place + 1][3]):
            number = outer.pop("instrument")
            for inner in self._zones("i", self._instruments[number][1], self._instruments[number + 1][1]):
                low, high = (
                    tuple(f(a, b) for f, a, b in zip((max, min), x.get("keys", (0, 127)), (0, 127), strict=True))
                    for x in (outer, inner)
                )
                keys = (max(low[0], high[0]), min(low[1], high[1]))
                if keys[0] > keys[1] or not all(_holds(zone, velocity) for zone in (outer, inner)):
                    continue
                sums = {name: inner.get(name, _UNSET.get(name, 0)) + outer.get(name, 0) for name in _ADDED}
                yield {**inner, **sums, "keys": keys}

    def sample(self, number: int) -> tuple[bytes, tuple[float, float], int]:
        """A sample: its Ogg file, its loop in seconds, its root."""
        _, start, end, first, last, rate, root, *_ = self._samples[number]
        base = self._chunks[b"smpl"][0]
        return self.data[base + start : base + end], (first / rate, last / rate), root


def _number(kind: int, raw: int) -> int | tuple[int, int]:
    if kind in (43, 44):
        return raw & 255, raw >> 8
    return raw - 65536 if raw > 32767 and kind not in (41, 53) else raw


def _holds(zone: Zone, velocity: int) -> bool:
    low, high = zone.get("velocities", (0, 127))
    return bool(low <= velocity <= high)


def _seconds(timecents: int) -> float:
    return round(float(2.0 ** (timecents / 1200)), 3)


def filters(font: SoundFont, pick: Pick) -> dict[tuple[int, int], tuple[int, int]]:
    """The lowpass in Hz of each sample at its first key, for a soft and for a loud note."""
    soft, loud = (
        {_place(zone): zone["filter"] for zone in font.zones(pick.bank, pick.program, velocity)}
        for velocity in (_SOFT, _LOUD)
    )
    return {key: (_hertz(cents), _hertz(loud[key])) for key, cents in soft.items()}


def _place(zone: Zone) -> tuple[int, int]:
    return zone["sample"], zone["keys"][0]


def _hertz(cents: int) -> int:
    return round(8.176 * 2 ** (cents / 1200))


def written(font: SoundFont, zone: Zone, place: tuple[int, int], lowpass: tuple[int, int]) -> Zone:
    """A zone as the page reads it. Envelope times are those of a fall by 100 dB; volume and sustain are in dB."""
    _, loop, root = font.sample(zone["sample"])
    if zone.get("root", -1) >= 0:
        root = zone["root"]
    made: Zone = {
        "bytes": place,
        "keys": zone["keys"],
        "root": root - zone.get("semitones", 0),
        "cents": zone.get("cents", 0),
        "volume": round(0 - _EMU * zone["attenuation"] / 10, 1),
        "release": _seconds(zone["release"]),
    }
    if zone.get("mode", 0) in (1, 3):
        made["loop"] = [round(second, 6) for second in loop]
    if zone.get("sustain", 0) > 0:
        made |= {"hold": _seconds(zone["hold"]), "decay": _seconds(zone["decay"])}
        made["sustain"] = min(100.0, zone["sustain"] / 10)
    if min(lowpass) < _OPEN_HZ:
        made["lowpass"] = lowpass
    if choke := zone.get("choke"):
        made["choke"] = choke
    return made


def chosen(pick: Pick, zones: list[Zone]) -> list[Zone]:
    """The zones that are taken. Each key of a melodic instrument goes to the nearest root, of drums to itself."""
    if pick.keys:
        by_key = {zone["keys"][0]: zone for zone in reversed(zones) if zone["keys"][0] in pick.keys}
        return [by_key[key] for key in sorted(by_key)]
    rooted: dict[int, Zone] = {}
    for zone in sorted(zones, key=lambda zone: zone["keys"]):
        root = zone.get("root", 60) - zone.get("semitones", 0)
        if not pick.roots or root in pick.roots:
            rooted.setdefault(root, zone)
    ordered = [rooted[root] for root in sorted(rooted)]
    for lower, upper in pairwise(ordered):
        middle = (lower["root"] + upper["root"]) // 2 if pick.roots else upper["keys"][0] - 1
        lower["keys"], upper["keys"] = (lower["keys"][0], middle), (middle + 1, upper["keys"][1])
    ordered[0]["keys"], ordered[-1]["keys"] = (0, ordered[0]["keys"][1]), (ordered[-1]["keys"][0], 127)
    return ordered


def cut(font: SoundFont) -> dict[str, bytes]:
    """All files that are written, by name."""
    files: dict[str, bytearray] = {}
    places: dict[tuple[str, int], tuple[int, int]] = {}
    instruments = {}
    for name, pick in PICKS.items():
        zones, held = [], files.setdefault(pick.file, bytearray())
        lowpass = filters(font, pick)
        for zone in chosen(
            pick, [zone | {"lowpass": lowpass[_place(zone)]} for zone in font.zones(pick.bank, pick.program)]
        ):
            key = pick.file, zone["sample"]
            if key not in places:
                data = font.sample(zone["sample"])[0]
                places[key] = (len(held), len(held) + len(data))
                held += data
            zones.append(written(font, zone, places[key], zone["lowpass"]))
        instruments[name] = {"file": f"{pick.file}.ogg", "zones": zones}
    lines = ",\n".join(
        f' "{name}": {{"file": "{made["file"]}", "zones": [\n'
        + ",\n".join(f"  {json.dumps(zone)}" for zone in made["zones"])
        + "\n ]}"
        for name, made in instruments.items()
    )
    return {"instruments.json": f"{{\n{lines}\n}}\n".encode()} | {f"{n}.ogg": bytes(d) for n, d in files.items()}


def notice(font: SoundFont) -> str:
    """The notice that the licence asks for, and what was cut."""
    granted = COPYRIGHT.read_text("utf-8").partition("Licence:\n")[2].strip()
    cuts = "\n".join(f"- {name}: bank {pick.bank}, program {pick.program}" for name, pick in PICKS.items())
    return (
        f"The samples in this folder are cut out of the SoundFont {font.name!r}, as Debian's package\n"
        "fluidr3mono-gm-soundfont ships it, by tests/support/sound_samples.py. They are whole and not encoded again;\n"
        f"what instruments.json says of them is taken from it too. Instruments:\n{cuts}\n\n"
        f"Its licence (MIT):\n\n{granted}\n"
    )


def main() -> None:
    """Write the files."""
    font = SoundFont(Path(sys.argv[1]) if sys.argv[1:] else SOUNDFONT)
    files = cut(font) | {"NOTICE.txt": notice(font).encode()}
    SAMPLES.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (SAMPLES / name).write_bytes(data)
    sys.stdout.write(f"{len(files)} files, {sum(map(len, files.values())) / 1e6:.2f} MB in {SAMPLES}\n")


if __name__ == "__main__":
    main()
