# SPDX-License-Identifier: Apache-2.0
"""`sideman check`: checks configuration, chart, model, ports and network, and says how to correct them."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import textwrap
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from sideman.charts.chart_writer import CHART_WRITERS, in_force
from sideman.commands.common import add_options, add_play_options, add_settings_options, load_settings, output_kind
from sideman.config.resources import config_path
from sideman.config.sources import at_chart_tempo, load_chart
from sideman.core.errors import SidemanError, Unavailable, UnreadableInput, UsageError
from sideman.core.practice import check_loop
from sideman.core.settings.schema import KEYS, Settings, settings_line, song_of, value_of, with_values
from sideman.core.settings.target_notes import check_targets
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman.core.words import chart_text, play_words
from sideman.exit_status import exit_status_and_message
from sideman.files import write_file
from sideman.midi.ableton_link import describe_session
from sideman.midi.ports import MidiPorts
from sideman.midi.request import request_of
from sideman.service.systemd import check_network, network_keys
from sideman_models.errors import ModelsError
from sideman_models.network.bundle import load_bundle
from sideman_models.text import count_noun

_WIDTH = 72
"""Columns of a paragraph, beside its name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman check`."""
    add_play_options(parser)
    out = "write the chart as it will be played: .musicxml (MuseScore), .html (iReal Pro) or .txt"
    add_options(parser, ("--out", "FILE", Path, out))
    about = "with --chart or this it prints the chart bar by bar in the order of playing, and checks nothing else"
    transpose = "transpose by N semitones, down if negative (chart.transpose)"
    add_options(parser.add_argument_group("one chart", about), ("--transpose", "N", int, transpose))
    add_settings_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print a paragraph for each part. Returns 0, or the exit status of the first part with an error.

    An error in the configuration is raised: without settings, the other parts cannot be checked.
    """
    if args.transpose is not None and not -11 <= args.transpose <= 11:
        raise UsageError(f"--transpose {args.transpose}: -11 to 11 semitones")
    settings = load_settings(args)
    if args.chart is not None or args.transpose is not None or args.out is not None:
        transpose = settings.chart.transpose if args.transpose is None else args.transpose
        settings = with_values(settings, [("chart.transpose", transpose)])
        print(_chart(settings))
        if args.out is not None:
            _write_chart(args.out, settings)
        return 0
    parts: dict[str, Callable[[Settings], str]] = {
        "config": lambda _: _sources(args),
        "set": _changed,
        "play": play_words,
        "chart": _chart,
        **({"songs": _set} if settings.chart.set else {}),
        "model": _model,
        "tempo": _tempo,
        "ports": _ports,
        "network": _network,
    }
    statuses = []
    for name, part in parts.items():
        try:
            text = part(settings)
        except (SidemanError, ModelsError, OSError) as error:
            status, text = exit_status_and_message(error)
            statuses.append(status)
            text = f"error: {text}"
        print(f"{name:8}" + text.replace("\n", "\n" + " " * 8))
    return statuses[0] if statuses else 0


def _write_chart(path: Path, settings: Settings) -> None:
    """Write the chart into the kind of file that its name says."""
    kind = output_kind("out", path)
    if kind not in CHART_WRITERS:
        raise UsageError(f"--out {path}: a chart is written as .musicxml, .html (iReal Pro) or .txt")
    chart = load_chart(settings)
    played = in_force(chart, at_chart_tempo(settings, chart))
    write_file(path, CHART_WRITERS[kind](played, settings.midi.transpose))
    print(f"{path}: written")


def _sources(args: argparse.Namespace) -> str:
    """Where the settings come from, in the order in which they override each other."""
    file = config_path(args.config)
    options = " ".join(f"--set {each}" for each in args.set)
    named = [f"preset {args.preset}" if args.preset is not None else "", str(file) if file else "no file", options]
    return ", then ".join(filter(None, named))


def _changed(settings: Settings) -> str:
    """The settings that are not at their defaults, whichever source they come from."""
    changed = [(name, value_of(settings, name)) for name in KEYS if value_of(settings, name) != KEYS[name].default]
    if not changed:
        return "all settings have their defaults"
    line = f"{count_noun(len(changed), 'setting')} of {len(KEYS)}: {settings_line(changed)}"
    return "\n".join(textwrap.wrap(line, _WIDTH, break_on_hyphens=False))


def _chart(settings: Settings) -> str:
    """The chart as the player reads it."""
    sounding, transpose = load_chart(settings), settings.midi.transpose
    check_loop(settings, sounding)
    check_targets(settings.play.target, sounding, settings.play.range)
    chart = sounding.shown(transpose)
    song = song_of(settings)
    source = ((song.chart if song else settings.chart.file) or "chart.changes")[
        :200
    ]  # it may be a link with the whole chart in it
    about = f"{chart.info}\n" if str(chart.info) else ""
    meters = ", ".join(dict.fromkeys(str(bar.meter) for bar in chart.bars))
    warnings = "".join(f"\nwarning: {text}" for text in chart.info.warnings)
    keys = f"\nyou read it in {chart.info.key}; it sounds in {sounding.info.key}"
    sounds = keys if chart.info.key and transpose else ""
    return f"{source}, {count_noun(len(chart.bars), 'bar')} of {meters}\n{about}{chart_text(chart)}{sounds}{warnings}"


def _set(settings: Settings) -> str:
    """Each song of the set, as it will be played. Raises UnreadableInput with the songs that cannot be read."""
    lines, problems = [], []
    for number, song in enumerate(settings.chart.set, 1):
        wanted = with_values(settings, [("chart.song", number)])
        try:
            chart = load_chart(wanted)
        except SidemanError as error:
            problems.append(f"song {number}, {song.text}: {error}")
            continue
        bpm = at_chart_tempo(wanted, chart).tempo.bpm
        lines.append(f"{number} {song.text}: {count_noun(len(chart.bars), 'bar')}, {bpm:g} bpm")
        lines += [f"warning: {text}" for text in chart.info.warnings]
    if problems:
        raise UnreadableInput("\n".join(problems))
    return "\n".join(lines)


def _model(settings: Settings) -> str:
    if settings.model.engine == "tensorflow" and importlib.util.find_spec("tensorflow") is None:
        raise Unavailable("model.engine: tensorflow is not installed; set it to numpy, or install sideman[train]")
    bundle = load_bundle(settings.model.bundle)
    return f"{bundle.path}: {len(bundle.vocabulary)} values, {bundle.weights.n_a} units"


def _tempo(settings: Settings) -> str:
    """Which clock sets the tempo. A Link session is joined for a moment, to count its peers."""
    tempo = settings.tempo
    row = CLOCK_SOURCES[tempo.source]
    if tempo.source == "internal":
        with contextlib.suppress(SidemanError):  # the chart's own paragraph says what is wrong
            tempo = at_chart_tempo(settings, load_chart(settings)).tempo
        return f"{tempo.bpm:g} bpm, {tempo.meter} where the chart does not say it, internal clock"
    if row.needs_midi_input:
        return f"from the MIDI clock at {'tempo.port' if tempo.port else 'midi.input'}"
    if row.needs_link:
        return f"from Ableton Link: {describe_session(tempo.bpm, float(load_chart(settings).meter.quarters))}"
    return f"{tempo.source}: {row.text}"


def _ports(settings: Settings) -> str:
    """Opens the ports under another name, so that a running daemon is not disturbed."""
    request = request_of(settings)
    request = replace(request, client=f"{request.client}-check")
    with contextlib.closing(MidiPorts(request, lambda _event, _second: None)) as ports:
        missing = ports.open()
        by = [f"by {ports.library_text}"] if ports.library_text else []
        return "\n".join([ports.status_text, *by, *missing])


def _network(settings: Settings) -> str:
    """What is open to others than the user, and that the systemd unit has to allow it."""
    keys = network_keys(settings)
    if not keys:
        return "not used"
    check_network(settings)
    osc = f"OSC at {settings.control.osc_host}, port {settings.control.osc}" if settings.control.osc is not None else ""
    used = ", ".join(filter(None, [osc, "Ableton Link" if CLOCK_SOURCES[settings.tempo.source].needs_link else ""]))
    return f"{used}\nas a service, it has no network until you allow it: see docs/service.md"
