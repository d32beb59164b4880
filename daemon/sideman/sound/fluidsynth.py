# SPDX-License-Identifier: Apache-2.0
"""Renders MIDI files to sound files with the installed fluidsynth and a sound font."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from sideman.config import resources
from sideman.core.errors import DiskError, NoSuchInput, Unavailable, UnreadableInput
from sideman.files import explain_write_errors
from sideman_models.writing import check_replaceable, is_ours_alone, replace_file, scratch_folder, write_whole

EXECUTABLE = "fluidsynth"
SAMPLE_RATE = 44_100
GAIN = 0.6
"""The default of fluidsynth, 0.2, is for a whole band: too soft for a solo line and a bass."""
_FRAME_BYTES = 4  # two channels of 16 bits
_HEADER_BYTES = 44
_NO_AUDIO = "audio driver"
"""What its messages contain if it finds no audio."""
_FONT_FOLDERS = {
    "/usr/share": ("sounds/sf2", "soundfonts", "sounds/sf3"),
    "/usr/local/share": ("sounds/sf2", "soundfonts", "fluidsynth/sf2"),
    "/opt/homebrew/share": ("soundfonts", "fluid-synth/sf2"),
}
_SUFFIXES = (".sf2", ".sf3")
_PREFERRED_FONTS = ("default", "fluidr3_gm", "generaluser", "timgm6mb")


class FluidSynth(Struct, frozen=True):
    """The path of fluidsynth, and the sound font for it."""

    program: Path
    sound_font: Path

    @property
    def _command(self) -> list[str]:
        return [str(self.program), "-n", "-i", "-q", "-g", str(GAIN)]

    def render_wav(self, midi: bytes, wav: Path, seconds: float) -> None:
        """Render the content of a MIDI file to the file `wav`, whole or not at all; at least `seconds` long.

        Raises CannotCreate, DiskError, or Unavailable if fluidsynth fails.
        """
        with explain_write_errors(wav), contextlib.ExitStack() as stack:
            wav = wav.absolute()
            check_replaceable(wav)
            # Where others may write, they could exchange the folder in which fluidsynth writes.
            alone = is_ours_alone(wav.parent)
            folder = stack.enter_context(scratch_folder(wav if alone else Path(tempfile.gettempdir(), "sideman")))
            midi_file, wav_file = folder / "take.mid", folder / "take.wav"
            write_whole(midi_file, midi, sync=False)
            options = ["-r", str(SAMPLE_RATE), "-T", "wav", "-O", "s16", "-F", str(wav_file)]
            command = [*self._command, *options, str(self.sound_font), str(midi_file)]
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
            except OSError as error:
                raise Unavailable(f"--wav: {self.program} cannot be run: {error.strerror}") from error
            # Its exit status is 0 even if it fails.
            output = done.stderr.decode("utf-8", "replace").strip()
            message = f": {output.splitlines()[-1]}" if output else ""
            if not (wav_file.is_file() and _file_head(wav_file).startswith(b"RIFF")):
                raise Unavailable(f"--wav: {self.program} wrote no sound{message}")
            if wav_file.stat().st_size < _HEADER_BYTES + int(seconds * SAMPLE_RATE) * _FRAME_BYTES:
                raise DiskError(f"{wav}: {self.program} wrote only a part of the sound; is the disk full?{message}")
            if alone:
                replace_file(wav, wav_file)
            else:
                write_whole(wav, wav_file.read_bytes())

    def play(self, midi: bytes) -> None:
        """Play the content of a MIDI file aloud, to its end; Ctrl-C ends it.

        Raises Unavailable if fluidsynth has no audio.
        """
        with scratch_folder(Path(tempfile.gettempdir(), "sideman")) as folder:
            midi_file = folder / "take.mid"
            write_whole(midi_file, midi, sync=False)
            command = [*self._command, str(self.sound_font), str(midi_file)]
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
            except OSError as error:
                raise Unavailable(f"{self.program} cannot be run: {error.strerror}") from error
            failure = next(
                (line for line in done.stderr.decode("utf-8", "replace").splitlines() if _NO_AUDIO in line), ""
            )
            if failure or done.returncode:
                raise Unavailable(f"{self.program} has no audio: {failure or f'it ended with {done.returncode}'}")


def find_fluidsynth(sound_font: Path | None, option: str = "--wav") -> FluidSynth:
    """The fluidsynth in the PATH, with this sound font, or else the first one in the usual folders.

    Errors name `option`. Raises Unavailable if fluidsynth or a sound font is missing, NoSuchInput or UnreadableInput
    for a bad `sound_font`.
    """
    program = shutil.which(EXECUTABLE)
    if program is None:
        raise Unavailable(f"{option}: {EXECUTABLE} is not installed (Debian: fluidsynth; Homebrew: fluid-synth)")
    if sound_font is not None and not sound_font.exists():
        raise NoSuchInput(f"--sound-font {sound_font}: no such file")
    if sound_font is not None and not _is_font(sound_font):
        raise UnreadableInput(f"--sound-font {sound_font}: not a sound font (.sf2 or .sf3)")
    font = next(_find_fonts(), None) if sound_font is None else sound_font
    if font is None:
        folders = ", ".join(map(str, _font_folders()))
        raise Unavailable(f"{option}: no sound font in {folders}; name one with --sound-font FILE.sf2")
    return FluidSynth(Path(program), font)


def _is_font(path: Path) -> bool:
    try:
        head = _file_head(path)
    except OSError:
        return False
    return head[:4] == b"RIFF" and head[8:] == b"sfbk"


def _file_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _font_folders() -> list[Path]:
    """The folders that may have sound fonts, the user's own first."""
    data = os.environ.get("XDG_DATA_HOME") or str(resources.expand_user("~/.local/share"))
    folders = {data: ("sounds/sf2", "soundfonts"), **_FONT_FOLDERS}
    return [Path(base, name) for base, names in folders.items() for name in names]


def _find_fonts() -> Iterator[Path]:
    """All sound fonts, folder by folder; the well-known ones with all instruments first."""

    def rank(path: Path) -> tuple[list[bool], str]:
        name = path.name.lower()
        return [not name.startswith(start) for start in _PREFERRED_FONTS], name

    for folder in _font_folders():
        found = [path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES]
        yield from filter(_is_font, sorted(found, key=rank))
