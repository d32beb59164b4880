# SPDX-License-Identifier: Apache-2.0
"""What a playing daemon reads on request, as jobs for a process of their own: `python -c "…reading.main()"`.

The job comes on standard input as JSON. The process first takes away its own right to write, and to use more memory and
time than `limits` says. Then it reads the files that the job names. Before it looks at their content it takes away its
right to open anything: no file, no socket, no process. What it has understood it answers on standard output, as lines
of JSON that are short enough to be read between two notes. The daemon checks them again: they are data.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import importlib
import json
import math
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sideman.config import resources
from sideman.config.confinement import confine, end_with_the_daemon, limit, limit_memory, open_nothing_more
from sideman.config.sources import Edited, SettingsSources, load_chart, with_binding
from sideman.core.chart.chart import Bar, Chart, ChartInfo, parse_meter
from sideman.core.chart.form import MAX_BARS
from sideman.core.chart.styles import Style
from sideman.core.chart.text import MAX_WARNINGS
from sideman.core.errors import (
    CannotCreate,
    ConfigError,
    DiskError,
    NoSuchInput,
    NotPermitted,
    SidemanError,
    Unavailable,
    UnreadableInput,
)
from sideman.core.settings.presets import preset_difference, settings_difference
from sideman.core.settings.resolve import SettingsLayer
from sideman.core.settings.schema import CHART_KEYS, KEYS, Settings, value_of, with_values
from sideman.core.settings.written import setting_from_json, setting_to_json
from sideman.files import open_file
from sideman_models.limits import (
    CHART,
    EXPORT_MEMORY_BYTES,
    EXPORT_SECONDS,
    READING_CPU_SECONDS,
    READING_MEMORY_BYTES,
    READING_SECONDS,
    SETTINGS,
)
from sideman_models.music.harmony import Chord
from sideman_models.music.qualities import QUALITIES, RARE_QUALITIES
from sideman_models.text import printable

MAX_ANSWER_BYTES = 1 << 22
PIECE_BYTES = 48 << 10
"""The largest piece of a file; in base64 it is a line of 64 KiB."""
_MAX_NAMES = 1000
_BARS_PER_LINE = 16
_TEXT_LENGTH = 8 << 10
_MAX_ERROR_LENGTH = 1 << 15
_NEEDED_LATER = (
    "difflib", "sideman.charts.abc", "sideman.charts.ireal", "sideman.charts.midi", "sideman.charts.musicxml",
    "sideman.config.yaml_events",
)  # fmt: skip
_ENCODINGS = (
    "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii", "latin-1", "iso8859-15", "cp437", "cp1252", "mac-roman",
)  # fmt: skip
_ERRORS: dict[str, type[SidemanError]] = {
    kind.__name__: kind
    for kind in (CannotCreate, ConfigError, DiskError, NoSuchInput, NotPermitted, Unavailable, UnreadableInput)
}
_QUALITIES = QUALITIES | RARE_QUALITIES

WrittenSettings = Mapping[str, Any]
"""The value of each key as JSON, see `core.settings.written`."""


# -- jobs and answers


class _Job(Struct, frozen=True):
    """What a process of its own does for a playing daemon: `seconds` at most."""

    seconds: ClassVar[int] = READING_SECONDS
    writes: ClassVar[bool] = False
    """Whether it writes a file and starts programs; then it reads nothing that others have made."""

    @property
    def at_limit(self) -> str:
        """Why it has not come to an end."""
        memory = f"{READING_MEMORY_BYTES >> 20} MiB of memory and {READING_CPU_SECONDS} s"
        return f"it cannot be read with {memory}; is it the right file?"


class ChangesJob(_Job, frozen=True, tag="changes"):
    """What the sources change in the `settings` that hold now: all read again, or a `preset` applied over them.

    `previous` is what the preset before has set; None: it is the preset that `sources` name, if they name one.
    """

    settings: WrittenSettings
    sources: SettingsSources
    preset: str | None = None
    previous: SettingsLayer | None = None

    def perform(self, before_parsing: Callable[[], None] = lambda: None) -> Changes:
        """Read the files. Raises SidemanError."""
        layer: SettingsLayer = {}
        current = with_values(Settings(), (setting_from_json(*each) for each in self.settings.items()))
        if self.preset is None:
            wanted, _ = self.sources.read_with_presets((), before_parsing)
            difference = settings_difference(current, wanted)
        else:
            before = self.sources.preset if self.previous is None else None
            names = [self.preset, *([before] if before is not None else [])]
            base, (layer, *others) = replace(self.sources, preset=None).read_with_presets(names, before_parsing)
            previous = others[0] if others else self.previous or {}
            difference = preset_difference(current, layer, previous, base)
        values = {name: setting_to_json(name, value) for name, value in difference.values}
        return Changes(values, difference.restart_keys, layer)


class Changes(Struct, frozen=True, tag="changes"):
    """The live keys that get other values, the keys that need a restart, and what the preset sets."""

    values: WrittenSettings
    restart_keys: tuple[str, ...]
    layer: SettingsLayer

    @property
    def settings(self) -> dict[str, object]:
        """The values. Raises ValueError."""
        return dict(setting_from_json(*each) for each in self.values.items())


class ChartJob(_Job, frozen=True, tag="chart"):
    """The chart that these settings name."""

    settings: WrittenSettings

    @classmethod
    def of(cls, settings: Settings) -> ChartJob:
        """The job for the chart of `settings`."""
        return cls(written_settings(settings, (*CHART_KEYS, "tempo.meter")))

    def perform(self, before_parsing: Callable[[], None] = lambda: None) -> Chart:
        """Read the chart. Raises SidemanError."""
        values = (setting_from_json(*each) for each in self.settings.items())
        return load_chart(with_values(Settings(), values), before_parsing)


class Listing(Struct, frozen=True, tag="listing"):
    """Names in order, each with the second (since 1970) when its file was written last, and the size of another."""

    names: tuple[tuple[str, float, int], ...]


class NamesJob(_Job, frozen=True, tag="names"):
    """The names of all presets or charts, as `resources.resource_names` has them."""

    kind: str
    suffixes: tuple[str, ...]

    def perform(self, before_parsing: Callable[[], None] = lambda: None) -> Listing:
        """List the folders."""
        names = resources.resource_names(self.kind, *self.suffixes)
        before_parsing()
        return Listing(tuple((name, 0.0, 0) for name in names[-_MAX_NAMES:] if name.isprintable()))


class FolderJob(_Job, frozen=True, tag="folder"):
    """The files in a folder whose names end with `suffix`, and the sizes of those with the other suffix.

    Of more than `_MAX_NAMES` it is those that were written last. What is not a plain file is left out.
    """

    folder: str
    suffix: str
    sized: str

    def perform(self, before_parsing: Callable[[], None] = lambda: None) -> Listing:
        """List the folder. One that does not exist is empty."""
        found = []
        for path in Path(self.folder).glob(f"*{self.suffix}"):
            with contextlib.suppress(OSError):
                status, other = path.lstat(), path.with_suffix(self.sized)
                if stat.S_ISREG(status.st_mode) and path.stem.isprintable() and not path.stem.startswith("."):
                    found.append((status.st_mtime, path.stem, other.lstat().st_size if other.is_file() else 0))
        before_parsing()
        return Listing(tuple((name, written, size) for written, name, size in sorted(found)[-_MAX_NAMES:]))


class Piece(Struct, frozen=True, tag="piece"):
    """A piece of a file, in base64, and the size of the whole file."""

    size: int
    data: str


class PieceJob(_Job, frozen=True, tag="read"):
    """The piece of a plain file in a folder that begins at byte `offset`: as much as a line can hold."""

    folder: str
    name: str
    offset: int

    def perform(self, before_parsing: Callable[[], None] = lambda: None) -> Piece:
        """Read it. Raises NoSuchInput for what is not a plain file of that folder."""
        path = _file_in(self.folder, self.name)
        with open_file(path) as file:
            before_parsing()
            return read_piece(file, self.offset)


class BindingJob(_Job, frozen=True, tag="binding"):
    """The configuration file that `named` leads to, with what a controller has learned: `binding` is `target`."""

    named: str | None
    binding: str
    target: str

    def perform(self, before_parsing: Callable[[], None] = lambda: None) -> Edited:
        """Read the file, and edit what was read. Raises SidemanError."""
        return with_binding(self.named, self.binding, self.target, before_parsing)


class Exported(Struct, frozen=True, tag="exported"):
    """The file that was written."""

    path: str


class ExportJob(_Job, frozen=True, tag="export"):
    """Writes the take `name` to the file `out`, in the form that its suffix says, as `sideman takes export` does."""

    seconds = EXPORT_SECONDS
    writes = True

    folder: str
    name: str
    out: str

    @property
    def at_limit(self) -> str:
        """Why it has not come to an end."""
        return "it was not written: the process that writes it has ended"

    def perform(self, before_parsing: Callable[[], None] = lambda: None) -> Exported:  # noqa: ARG002 - as in other jobs
        """Write it. Raises what the command reports."""
        import subprocess  # only this process needs it

        _file_in(self.folder, f"{self.name}.jsonl")
        settings = ("--config", os.devnull, "--set", f"takes.folder={self.folder}")
        options = ("takes", "export", *settings, "--out", self.out, "--", self.name)
        program = [sys.executable, "-B", "-P", *(["-S"] if sys.flags.no_site else []), "-m", "sideman"]
        done = subprocess.run([*program, *options], stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - our own program
        if done.returncode == 0:
            return Exported(self.out)
        text = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        kind = next((kind for kind in _ERRORS.values() if kind.exit_status == done.returncode), SidemanError)
        raise kind("".join(text).removeprefix("sideman: ").removeprefix("--wav: ") or self.at_limit)


def _file_in(folder: str, name: str) -> Path:
    """The path of a plain file in a folder. Raises NoSuchInput for a name that leads elsewhere."""
    path = Path(folder, name)
    if os.sep in name or "\0" in name or name.startswith(".") or path.is_symlink():
        raise NoSuchInput(f"{printable(name)}: no such file")
    return path


def read_piece(file: BinaryIO, offset: int) -> Piece:
    """The piece of an open file from byte `offset` on."""
    file.seek(offset)
    return Piece(os.fstat(file.fileno()).st_size, base64.b64encode(file.read(PIECE_BYTES)).decode())


Job = ChangesJob | ChartJob | NamesJob | FolderJob | PieceJob | ExportJob | BindingJob
WholeAnswer = Changes | Listing | Piece | Exported
"""The answers that are one line."""


def written_settings(settings: Settings, names: Sequence[str] = tuple(KEYS)) -> WrittenSettings:
    """Return the values of these keys as JSON, secrets too: the process reads them in the configuration, anyway."""
    values = {name: value_of(settings, name) for name in names}
    return {
        name: value if KEYS[name].value_type.is_secret else setting_to_json(name, value)
        for name, value in values.items()
    }


def encode_job(job: Job) -> bytes:
    """Return a job as JSON. Names of files that are not UTF-8 have lone surrogates, which msgspec does not write."""
    return json.dumps(msgspec.to_builtins(job)).encode()


# -- the answer, as lines


class _ChartLine(Struct, frozen=True, tag="chart"):
    info: tuple[str, str, str, float | None, tuple[tuple[int, str], ...], tuple[str, ...], Style | None]


_WrittenChord = tuple[float, int, str, int | None, str]


class _BarsLine(Struct, frozen=True, tag="bars"):
    bars: tuple[tuple[str, tuple[_WrittenChord, ...]], ...]


class _TextLine(Struct, frozen=True, tag="text"):
    text: str


class _ErrorLine(Struct, frozen=True, tag="error"):
    kind: str
    text: str


class _EndLine(Struct, frozen=True, tag="end"):
    pass


_Line = _ChartLine | _BarsLine | _TextLine | _ErrorLine | Changes | Edited | Listing | Piece | Exported | _EndLine
Answer = WholeAnswer | Edited | Chart | SidemanError


def _written_chord(at: float, chord: Chord) -> _WrittenChord:
    return at, chord.root, chord.quality.name, chord.bass, chord.text


def answer_lines(answer: Answer) -> Iterator[bytes]:
    """Yield the lines of an answer."""
    match answer:
        case Chart(bars, info):
            yield _line(_ChartLine(msgspec.structs.astuple(info)))
            written = [(str(bar.meter), tuple(_written_chord(*each) for each in bar.chords)) for bar in bars]
            for first in range(0, len(written), _BARS_PER_LINE):
                yield _line(_BarsLine(tuple(written[first : first + _BARS_PER_LINE])))
        case Changes() | Listing() | Piece() | Exported():
            yield _line(answer)
        case Edited(text=text):
            yield _line(replace(answer, text=""))
            for first in range(0, len(text), _TEXT_LENGTH):
                yield _line(_TextLine(text[first : first + _TEXT_LENGTH]))
        case SidemanError():
            yield _line(_ErrorLine(type(answer).__name__, str(answer)[:_MAX_ERROR_LENGTH]))
    yield _line(_EndLine())


def _line(line: _Line) -> bytes:
    return json.dumps(msgspec.to_builtins(line), separators=(",", ":")).encode() + b"\n"


class AnswerReader:
    """Takes the lines of an answer one by one, and checks each. Raises ValueError for what cannot be an answer."""

    def __init__(self) -> None:
        self.is_complete = False
        self._whole: WholeAnswer | Edited | SidemanError | None = None
        self._text = ""
        self._info: ChartInfo | None = None
        self._bars: list[Bar] = []
        self._chords = 0

    def take(self, line: bytes) -> None:
        """Take the next line."""
        match msgspec.convert(json.loads(line), _Line):
            case _ChartLine(fields):
                info = ChartInfo(*fields)
                if len(info.warnings) > MAX_WARNINGS + 1 or not all(text.isprintable() for text in info.warnings):
                    raise ValueError("warnings that cannot be shown")
                self._info = info
            case _BarsLine(bars):
                self._bars += [self._bar(meter, chords) for meter, chords in bars]
                if len(self._bars) > MAX_BARS or self._chords > CHART.count:
                    raise ValueError("a chart beyond its limits")
            case Changes() | Edited() | Listing() | Piece() | Exported() as whole:
                self._whole = _checked(whole)
            case _TextLine(text):
                self._text += text
                if len(self._text) > 2 * SETTINGS.bytes:
                    raise ValueError("a text beyond its limits")
            case _ErrorLine(kind, text):
                self._whole = _ERRORS.get(kind, UnreadableInput)(text)
            case _EndLine():
                self.is_complete = True

    def answer(self) -> Answer:
        """Return the whole answer."""
        if isinstance(self._whole, Edited):
            return replace(self._whole, text=self._text)
        if self._whole is not None:
            return self._whole
        if self._info is None:
            raise ValueError("no answer")
        chart = Chart(tuple(self._bars), self._info)
        chart.chord_at(0.0)  # what a chart knows of itself is found out here, and not by the player
        return chart

    def _bar(self, meter_text: str, written: tuple[_WrittenChord, ...]) -> Bar:
        meter, before, chords = parse_meter(meter_text), -1.0, []
        for at, root, quality, bass, text in written:
            if not before < at < meter.quarters or not (0 <= root < 12 and (bass is None or 0 <= bass < 12)):
                raise ValueError("a chord that cannot be in its bar")
            if not text.isprintable():
                raise ValueError("a chord symbol that cannot be printed")
            chords.append((at, Chord(root, _QUALITIES[quality], bass, text)))
            before = at
        self._chords += len(chords)
        if not chords or chords[0][0] != 0:
            raise ValueError("a bar without a chord at its start")
        return Bar(tuple(chords), meter)


def _checked(whole: WholeAnswer | Edited) -> WholeAnswer | Edited:
    match whole:
        case Listing(names) if len(names) > _MAX_NAMES or not all(name.isprintable() for name, *_ in names):
            raise ValueError("names that cannot be shown")
        case Piece(_, data) if len(data) > PIECE_BYTES * 4 // 3 or not data.isascii():
            raise ValueError("more than a piece")
    return whole


# -- the process


def main() -> None:
    """Perform the job on standard input, and answer on standard output."""
    end_with_the_daemon()
    with contextlib.suppress(OSError):  # a service's system calls may be filtered
        os.nice(5)
    job = msgspec.convert(json.loads(sys.stdin.buffer.read()), Job)
    answer: Answer
    try:
        if job.writes:
            limit_memory(EXPORT_MEMORY_BYTES)
        else:
            limit_itself()
        answer = job.perform(open_nothing_more)
    except SidemanError as error:
        answer = error
    except MemoryError:
        answer = UnreadableInput(f"it needs more than {READING_MEMORY_BYTES >> 20} MiB of memory to be read")
    except OSError as error:
        answer = UnreadableInput(error.strerror or str(error))
    for line in answer_lines(answer):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def limit_itself() -> None:
    """Give up the right to write, and to use more memory and time than reading needs.

    What is needed later is loaded first, because nothing can be opened then.
    """
    import resource  # only this process needs it

    confine(READING_MEMORY_BYTES)
    for name in _NEEDED_LATER:
        importlib.import_module(name)
    for name in _ENCODINGS:
        codecs.lookup(name)
    # What it has used so far, to load our own modules, says nothing of the file; on a small machine it is seconds.
    limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + READING_CPU_SECONDS)
