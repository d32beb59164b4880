# SPDX-License-Identifier: Apache-2.0
"""Makes MIDI files of known content as public collections spell them, and says what a reading of them has wrong.

Each kind of file breaks a rule, or is easily misread, in one way. The content is a tune of eighths, triplets or
sixteenths over a band; all of it comes from a number, so the same number always makes the same file.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import mido
from msgspec import Struct

from sideman.charts.midi import read_midi_chart
from sideman.core.chart.chart import Chart
from sideman_models.corpus.midi.reader import MidiMusic, ReadingOptions, read_midi
from sideman_models.music.harmony import parse_chord
from sideman_models.music.values import TICKS_PER_QUARTER
from support.midi_files import (
    DIVISION,
    Timed,
    block_chords,
    marker_events,
    midi_bytes,
    note_events,
    track,
)

Notes = list[tuple[float, float, int]]

ROOTS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SPELLINGS = {
    "": ("", "maj", " maj", " Maj", "_major", " major"),
    "m": ("m", "min", " min", "_min", " minor", "-"),
    "7": ("7", " 7", " 7th", "  7th", "_7th"),
    "m7": ("m7", " min_7th", "  min_7th", "min7", " min 7", "_min_7th", "-7"),
    "maj7": ("maj7", " maj_7th", " Maj_7th", "  maj_7th", "^7"),
    "m7b5": ("m7b5", " min7b5", " min_7_b5", "ø"),
    "7sus4": ("7sus4", " 7th_sus4", " 7sus4"),
    "dim": ("dim", " dim", "_dim"),
    "6": ("6", " 6th", "_6"),
}
"""How files write each quality after the root."""
NO_CHORDS = ("verse", "Chorus", "Bridge", "Ende", "Coda", "Fine", "D.S.", "Intro", "guitar", "Dreaming", "(x2)", "?")
TITLES = ("The Little Drummer Boy", "Kit Kat Polka", "Solo Flight", "Bass Street", "Melody of Ours", "Voice of Spring")
PROGRAM_TITLES = ("Soft karaoke", "untitled", "Track 1", "www.midi.example", "Words", "Melody", "")
VOICES = ("Vocals", "vocal", "VOCALS 1", "Lead Vocal", "Vox", "LEAD VOX", "Voice", "Singer", "Main voice", "lead voc")
SAXES = ("Sax", "Sax Jim", "T.Sax", "Saxophone", "sax lead")
OTHERS = (
    "Lead Guitar", "lead gtr", "Guitar Solo", "Lead 1 (square)", "Lead 2 (sawtooth)", "Square Lead", "Saw Lead",
    "Solo Vox", "Voice Oohs", "Synth Voice", "SynVox", "Choir Aahs", "Backing Vocals", "Back vox", "Vocal harmony",
    "Synth Lead", "Melodic Tom", "Organ solo",
)  # fmt: skip
"""Names of parts that are not the melody beside a voice or a saxophone."""


class Known(Struct):
    """A file, and what a reading of it must have (None: not looked at).

    `like` is a file with the same notes in their places, to a sixteenth of a beat; `chords` are the bars of its chart;
    `warned` are parts of the warnings of the chart.
    """

    data: bytes
    title: str | None = None
    melody: str | None = None
    pitches: list[int] | None = None
    like: bytes | None = None
    chords: list[str] | None = None
    found_from_notes: bool = False
    warned: tuple[str, ...] = ()


class Band(Struct):
    """The parts of a tune, as notes in quarters."""

    tune: Notes
    bass: Notes
    comp: Notes
    drums: Notes


def band(rng: random.Random, bars: int, step: float | None = None, share: float = 0.7) -> Band:
    """A tune over a band, with more notes on the beats than between them."""
    step = step or rng.choice((0.5, 1 / 3, 0.25))
    tune, pitch = [], 72
    for at in range(round(4 * bars / step)):
        start = at * step
        if abs(start - round(start)) < 0.01 or rng.random() < share:
            pitch = max(60, min(84, pitch + rng.choice((-3, -2, -1, 1, 2, 3))))
            tune.append((start, start + 0.9 * step, pitch))
    bass = [(float(at), at + 0.9, 36 + 5 * (at // 4 % 3)) for at in range(4 * bars)]
    comp = [(4.0 * bar, 4 * bar + 3.9, 53 + 5 * (bar % 3) + up) for bar in range(bars) for up in (0, 4, 7)]
    drums = [(at / 2, at / 2 + 0.1, 36 + 2 * (at % 2)) for at in range(8 * bars)]
    return Band(tune, bass, comp, drums)


def tracks_of(band: Band, head: Sequence[Timed] = (), title: str = "", name: str = "Melody") -> list[mido.MidiTrack]:
    """A band as tracks: the head, the tune, bass, piano and drums."""
    parts = ((band.bass, 1, "Bass"), (band.comp, 2, "Piano"), (band.drums, 9, "Drums"))
    others = [track(note_events(notes, channel), part_name) for notes, channel, part_name in parts]
    return [track(head, title), track(note_events(band.tune), name), *others]


def values_above_127(rng: random.Random) -> Known:
    """Values of messages above 127, with and without running status."""
    made = band(rng, 4)
    data, count = bytearray(), 0
    now, running = 0, -1
    events: list[tuple[float, int, bytes]] = []
    for start, end, pitch in made.tune:
        velocity = rng.choice((80, 128, 200, 255))
        count += velocity > 127
        events += [(start, 0x90, bytes((pitch, velocity))), (end, 0x90, bytes((pitch, 0)))]
    for _ in range(rng.randint(1, 9)):
        status = rng.choice((0xA0, 0xB0, 0xC0, 0xD0, 0xE0)) | rng.randrange(16)
        values = bytes(rng.randint(128, 255) for _ in range(1 if status >> 4 in (0xC, 0xD) else 2))
        count += len(values)
        events.append((rng.uniform(0, 15), status, values))
    for at, status, values in sorted(events, key=lambda event: (event[0], event[2][-1])):
        tick = round(at * DIVISION)
        wait = tick - now
        data += bytes((0x80 | wait >> 14, 0x80 | wait >> 7 & 127, wait & 127) if wait > 127 else (wait,))
        data += values if status == running and values[0] < 128 and rng.random() < 0.7 else bytes((status,)) + values
        now, running = tick, status
    data += b"\x00\xff\x2f\x00"
    chunk = b"MTrk" + len(data).to_bytes(4, "big") + data
    whole = b"MThd" + bytes((0, 0, 0, 6, 0, 1, 0, 1)) + DIVISION.to_bytes(2, "big") + chunk
    pitches = [pitch for _, _, pitch in made.tune]
    return Known(bytes(whole), pitches=pitches, warned=(f"{count} value",) if count else ())


def chord_spellings(rng: random.Random) -> Known:
    """A chord a bar in one of its spellings, in one kind of text, with some texts that are no chords."""
    kind = rng.choice(("text", "lyrics", "marker", "cue_marker"))
    bars = rng.randint(6, 16)
    chords: list[str] = []
    texts: list[tuple[float, str]] = []
    warned: list[str] = []
    for bar in range(bars):
        root, quality = rng.choice(ROOTS), rng.choice(list(SPELLINGS))
        spelled = rng.choice(SPELLINGS[quality])
        shown = root.lower() if rng.random() < 0.3 and spelled else root
        bracket = rng.choice(("{}", "{}", "[{}]", "({})"))
        if bar < bars - 1 and bar > 1 and rng.random() < 0.2 and len(warned) < bars / 4:
            word = rng.choice(NO_CHORDS)
            texts.append((4 * bar, word))
            warned.append(f"bar {bar + 1}: {word!r} is not a chord")
            chords.append(chords[-1])
            continue
        chords.append(root + (quality or ""))
        texts.append((4 * bar, bracket.format(shown + spelled)))
    if all(len(chord) == 1 for chord in chords):  # single letters are rehearsal marks
        return chord_spellings(rng)
    made = band(rng, bars, 0.5)
    return Known(midi_bytes(*tracks_of(made, marker_events(texts, kind))), chords=chords, warned=tuple(warned))


XF_TYPES = (
    "Maj", "Maj6", "Maj7", "Maj7(#11)", "Maj(9)", "Maj7(9)", "Maj6(9)", "aug", "min", "min6", "min7", "min7b5",
    "min(9)", "min7(9)", "min7(11)", "minMaj7", "minMaj7(9)", "dim", "dim7", "7th", "7sus4", "7b5", "7(9)", "7(#11)",
    "7(13)", "7(b9)", "7(b13)", "7(#9)", "Maj7aug", "7aug", "1+8", "1+5", "sus4", "1+2+5", "cc",
)  # fmt: skip
"""The types of chords in their order, as the description of Yamaha's XF format names them."""
XF_SYMBOLS = {"1+8": "5", "1+5": "5", "1+2+5": "sus2", "Maj(9)": "add9", "min(9)": "-add9"}


