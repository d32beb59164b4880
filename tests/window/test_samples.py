# SPDX-License-Identifier: Apache-2.0
"""The samples of the page: whole Ogg files, every pitch has one, and they are what our script cuts."""

from __future__ import annotations

import json

import pytest

from support.sound_samples import COPYRIGHT, PICKS, SAMPLES, SOUNDFONT, SoundFont, cut, notice

MOST_BYTES = 3_500_000


def test_every_zone_is_a_whole_ogg_file_and_every_pitch_has_one() -> None:
    """Guards against: an instrument that cannot be decoded, or that is silent in some register."""
    instruments = json.loads((SAMPLES / "instruments.json").read_text("utf-8"))
    assert set(instruments) == {"piano", "tenor", "alto", "trumpet", "guitar", "bass", "brushes", "sticks"}
    for name, instrument in instruments.items():
        data = (SAMPLES / instrument["file"]).read_bytes()
        keys: list[int] = []
        for zone in instrument["zones"]:
            start, end = zone["bytes"]
            assert data[start : start + 4] == b"OggS"
            assert end == len(data) or data[end : end + 4] == b"OggS"
            assert zone["release"] > 0
            assert zone.get("loop", [0, 1])[0] < zone.get("loop", [0, 1])[1]
            keys += range(zone["keys"][0], zone["keys"][1] + 1)
        assert len(keys) == len(set(keys))
        assert PICKS[name].keys or keys == list(range(128))


def test_they_are_small_and_carry_their_licence() -> None:
    """Guards against: a page that takes long to load on a phone; samples without the notice that they ask for."""
    files = list(SAMPLES.iterdir())
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    text = (SAMPLES / "NOTICE.txt").read_text("utf-8")
    assert "Permission is hereby granted" in text
    assert {"Frank Wen", "Michael Cowgill"} <= {name for name in ("Frank Wen", "Michael Cowgill") if name in text}


@pytest.mark.skipif(not (SOUNDFONT.exists() and COPYRIGHT.exists()), reason="fluidr3mono-gm-soundfont is not installed")
def test_our_script_cuts_them_out_of_the_soundfont() -> None:
    """Guards against: samples whose origin cannot be shown."""
    font = SoundFont(SOUNDFONT)
    files = cut(font) | {"NOTICE.txt": notice(font).encode()}
    assert {path.name for path in SAMPLES.iterdir()} == set(files)
    assert all((SAMPLES / name).read_bytes() == data for name, data in files.items())
