# SPDX-License-Identifier: Apache-2.0
"""The sounds of General MIDI by name, in the order of their programs 1 to 128."""

from __future__ import annotations

from sideman_models.text import closest

_FAMILIES = (
    "grand piano, bright piano, electric grand, honky-tonk piano, rhodes, electric piano, harpsichord, clavinet",
    "celesta, glockenspiel, music box, vibraphone, marimba, xylophone, tubular bells, dulcimer",
    "drawbar organ, percussive organ, rock organ, church organ, reed organ, accordion, harmonica, bandoneon",
    "nylon guitar, steel guitar, jazz guitar, clean guitar, muted guitar, overdrive, distortion, guitar harmonics",
    "double bass, fingered bass, picked bass, fretless bass, slap bass, slap bass 2, synth bass, synth bass 2",
    "violin, viola, cello, contrabass, tremolo strings, pizzicato strings, harp, timpani",
    "strings, slow strings, synth strings, synth strings 2, choir, voice, synth voice, orchestra hit",
    "trumpet, trombone, tuba, muted trumpet, french horn, brass, synth brass, synth brass 2",
    "soprano sax, alto sax, tenor sax, baritone sax, oboe, english horn, bassoon, clarinet",
    "piccolo, flute, recorder, pan flute, bottle, shakuhachi, whistle, ocarina",
    "square lead, sawtooth lead, calliope lead, chiff lead, charang lead, voice lead, fifths lead, bass lead",
    "new age pad, warm pad, polysynth pad, choir pad, bowed pad, metallic pad, halo pad, sweep pad",
    "rain, soundtrack, crystal, atmosphere, brightness, goblins, echoes, sci-fi",
    "sitar, banjo, shamisen, koto, kalimba, bagpipe, fiddle, shanai",
    "tinkle bell, agogo, steel drums, woodblock, taiko, melodic tom, synth drum, reverse cymbal",
    "fret noise, breath noise, seashore, bird, telephone, helicopter, applause, gunshot",
)
INSTRUMENTS = {name: number for number, name in enumerate(", ".join(_FAMILIES).split(", "), 1)}
"""Each name with its program, from 1."""
_SHORT = {
    "piano": 1, "vibes": 12, "organ": 17, "guitar": 27, "bass": 33, "horn": 61, "sax": 67, "saxophone": 67,
    "tenor": 67, "alto": 66, "soprano": 65, "baritone": 68, "harmon trumpet": 60,
}  # fmt: skip


def read_instrument(text: str) -> int:
    """Return the General MIDI program (1..128) of a name, or of a number. Raises ValueError with what is near."""
    name = " ".join(text.lower().replace("saxophone", "sax").replace("_", " ").split())
    if name.isascii() and name.isdecimal() and len(name) <= 3 and 1 <= int(name) <= 128:
        return int(name)
    known = INSTRUMENTS | _SHORT
    if name in known:
        return known[name]
    if name in ("bb", "eb", "c", "f", "b flat", "e flat"):
        raise ValueError("this is the sound of the solo; for the key of your own instrument: --set midi.transpose=-2")
    inside = [each for each in INSTRUMENTS if name and name in each.split()]
    near = ", ".join(inside) or closest(name, known) or "tenor sax, trumpet, jazz guitar, vibraphone"
    raise ValueError(f"no such sound; choose from those of General MIDI, such as {near}, or a number from 1 to 128")