def xf_chords(rng: random.Random) -> Known:
    """Chords that a Yamaha keyboard wrote, a bar each, among names of sections."""
    bars = rng.randint(1, 16)
    events: list[Timed] = []
    chords: list[str] = []
    for bar in range(bars):
        letter, accidental, kind = rng.randint(1, 7), rng.choice((2, 3, 3, 4)), rng.randrange(len(XF_TYPES))
        bass = rng.choice((0x7F, 16 * accidental + letter, 0x31, 0x26))
        data = (0x43, 0x7B, 0x01, 16 * accidental + letter, kind, bass, 0x7F)[: rng.choice((5, 6, 7, 7))]
        events.append((4 * bar, mido.MetaMessage("sequencer_specific", data=data)))
        name = XF_TYPES[kind]
        root = "CDEFGAB"[letter - 1] + ("b", "", "#")[accidental - 2]
        chords.append("N.C." if name == "cc" else root + XF_SYMBOLS.get(name, name))
    sections = marker_events([(4 * bar, rng.choice("ABCD")) for bar in range(bars)])
    return Known(midi_bytes(*tracks_of(band(rng, bars, 0.5), [*events, *sections])), chords=chords)


GERMAN = {"B": "H", "Bb": "B", "Eb": "Es", "Ab": "As", "Db": "Des", "F#": "Fis"}


