# SPDX-License-Identifier: Apache-2.0
"""Playing on the page in real Chromium: the computer's keys, MIDI keyboards, fingers, and the measured latency."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from support.sound_page import load_sound, served_sound

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

_KEYS = """async () => {
    const { ComputerKeys } = await import("/sound/keys.js");
    window.keys = new ComputerKeys(playing);
    keys.set(true);
    window.passed = [];
    document.addEventListener("keydown", (event) => passed.push(event.code));
}"""
_MIDI = """
    const port = (name) => ({ name, manufacturer: "", state: "connected", onmidimessage: null });
    window.ports = { keys: port("Keystation"), own: port("sideman:out"), through: port("Midi Through") };
    window.access = { inputs: new Map(Object.entries(ports)), onstatechange: null };
    navigator.requestMIDIAccess = async () => access;
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the modules are served."""
    with served_sound() as address:
        yield address


@pytest.fixture
def open_sound(open_page: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens a page with the sound and a store of the test."""

    def open_sound(**options: Any) -> Page:
        page = open_page(address)
        load_sound(page, **options)
        return page

    return open_sound


def played(page: Page) -> list[tuple[bool, int]]:
    """The notes that the page has sent so far: on or off, and pitch."""
    return [tuple(pair) for pair in page.evaluate("() => t.requests.map((r) => [r.on, r.pitch])")]


def test_the_keys_a_to_l_are_a_piano(open_sound: Callable[..., Page]) -> None:
    """Guards against: wrong notes, notes that hang, and repeated notes while a key is held."""
    page = open_sound()
    page.evaluate(_KEYS)
    for key in ("KeyA", "KeyW", "KeyL"):
        page.keyboard.down(key)
        page.keyboard.down(key)  # as a key that is held repeats
        page.keyboard.up(key)
    page.keyboard.press("KeyX")
    page.keyboard.press("Shift+KeyA")
    page.keyboard.press("Space")
    expected = [(True, 60), (False, 60), (True, 61), (False, 61), (True, 74), (False, 74), (True, 72), (False, 72)]
    assert played(page) == expected
    assert page.evaluate("() => t.requests.at(-2).velocity") == 110
    assert page.evaluate("() => passed") == ["ShiftLeft", "Space"] or page.evaluate("() => passed.at(-1)") == "Space"


def test_keys_go_up_when_the_page_loses_them_and_typing_is_not_played(open_sound: Callable[..., Page]) -> None:
    """Guards against: a note that hangs when another window comes in front; a solo while one writes a name."""
    page = open_sound()
    page.evaluate(_KEYS)
    page.keyboard.down("KeyA")
    page.evaluate("() => window.dispatchEvent(new Event('blur'))")
    assert played(page) == [(True, 60), (False, 60)]
    page.keyboard.up("KeyA")
    page.keyboard.press("Control+KeyA")
    page.evaluate(
        "() => { document.body.append(document.createElement('input')); document.querySelector('input').focus(); }"
    )
    page.keyboard.press("KeyS")
    assert page.evaluate("() => document.querySelector('input').value") == "s"
    page.evaluate("() => { document.activeElement.blur(); keys.set(false); }")
    page.keyboard.press("KeyD")
    assert played(page) == [(True, 60), (False, 60)]


def test_a_note_is_sent_with_the_second_of_its_strike_less_the_latency(open_sound: Callable[..., Page]) -> None:
    """Guards against: a player who is heard late, or with a second that the daemon refuses."""
    page = open_sound()
    seconds = page.evaluate(
        """() => {
            const now = performance.now(), at = (ms) => t.second(ms);
            playing.strike(60, 90, now - 30);
            playing.setLatency(25);
            playing.strike(61, 90, now - 30);
            playing.strike(62, 90, now - 5000);
            playing.strike(63, 90, now + 5000);
            playing.strike(64, 500, now);
            playing.strike(200, 90, now);
            return t.requests.map((r) => [1000 * (r.second - at(now)), r.velocity]);
        }"""
    )
    assert seconds[0][0] == pytest.approx(-30, abs=0.1)
    assert seconds[1][0] == pytest.approx(-55, abs=0.1)
    assert -960 < seconds[2][0] < -900
    assert 0 <= seconds[3][0] < 100
    assert seconds[4][1] == 127
    assert len(seconds) == 5


def test_a_pitch_that_two_keyboards_hold_ends_with_the_second(open_sound: Callable[..., Page]) -> None:
    """Guards against: a note that ends while a finger still holds it."""
    page = open_sound()
    page.evaluate("() => { playing.strike(60, 90); playing.strike(60, 80); playing.release(60); }")
    assert played(page) == [(True, 60), (False, 60), (True, 60)]
    page.evaluate("() => { playing.release(60); playing.release(60); }")
    assert played(page)[3:] == [(False, 60)]


