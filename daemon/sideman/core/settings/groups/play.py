# SPDX-License-Identifier: Apache-2.0
"""The settings of `play`: how sideman plays."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from sideman.core.chart.styles import STYLES, Style
from sideman.core.settings.groups.definitions import group, setting
from sideman.core.settings.target_notes import ENDING_TYPE, TARGET_TYPE, TargetNote
from sideman.core.settings.types import (
    PitchRange,
    boolean_type,
    choice_type,
    integer_type,
    number_type,
    optional_type,
    parts_type,
    pitch_range_type,
)
from sideman.core.turns import MODE_NAMES, MODES, ModeName

SOLO_RANGE = PitchRange(48, 84)


@group
class PlaySettings(Struct, frozen=True):
    """How sideman plays.

    A `seed` of None means a new one at each start, a `swing` of None one that depends on the tempo. `leap`, `apart` and
    `settle` of None depend on the bundle's dialect: see `sideman.core.parts.smoothing`. So does a `follow` of None, on
    whether the bundle has learned touch. A `style` of None is the chart's.
    """

    mode: ModeName = setting(
        "solo",
        choice_type(*MODE_NAMES),
        f"When sideman plays: {'; '.join(f'{name} {row.text}' for name, row in MODES.items())}.",
    )
    start: Literal["at once", "armed", "first note"] = setting(
        "at once",
        choice_type("at once", "armed", "first note"),
        "When the music begins: at once; armed waits for a start by pedal, pad, `sideman ctl start` or an external "
        "clock; first note begins with your first note, which is the first beat. A start counts in, a note does not.",
    )
    trade_bars: int = setting(4, integer_type(1, 64), "In mode trade, the number of bars in a turn.")
    trade_first: Literal["you", "sideman"] = setting(
        "you", choice_type("you", "sideman"), "In mode trade, who takes the first turn."
    )
    patience: float = setting(
        1.5,
        number_type(1, 16, excludes_low=True),
        "In mode answer, how long a silence has to be until it counts as a pause, as a multiple of the usual time "
        "between your notes. At a bar line a little less is enough.",
    )
    count_in: int = setting(
        0,
        integer_type(0, 8),
        "The number of bars with clicks before the music starts. An external clock has no count-in, nor has a rendered "
        "file, which begins with the first bar.",
    )
    comp: tuple[str, ...] = setting(
        (),
        parts_type("bass", "shells", "drums", turned=((), ("shells",), ("bass",), ("bass", "shells", "drums"))),
        "The band that accompanies you: a bass, shells (the third and the seventh of each chord on a piano or guitar), "
        "drums. Each has its own channel: midi.bass, midi.comp, midi.drums.",
    )
    style: Style | Literal["plain"] | None = setting(
        None,
        optional_type("auto", choice_type(*STYLES, "plain")),
        "How the band plays. auto: in the style of the chart; without one, a waltz in three, else swing. plain is the "
        "bass or the shells of earlier versions, one at a time and without drums.",
    )
    anticipation: float = setting(
        0.3,
        number_type(0, 1),
        "How often the shells play a change an eighth note early: 0 never, 1 wherever the style allows it.",
    )
    click: Literal["off", "beats", "backbeat"] = setting(
        "off",
        choice_type("off", "beats", "backbeat"),
        "A click while the music plays, on midi.drums: on all beats, or on 2 and 4 (backbeat).",
    )
    rate: Literal["beat", "eighth", "triplet", "sixteenth", "phrase"] = setting(
        "beat",
        choice_type("beat", "eighth", "triplet", "sixteenth", "phrase"),
        "How often sideman plays: a note or rest on every beat, eighth, triplet or sixteenth; with phrase, notes and "
        "rests have free lengths.",
    )
    seed: int | None = setting(
        None,
        optional_type(None, integer_type(0, 2**32 - 1), "a new one at each start, shown in the log"),
        "The number from which all random choices follow. With the same seed, the same chords and the same playing on "
        "your side you get the same solo again.",
    )
    temperature: float = setting(
        1.0,
        number_type(0, 5),
        "How adventurous the solo is: 1 as the network learned it, lower is safer, higher takes more risks, 0 always "
        "takes the most likely note.",
    )
    top_k: int = setting(
        0, integer_type(0, 100_000), "Choose only among this many of the most likely notes; 0 means among all."
    )
    top_p: float = setting(
        1.0,
        number_type(0, 1, excludes_low=True),
        "Choose only among the most likely notes that together have this share of the probability; 1 means among all.",
    )
    harmony: float = setting(
        1.0,
        number_type(0, 4),
        "How much the harmony counts in the choice between chord tones, colour tones and passing tones: 1 as the "
        "network learned it, 0 not at all, higher prefers the more likely kind of note.",
    )
    contour: float = setting(
        1.0,
        number_type(0, 4),
        "How much the melodic line counts in the choice of the next interval: 1 as the network learned it, 0 not at "
        "all, higher prefers the more likely intervals.",
    )
    motif: float = setting(
        1.65,
        number_type(0, 3),
        "How much the solo takes up motifs that you or sideman have played before: 1 as the network learned it, 0 not "
        "at all, higher repeats and develops them more. At 1.65 it repeats itself about as often as soloists do.",
    )
    response: float = setting(
        1.0,
        number_type(0, 3),
        "How much more your motifs count than those of sideman when it answers you, in the modes trade and answer: 0 "
        "not more, 1 twice as much. With play.motif 0 it has no effect.",
    )
    variety: int = setting(
        6,
        integer_type(0, 12),
        "How many different pitches the last twelve notes need for play.motif to count in full. With fewer it counts "
        "less, with half as many no more than 1, so that the solo does not go round on two or three notes. 0: always "
        "in full.",
    )
    repetition: int | None = setting(
        None,
        optional_type("auto", integer_type(0, 16)),
        "How many times in a row the same pitch may come; 0 means no limit. auto: 8 at rate phrase, where the "
        "network has learned how often a pitch comes again, 2 at the other rates and for a classic bundle.",
    )
    repeats: float | None = setting(
        None,
        optional_type("auto", number_type(0, 4)),
        "How much likelier the same pitch comes again than the network expects: 1 as it learned, 2 about twice as "
        "often, 0 never. auto: 1.4 at rate phrase, because on its own it repeats fewer notes than soloists do; 1 at "
        "the other rates and for a classic bundle.",
    )
    leap: int | None = setting(
        None,
        optional_type("auto", integer_type(0, 36)),
        "The widest interval from note to note, in semitones; 0 means no limit. auto: an octave for a classic bundle, "
        "no limit for others.",
    )
    apart: float | None = setting(
        None,
        optional_type("auto", number_type(0, 4)),
        "At rate phrase, the shortest time between the starts of two notes, in beats; 0 means no limit. auto: a "
        "quarter of a beat for a classic bundle, a twelfth for others.",
    )
    settle: bool | None = setting(
        None,
        optional_type("auto", boolean_type()),
        "At rate phrase, divide each beat either into quarters or into thirds, never into both. auto: only for a "
        "classic bundle.",
    )
    range: PitchRange = setting(
        SOLO_RANGE, pitch_range_type(), "The lowest and the highest pitch of the solo. Middle C is C4, or 60."
    )
    target: tuple[TargetNote, ...] = setting(
        (),
        TARGET_TYPE,
        "Notes that the solo comes to for certain, each time around: a bar of the form, a colon and a tone, such as "
        '"17: 3, 32.4: root". The tone is a degree of the chord there, a note (Bb) or a pitch (Bb4); 3 or 5 is a '
        "choice. 17.3 is beat 3 of bar 17, 17.3+ half a beat later.",
    )
    ending: tuple[str, ...] = setting(
        ("root", "3", "5"),
        ENDING_TYPE,
        "The tone to which the solo comes on the last chord, where the music has an end: tones as in target; any is "
        "whichever chord tone comes.",
    )
    density: float = setting(
        1.0,
        number_type(0, 4),
        "How busy the solo is: 1 as the network learned it, lower has more rests, higher has fewer.",
    )
    rests: int = setting(2, integer_type(0, 16), "The most rests in a row. At rate phrase there is no such limit.")
    silence: float = setting(
        8.0,
        number_type(0, 64),
        "The longest silence of the solo in beats; after it sideman plays a note. 0 means no limit.",
    )
    longest: float = setting(
        4.0, number_type(0.25, 16), "The longest note in beats. The last note of the music may be longer."
    )
    velocity: int = setting(
        84,
        integer_type(1, 127),
        "The loudness of the solo, as a MIDI velocity. Accents and the shape of the line vary it (see touch).",
    )
    touch: float = setting(
        1.0,
        number_type(0, 2),
        "How much the accents are those that the network has learned from players: 1 as it learned them, 2 twice as "
        "strong; 0 accents the beats and follows the line by a rule, as do networks that have learned no touch.",
    )
    placement: float = setting(
        1.0,
        number_type(0, 2),
        "How much the notes lie behind the beat or around it, as players place them: 1 as the network learned it, 2 "
        "twice as far, 0 exactly on the grid.",
    )
    follow: float | None = setting(
        None,
        optional_type("auto", number_type(0, 1)),
        "How much the solo follows your loudness: 0 not at all, 0.5 half way, with 1 it is as loud as you. auto: half "
        "way with a network that has learned touch, otherwise not at all.",
    )
    swing: float | None = setting(
        None,
        optional_type("auto", number_type(0.5, 0.75)),
        "Where in a beat the second eighth falls: 0.5 is straight, 0.67 is a triplet feel; auto swings less at faster "
        "tempos.",
    )
    gate: float = setting(
        0.9,
        number_type(0.05, 1),
        "The part of its length for which a note sounds: 1 is legato, 0.5 is short. A long note is shortened only in "
        "its last beat.",
    )
    window: int = setting(
        0,
        integer_type(0, 6),
        "How many semitones a note may lie above or below the interval that the network chose; 0 takes the nearest "
        "note that fits.",
    )
    late_ms: int = setting(
        30,
        integer_type(1, 1000),
        "A note that would start more than this many milliseconds late is left out, and counted as late.",
    )
    offset_ms: int = setting(
        0,
        integer_type(-200, 200),
        "Play this many milliseconds after the beat, or before it if negative, to make up for the delay of your "
        "instrument.",
    )
    resume: bool = setting(
        False,
        boolean_type(),
        "Go on where sideman stopped, or was killed, the last time. With a seed, it starts afresh.",
    )
    capture_minutes: int = setting(
        5,
        integer_type(0, 60),
        "How many of the last minutes are kept in memory, so that `sideman ctl keep` can save them afterwards.",
    )
