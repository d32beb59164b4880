# SPDX-License-Identifier: Apache-2.0
"""Small files that would cost much, and files of unknown origin that would do something."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.charts.musicxml import _GRID, _on_grid, read_musicxml
from sideman.config.yaml import parse_setting, parse_yaml
from sideman.core.chart.chart import ChartError, Meter
from sideman.core.chart.text import parse_changes
from sideman.core.errors import ConfigError
from sideman_models.errors import ArchiveError, ChordError
from sideman_models.files import ZipReader, read_plain_file
from sideman_models.limits import CHART, CHORD_SYMBOL, LIMITS, SETTINGS, XML_TAGS
from sideman_models.music.harmony import parse_chord
from sideman_models.network.storage import read_npz


def archive(content: bytes, method: int) -> bytes:
    """A zip archive with one member."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as file:
        file.writestr("a.npy", content)
    return packed.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_methods_that_can_be_counted_are_unpacked(method: int) -> None:
    """Guards against: 1.6 kB of bz2 that take 4 GB of memory."""
    bomb = archive(bytes(1 << 22), method)
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="by a method"):
        ZipReader(bomb, 1 << 30).read("a.npy")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("claimed", [None, 10])
def test_what_is_unpacked_is_counted_and_not_believed(claimed: int | None) -> None:
    """Guards against: an archive that says it is small, and fills the memory."""
    bomb = archive(bytes(1 << 24), zipfile.ZIP_DEFLATED)
    if claimed is not None:  # in both headers
        bomb = bomb.replace(struct.pack("<I", 1 << 24), struct.pack("<I", claimed))
    tracemalloc.start()
    with pytest.raises(ArchiveError):
        read_npz(bomb, 1 << 16)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_all_members_together_are_counted() -> None:
    """Guards against: a thousand members of the largest size each."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for number in range(4):
            file.writestr(str(number), bytes(100))
    reader = ZipReader(packed.getvalue(), 250)
    assert [len(reader.read(name)) for name in "01"] == [100, 100]
    with pytest.raises(ArchiveError, match="2 is larger"):
        reader.read("2")
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as file:
        for number in range(1001):
            file.writestr(str(number), b"")
    with pytest.raises(ArchiveError, match="more than 1000 members"):
        ZipReader(many.getvalue(), 1 << 20)


def npy(header: str, content: bytes = b"") -> bytes:
    """An .npy file with this header."""
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", bytes(4)),
        npy("'''", bytes(4)),
        npy("(" * 5000),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1 << 3,), }"),
        npy(GOOD.replace("(1,)", "(1000000000000,)"), bytes(4)),
        npy(GOOD.replace("(1,)", "(-1,)"), bytes(4)),
        npy(GOOD.replace("(1,)", f"({'1,' * 100})"), bytes(4)),
        npy(GOOD.replace("<f4", "|O"), bytes(8)),
        npy(GOOD, bytes(3)),
        npy(GOOD, bytes(5)),
        b"\x93NUMPY\x09\x00",
        b"",
    ],
)
def test_an_array_that_is_none_is_refused(content: bytes) -> None:
    """Guards against: a header that ends `models list` for all bundles, takes memory that it only claims, or runs."""
    with pytest.raises(ArchiveError, match="not an array of numbers"):
        read_npz(archive(content, zipfile.ZIP_STORED), 1 << 20)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_an_archive_or_refused(data: bytes, is_header: bool) -> None:
    """Guards against: an error of another type for a damaged file, which ends more than its reading."""
    content = archive(npy(data.decode("latin-1")), zipfile.ZIP_STORED) if is_header else b"PK\x03\x04" + data
    with pytest.raises(ArchiveError):
        read_npz(content, 1 << 20)


@given(st.integers(1, 16), st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 48, 96, 480, 960, 10080]))
def test_places_of_music_are_exact(numerator: int, denominator: int) -> None:
    """Guards against: a chord that is moved because its place was rounded."""
    assert _on_grid(Fraction(numerator, denominator)) == Fraction(numerator, denominator)


def test_places_do_not_grow() -> None:
    """Guards against: a score whose numbers get longer with each note: 12,000 in a bar took 100 seconds."""
    place = Fraction(0)
    for number in range(2, 500):
        place = _on_grid(place + Fraction(1, 10**12 + number))
        assert place.denominator <= _GRID


@pytest.mark.parametrize("shape", ["<a>" * XML_TAGS.count + "<b/>", "<a/>" * (XML_TAGS.count + 1)])
def test_a_score_of_tags_is_refused_unparsed(shape: str) -> None:
    """Guards against: a file of the largest size that becomes a hundred times as large in memory."""
    with pytest.raises(ChartError, match=f"more than {XML_TAGS.count} tags"):
        read_musicxml(shape.encode(), "x.xml")


@pytest.mark.parametrize("text", ["C" + "7" * 8_000_000, "C/" * 4_000_000, "b" * (CHORD_SYMBOL.bytes + 1)])
def test_long_texts_are_no_chords(text: str) -> None:
    """Guards against: hours over a text of 8 MiB without spaces, and an error that quotes all of it."""
    with pytest.raises(ChordError) as error:
        parse_chord(text)
    assert len(str(error.value)) < 200


def test_a_chart_has_a_limit_of_chords() -> None:
    """Guards against: a chart that no client can take in, and that delays a note when it takes over."""
    bar = f"| 16/16 {'C G ' * 16}"
    with pytest.raises(ChartError, match=f"more than {CHART.count} chords"):
        parse_changes(bar * (CHART.count // 32 + 1), Meter(4, 4), "x")


@pytest.mark.parametrize("text", ["a: 1\n", "[" * 3, "{a: ", "- x\n", "? a\n", "k1: {b: 1}\n"])
def test_yaml_is_read_up_to_a_number_of_keys(text: str) -> None:
    """Guards against: minutes over a preset full of keys that do not exist."""
    content = parse_yaml((text * SETTINGS.bytes)[: SETTINGS.bytes].encode(), "x.yaml")
    assert content.problems
    assert len(content.values) <= 2 * SETTINGS.count
    many = ", ".join(f"{number}: tap" for number in range(3 * SETTINGS.count))
    with pytest.raises(ConfigError, match=f"more than {SETTINGS.count} keys"):
        parse_setting("midi.cc", f"{{{many}}}", "set")


def test_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    """Guards against: a daemon that waits for ever for a pipe that has the name of a chart."""
    os.mkfifo(tmp_path / "a.chart")
    with pytest.raises(OSError, match="not a plain file"):
        read_plain_file(tmp_path / "a.chart", 100)


def test_the_table_of_limits_is_complete() -> None:
    """Guards against: a limit in SECURITY.md that is not the one of the code."""
    assert len({limit.what for limit in LIMITS}) == len(LIMITS)
    assert all(limit.size_text and bool(limit.count) == bool(limit.items) for limit in LIMITS)


@pytest.mark.tensorflow
class TestKerasFiles:
    """A `.keras` file is data: nothing in it is run, and no other file is read."""

    @staticmethod
    def write(path: Path, layers: list[dict[str, Any]], weights: bytes = b"") -> Path:
        """Write a file with these layers."""
        with zipfile.ZipFile(path, "w") as file:
            config = {"module": "keras", "class_name": "Functional", "config": {"layers": layers}}
            file.writestr("config.json", json.dumps(config))
            file.writestr("model.weights.h5", weights)
        return path

    @staticmethod
    def layers() -> list[dict[str, Any]]:
        """The layers of a network, and one that is meant to run something."""
        cell = {"name": "LSTM_cell", "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
        densor = {"name": "densor", "activation": "linear", "use_bias": True}
        attack = {"module": "os", "class_name": "system", "config": {"name": "x", "command": "touch pwned"}}
        return [attack, {"class_name": "LSTM", "config": cell}, {"class_name": "Dense", "config": densor}]

    @staticmethod
    def weights(path: Path, attack: str, outside: Path) -> bytes:
        """The weights of a network of one unit, those of one layer as the attack has them."""
        import h5py

        units, values, rows = 1, 9, 9
        with h5py.File(path, "w") as file:
            cell = file.create_group("layers/lstm/cell/vars")
            for number, shape in enumerate([(rows, 4), (units, 4), (4,)]):
                cell[str(number)] = np.zeros(shape, np.float32)
            at = file.create_group("layers/dense/vars")
            at["0"] = np.zeros((units, values), np.float32)
            match attack:
                case "none":
                    at["1"] = np.zeros(values, np.float32)
                case "external link":
                    at["1"] = h5py.ExternalLink(str(outside), "secret")
                case "soft link":
                    at["1"] = h5py.SoftLink("/layers/dense/vars/0")
                case "external storage":
                    at.create_dataset("1", (values,), np.float32, external=[(str(outside), 0, 4 * values)])
                case "virtual":
                    layout = h5py.VirtualLayout((values,), np.float32)
                    layout[:] = h5py.VirtualSource(str(outside), "secret", (values,))
                    at.create_virtual_dataset("1", layout)
                case "packed":
                    at.create_dataset("1", (values,), np.float32, chunks=(values,), compression="gzip")
                case "claims":
                    at.create_dataset("1", (1 << 40,), np.float32)
                case "text":
                    at.create_dataset("1", data=[b"x"] * values)
        return path.read_bytes()

    def test_nothing_in_it_is_run(self, tmp_path: Path) -> None:
        """Guards against: a model from the internet that runs its code when it is imported, as Keras 3.8 lets it."""
        weights = self.weights(tmp_path / "w.h5", "none", tmp_path / "outside")
        file = self.write(tmp_path / "a.keras", self.layers(), weights)
        program = (
            "import sys; from pathlib import Path\n"
            "from sideman_models.network import keras_file\n"
            "from sideman_models.errors import BundleError\n"
            "from sideman_models.network.bundle import load_bundle\n"
            "try: keras_file.read_keras_file(Path(sys.argv[1]), load_bundle('default'), 'x')\n"
            "except BundleError as error: print(error)\n"
            "assert not {'keras', 'tensorflow'} & sys.modules.keys()\n"
        )
        found = subprocess.run([sys.executable, "-c", program, file], capture_output=True, check=True, cwd=tmp_path)
        assert b"LSTM_cell/kernel: shape" in found.stdout  # it was read up to the end
        assert not (tmp_path / "pwned").exists()

    @pytest.mark.parametrize(
        "attack", ["external link", "soft link", "external storage", "virtual", "packed", "claims", "text"]
    )
    def test_weights_are_only_in_the_file(self, attack: str, tmp_path: Path) -> None:
        """Guards against: a model whose weights are another file of this machine, or far larger than the file."""
        import h5py

        from sideman_models.errors import BundleError
        from sideman_models.network.keras_file import read_keras_file
        from support.fakes import classic_bundle

        outside = tmp_path / "outside"
        with h5py.File(outside, "w") as secret:
            secret["secret"] = np.ones(9, np.float32)
        file = self.write(tmp_path / "a.keras", self.layers(), self.weights(tmp_path / "w.h5", attack, outside))
        with pytest.raises(BundleError, match="layers/dense/vars: "):
            read_keras_file(file, classic_bundle(), "x")

    @pytest.mark.parametrize("config", ["[]", "{", '{"config": {"layers": 3}}', "[" * 100_000, '"\\ud800"'])
    def test_a_config_that_is_none_is_refused(self, config: str, tmp_path: Path) -> None:
        """Guards against: a traceback for a damaged file."""
        from sideman_models.errors import BundleError
        from sideman_models.network.keras_file import read_keras_file
        from support.fakes import classic_bundle

        with zipfile.ZipFile(tmp_path / "a.keras", "w") as file:
            file.writestr("config.json", config)
        with pytest.raises(BundleError, match="not a Keras model"):
            read_keras_file(tmp_path / "a.keras", classic_bundle(), "x")