def test_midi_keyboards_play_with_their_pedal_and_our_own_ports_do_not(open_sound: Callable[..., Page]) -> None:
    """Guards against: the band that hears itself through the browser; notes that a pulled plug leaves behind."""
    page = open_sound(script=_MIDI)
    started = page.evaluate(
        """async () => {
            const { MidiKeyboards } = await import("/sound/midi.js");
            window.midi = new MidiKeyboards(playing);
            window.send = (...data) => ports.keys.onmidimessage({ data, timeStamp: performance.now() });
            return [await midi.start(), midi.names(), ports.own.onmidimessage, ports.through.onmidimessage];
        }"""
    )
    assert started == [{"on": True, "problem": None}, ["Keystation"], None, None]
    page.evaluate(
        "() => { send(0x93, 60, 100); send(0x83, 60, 0); send(0xb0, 64, 127); send(0x90, 62, 9); send(0x90, 62, 0); }"
    )
    assert played(page) == [(True, 60), (False, 60), (True, 62)]
    page.evaluate("() => send(0xb0, 64, 0)")
    assert played(page)[3:] == [(False, 62)]
    page.evaluate("() => { send(0x90, 65, 90); ports.keys.state = 'disconnected'; access.onstatechange(); }")
    assert played(page)[4:] == [(True, 65), (False, 65)]
    assert page.evaluate("() => midi.names()") == []


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("navigator.requestMIDIAccess = undefined;", "none"),
        ("navigator.requestMIDIAccess = async () => { throw new Error('no'); };", "refused"),
    ],
)
def test_a_browser_without_midi_says_why(open_sound: Callable[..., Page], script: str, problem: str) -> None:
    """Guards against: a button that does nothing."""
    page = open_sound(script=script)
    answer = "async () => new (await import('/sound/midi.js')).MidiKeyboards(playing).start()"
    assert page.evaluate(answer) == {"on": False, "problem": problem}


def test_fingers_play_and_slide_on_the_piano(open_sound: Callable[..., Page]) -> None:
    """Guards against: a phone on which only one note can be played, always as loud, or one that hangs."""
    page = open_sound()
    page.evaluate(
        """async () => {
            const sheet = document.createElement("link");
            Object.assign(sheet, { rel: "stylesheet", href: "/sound/touch.css" });
            await new Promise((done) => { sheet.onload = done; document.head.append(sheet); });
            const { TouchKeyboard } = await import("/sound/touch.js");
            window.piano = new TouchKeyboard(document.getElementById("keys"), playing);
        }"""
    )
    places = page.evaluate(
        "() => [60, 62].map((p) => { const r = document.querySelector(`[data-pitch='${p}']`) \
        .getBoundingClientRect(); return [r.x + r.width / 2, r.y, r.height]; })"
    )
    (x, y, height), (other, *_) = places
    page.mouse.move(x, y + 0.95 * height)
    page.mouse.down()
    assert page.evaluate("() => document.querySelector('.down').getAttribute('aria-label')") == "C4"
    page.mouse.move(other, y + 0.95 * height)
    page.mouse.up()
    page.mouse.move(x, y + 0.7 * height)
    page.mouse.down()
    page.mouse.up()
    assert played(page) == [(True, 60), (False, 60), (True, 62), (False, 62), (True, 60), (False, 60)]
    hard, _, _, _, soft, _ = page.evaluate("() => t.requests.map((r) => r.velocity)")
    assert hard > soft
    page.evaluate("() => document.querySelector('[data-pitch=\"60\"]').focus()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert played(page)[6:] == [(True, 61), (False, 61)]
    assert page.evaluate("() => document.querySelectorAll('.down').length") == 0


def test_the_latency_is_measured_from_strikes_on_clicks_and_remembered(open_sound: Callable[..., Page]) -> None:
    """Guards against: a wrong latency from a few stray notes, and one that is gone after a reload."""
    page = open_sound()
    measured = page.evaluate(
        """async () => {
            await sound.start();
            const wait = (ms) => new Promise((done) => setTimeout(done, ms));
            const start = performance.now() + 1000;
            const strikes = (took) => {
                for (let n = 0; n < 12; n += 1) if (n !== 7) took(start + 600 * n + 42 + (n % 3) - 1);
                took(start + 600 * 7 + 290);
                return () => {};
            };
            const ms = await playing.measure(strikes);
            const { Playing } = await import("/sound/playing.js");
            const none = await new Playing(t.store, sound).measure((took) => { took(start); return () => {}; });
            return [ms, none, new Playing(t.store, sound).latency()];
        }"""
    )
    ms, none, latency = measured
    assert ms == pytest.approx(42, abs=8)
    assert none is None
    assert latency["input"] == ms
    assert latency["measured"] is True
    assert latency["own"] >= 0


def test_a_page_that_loses_the_daemon_lets_its_keys_go(open_sound: Callable[..., Page]) -> None:
    """Guards against: a key that stays down on the page when the daemon comes back."""
    page = open_sound()
    page.evaluate("() => { playing.strike(60, 90); t.emit({ event: 'ended' }); }")
    assert played(page) == [(True, 60), (False, 60)]
    page.evaluate("() => { sound.tapped = playing.tap(); }")
    assert page.evaluate("() => t.requests.at(-1)") == {"do": "tap"}