def german_letters(rng: random.Random) -> Known:
    """A chord a bar in German letters: H, B and, in some files, the other names."""
    only_h, small = rng.random() < 0.5, rng.random() < 0.2
    names = {root: GERMAN[root] for root in ("B", "Bb")} if only_h else GERMAN
    chords = ["B7", *(rng.choice(ROOTS) + rng.choice(("", "m", "7", "m7", "maj7")) for _ in range(rng.randint(5, 15)))]
    written = []
    for chord in chords:
        root = next(root for root in sorted(ROOTS, key=len, reverse=True) if chord.startswith(root))
        name = names.get(root, root)
        written.append((name.lower() if small and len(chord) > len(root) else name) + chord.removeprefix(root))
    texts = [(4 * bar, text) for bar, text in enumerate(written)]
    tracks = tracks_of(band(rng, len(chords), 0.5), marker_events(texts, rng.choice(("text", "lyrics", "marker"))))
    return Known(midi_bytes(*tracks), chords=chords, warned=("bar 1: its chords have German letters",))


def key_markers(rng: random.Random) -> Known:
    """A few names of keys over a long piece."""
    bars, count = rng.randint(48, 120), rng.randint(1, 4)
    form = rng.choice(("{0}", "{0}m", "{0} major", "{0} minor", "{0}/{1}", "{0} / {1}", "Key: {0}m", "{0}min"))
    keys = [form.format(*rng.sample(ROOTS, 2)) for _ in range(count)]
    texts = [(4 * (at * bars // count), key) for at, key in enumerate(keys)]
    return Known(midi_bytes(*tracks_of(band(rng, bars), marker_events(texts))), found_from_notes=True)


def one_track_title(rng: random.Random) -> Known:
    """A type 0 file, whose name is its title."""
    title, made = rng.choice(TITLES), band(rng, 8)
    events = note_events(made.tune)
    if rng.random() < 0.5:
        events += [*note_events(made.bass, 1), *note_events(made.comp, 2), *note_events(made.drums, 9)]
    pitches = [pitch for _, _, pitch in made.tune]
    return Known(midi_bytes(track(events, title), kind=0), title=title, melody="track 1, channel 1", pitches=pitches)


def karaoke_title(rng: random.Random) -> Known:
    """A karaoke file, whose title is its first text after @T."""
    title = rng.choice(TITLES)
    heads = [(0.0, "@KMIDI KARAOKE FILE"), (0.0, "@LENGL"), (0.0, "@IMade by us"), (0.0, f"@T{title}"), (0.0, "@TOurs")]
    words = [(float(at), rng.choice(("\\La", "la ", "/lo", "am"))) for at in range(30)]
    tracks = tracks_of(band(rng, 8), marker_events(heads[:1], "text"), rng.choice(PROGRAM_TITLES))
    tracks.insert(1, track(marker_events([*heads[1:], *words], "text"), "Words"))
    return Known(midi_bytes(*tracks), title=title)


def shifted_notes(rng: random.Random) -> Known:
    """All parts late or early by the same ticks, with the texts or without them, played exactly or by hand."""
    step = rng.choice((0.5, 0.25, 1 / 3))
    shift = rng.choice((-1, 1)) * rng.randint(40, 110 if step == 0.25 else 200) / DIVISION
    by_hand = rng.choice((0.0, 0.0, 0.01))
    # With gaps, triplets and sixteenths look like swing.
    made = band(rng, rng.randint(16, 40), step, share=0.7 if step == 0.5 else 1.0)
    first = 4.0  # a bar of rest, so that notes may come early
    near = 1 / 16 + 3 * by_hand
    if min(abs(abs(shift) - place) for place in (0.0, 0.5)) < near:
        shift = 80 / DIVISION

    def moved(shift: float, by_hand: float = 0.0) -> Band:
        parts = []
        for notes in (made.tune, made.bass, made.comp, made.drums):
            shifts = [first + shift + max(-0.03, min(0.03, rng.gauss(0, by_hand))) for _ in notes]
            parts.append([(start + by, end + by, pitch) for (start, end, pitch), by in zip(notes, shifts, strict=True)])
        return Band(*parts)

    text_shift = rng.choice((0.0, shift))
    chords = ["N.C.", *["Dm7", "G7", "Cmaj7", "A7"] * 2]
    texts = [(4 * bar + text_shift if bar else 0, text) for bar, text in enumerate(chords)]
    return Known(
        midi_bytes(*tracks_of(moved(shift, by_hand), marker_events(texts))),
        like=midi_bytes(*tracks_of(moved(0.0), marker_events(texts))),
        chords=chords,
        warned=(f"of a beat {'late' if shift > 0 else 'early'}: moved to the beats",),
    )


def named_melody(rng: random.Random) -> Known:
    """A voice or a saxophone, by its name, beside other parts with names that suggest a melody."""
    is_voice = rng.random() < 0.6
    name = rng.choice(VOICES if is_voice else SAXES)
    made = band(rng, 12, 0.5)
    low = rng.choice((0, 0, 12, 20))
    kept = [note for note in made.tune if rng.random() < 0.6]
    tune = track(note_events([(start, end, pitch - low) for start, end, pitch in kept]), name)
    others = [
        track(note_events([(start, end, pitch + 1) for start, end, pitch in made.tune], 3 + number), other)
        for number, other in enumerate(rng.sample(OTHERS, 3))
    ]
    parts = [tune, *others, track(block_chords([(48, 52, 55)] * 12, channel=2), "Piano")]
    rng.shuffle(parts)
    return Known(midi_bytes(track([]), *parts), melody=f"track {parts.index(tune) + 2} {name!r}")


KINDS: dict[str, Callable[[random.Random], Known]] = {
    made.__name__: made
    for made in (
        values_above_127, chord_spellings, xf_chords, german_letters, key_markers, one_track_title,
        karaoke_title, shifted_notes, named_melody,
    )
}  # fmt: skip


def faults(known: Known) -> list[str]:
    """What the readings of the file, as music and as a chart, have wrong."""
    music, chart = read_midi(known.data, ReadingOptions()), read_midi_chart(known.data, "x.mid")
    wrong = _wrong_notes(known, music) + _wrong_chords(known, music, chart)
    if known.title is not None and (music.report.title, chart.info.title) != (known.title, known.title):
        wrong.append(f"titles {music.report.title!r}, {chart.info.title!r}: not {known.title!r}")
    if known.melody is not None and not music.report.melody.startswith(known.melody):
        wrong.append(f"melody {music.report.melody}: not {known.melody}")
    warned = "\n".join(chart.info.warnings)
    return wrong + [f"not warned: {text}\n{warned}" for text in known.warned if text not in warned]


def _wrong_notes(known: Known, music: MidiMusic) -> list[str]:
    notes = [note for solo in music.solos for note in solo.notes]
    wrong = []
    if known.pitches is not None and [note.pitch for note in notes] != known.pitches:
        wrong.append(f"{len(notes)} notes: not {len(known.pitches)}, or others")
    if known.like is not None:
        right = [note for solo in read_midi(known.like, ReadingOptions()).solos for note in solo.notes]
        apart = [abs(note.onset - one.onset) / TICKS_PER_QUARTER for note, one in zip(notes, right, strict=False)]
        if len(notes) != len(right) or max(apart) > 1 / 16:
            wrong.append(f"{len(notes)} notes for {len(right)}, off their places by up to {max(apart):.2f} of a beat")
    return wrong


def _wrong_chords(known: Known, music: MidiMusic, chart: Chart) -> list[str]:
    wrong = []
    if known.found_from_notes and not music.report.chords.startswith("found from"):
        wrong.append(f"chords from {music.report.chords}")
    if known.chords is not None:
        wanted = [(chord.root, chord.quality) for chord in map(parse_chord, known.chords)]
        read = [[(chord.root, chord.quality) for _, chord in bar.chords] for bar in chart.bars]
        if read[: len(wanted)] != [[chord] for chord in wanted]:
            texts = [[chord.text for _, chord in bar.chords] for bar in chart.bars[: len(wanted)]]
            wrong.append(f"chords {texts}: not {known.chords}")
    return wrong
