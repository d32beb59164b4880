# SPDX-License-Identifier: Apache-2.0
"""`sideman generate`: makes the assignment's tune with a classic network over the chords of the course's MIDI file."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator
from pathlib import Path

from sideman.commands.common import add_options, check_midi_name, check_numbers, silence_stderr
from sideman.core.chart.chart import Meter
from sideman.core.errors import Unavailable, UnreadableInput, UsageError
from sideman.core.events import MidiEvent, NoteOff, NoteOn
from sideman.files import check_readable, write_file
from sideman.render.midi_file import midi_file_bytes
from sideman_models.course.corpus import BEATS_PER_BAR, read_classic
from sideman_models.course.generate import InferenceModel, SamplingModel, SoundingPitches, generate_music
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.network.lstm import NumpyNetwork
from sideman_models.text import count_noun

BPM = 130.0
"""The course's tempo."""
SOLO, COMPING = (1, 92), (2, 56)
"""Channel and velocity of the solo and of its chords."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman generate`."""
    file = "the course's MIDI file; the solo is played over its chords"
    parser.add_argument("file", type=Path, metavar="FILE", help=file)
    parser.add_argument("--model", required=True, metavar="BUNDLE", help="a network made by `sideman train --classic`")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.mid", help="the MIDI file to write")
    add_options(
        parser,
        ("--steps", "N", int, "values over each set of chords (50)"),
        ("--temperature", "T", float, "the temperature (1); 0 always chooses the most probable value"),
        ("--seed", "N", int, "the random seed (default: a new one each time)"),
    )
    parser.set_defaults(steps=50)
    parser.add_argument("--keras", action="store_true", help="use Keras' music_inference_model, at temperature 0")
    parser.add_argument("--values", action="store_true", help="also print the network's values, one solo per line")


def run(args: argparse.Namespace) -> int:
    """Write the tune, and print what was written."""
    check_midi_name(args.out)
    check_readable(args.file)
    check_numbers(args, {"steps": (1, 10_000), "temperature": (0, 100), "seed": (0, 2**63 - 1)})
    if args.keras and args.temperature:
        raise UsageError("--keras always chooses the most probable value: leave --temperature out")
    corpus, bundle = read_classic(args.file), load_bundle(args.model)
    if not bundle.classic:
        raise UnreadableInput(f"--model {args.model}: not a classic network; make one: sideman train --classic FILE")
    seed = secrets.randbelow(2**32) if args.seed is None else args.seed
    texts = [value.text for value in bundle.vocabulary.values]
    solos = generate_music(_inference_model(args, bundle, seed), texts, corpus.chords, seed)
    events = [event for solo in solos for event in _note_events(solo.sounds, *SOLO)]
    events += [event for solo in solos for event in _note_events(solo.chords, *COMPING)]
    events.sort(key=lambda event: (event[0], isinstance(event[1], NoteOn)))  # at the same beat, note-offs come first
    bars = sum(solo.bars for solo in solos)
    meters = [(0.0, Meter(BEATS_PER_BAR, 4))]
    write_file(args.out, midi_file_bytes([("sideman", events)], BPM, meters, float(BEATS_PER_BAR * bars)))
    for solo in solos:
        print(*([" ".join(solo.values)] if args.values else []), solo, sep="\n")
    sounds = sum(len(solo.sounds) for solo in solos)
    print(f"{args.out}: {count_noun(sounds, 'sound')}, {count_noun(bars, 'bar')}, seed {seed}")
    return 0


def _inference_model(args: argparse.Namespace, bundle: Bundle, seed: int) -> InferenceModel:
    if not args.keras:
        temperature = 1.0 if args.temperature is None else args.temperature
        return SamplingModel(NumpyNetwork(bundle.weights), args.steps, temperature, seed)
    with silence_stderr():
        try:
            from sideman_models.course.djmodel import music_inference_model
            from sideman_models.network.keras_model import layers_from_weights
        except ImportError as error:
            raise Unavailable(f"--keras: TensorFlow is not installed here ({error}); leave --keras out") from error
        model: InferenceModel = music_inference_model(*layers_from_weights(bundle.weights), args.steps)
        return model


def _note_events(sounds: tuple[SoundingPitches, ...], channel: int, velocity: int) -> Iterator[tuple[float, MidiEvent]]:
    for sound in sounds:
        for pitch in sound.pitches:
            yield sound.onset / TICKS_PER_QUARTER, NoteOn(pitch, velocity, channel)
            yield (sound.onset + sound.length) / TICKS_PER_QUARTER, NoteOff(pitch, channel)
