# SPDX-License-Identifier: Apache-2.0
"""The page as a musician sees it, in Chromium."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sideman.window.gate import Gate
from support.page import MODE, STATUS, TIMEOUT_S, ScriptedDaemon, coming, served_page

pytestmark = pytest.mark.browser

Page = Any
OpenPage = Callable[..., Page]
SIZES = [(360, 740), (740, 360), (768, 1024), (1280, 800)]
PANELS = ("sound", "songs", "takes", "ports", "settings", "card", "log", "page")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, ScriptedDaemon]]:
    """The page's server, and its daemon."""
    with served_page(tmp_path) as served:
        yield served


def shown(page: Page, selector: str, text: str) -> None:
    """Wait until an element says `text`."""
    page.locator(selector, has_text=text).first.wait_for(timeout=TIMEOUT_S * 1000)


def connected(page: Page) -> Page:
    """Wait until the page knows the modes: then it is connected and knows everything that comes first."""
    page.locator("#modes button").nth(4).wait_for(timeout=TIMEOUT_S * 1000)
    shown(page, "#chart td", "Dm7")
    return page


def test_a_page_shows_the_tune_the_tempo_and_whose_turn_it_is(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage
) -> None:
    """Guards against: a musician who looks at the page and does not know where the band is."""
    address, daemon = served
    page = connected(open_page(address))
    assert "Test Tune" in page.inner_text("#song")
    assert page.inner_text("#tempo") == "120 bpm"
    assert page.locator("#modes [aria-pressed=true]").inner_text().endswith("Trade")
    shown(page, "#turn-text", "sideman plays")
    shown(page, "#turn-text", "yours in")
    assert page.locator("#chart td button").nth(1).get_attribute("aria-label") == "bar 2, G 7, C 7"
    page.locator("#chart td.lit").wait_for()
    daemon.send(
        {"event": "doing", "doing": "listening", "second": 0.0}, {"event": "status", **STATUS, "doing": "listening"}
    )
    shown(page, "#turn-text", "Your turn")
    assert page.inner_text("#spoken") == "Your turn"


def test_a_touched_bar_is_gone_to_and_bars_that_are_dragged_over_are_repeated(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage
) -> None:
    """Guards against: a player who practises four bars and has to wait for the whole chorus."""
    address, daemon = served
    page = connected(open_page(address))
    bars = page.locator("#chart td button")
    bars.nth(2).click()
    assert daemon.wait_for("jump")["to"] == 3
    first, last = (bars.nth(number).bounding_box() for number in (1, 3))
    page.mouse.move(first["x"] + 5, first["y"] + 5)
    page.mouse.down()
    page.mouse.move(last["x"] + 5, last["y"] + 5, steps=5)
    assert page.locator("#chart td.chosen").count() == 3
    page.mouse.up()
    assert daemon.wait_for("loop")["bars"] == "2-4"
    looped = {**STATUS, "settings": {**STATUS["settings"], "practice.loop": "2-4"}, "practice": "bars 2-4 again"}
    daemon.send({"event": "status", **looped})
    page.locator("#chart td.looped").nth(2).wait_for()
    assert "bars 2-4 again" in page.inner_text("#chart .practice")
    page.click("#chart .practice button")
    daemon.wait_for("loop", lambda request: request["bars"] == "off")


def test_bars_are_chosen_with_the_keys_alone(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: practice that only a mouse can reach."""
    address, daemon = served
    page = connected(open_page(address))
    page.locator("#chart td button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert daemon.wait_for("jump")["to"] == 2
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    assert daemon.wait_for("loop")["bars"] == "2-3"


def test_the_first_touch_lets_it_sound_and_begins(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a first minute in silence."""
    address, daemon = served
    page = connected(open_page(address))
    daemon.send({"event": "status", **STATUS, "rolling": False})
    shown(page, "#roll-or-stop", "Start")
    page.click("#hear")
    daemon.wait_for("start")
    page.locator("#hear[aria-pressed=true]").wait_for()


def coloured(page: Page, kind: str) -> int:
    """How many points of the roll have the colour of a kind of note."""
    return int(
        page.evaluate(
            """(kind) => {
        const colour = getComputedStyle(document.documentElement).getPropertyValue(`--${kind}`).trim();
        const wanted = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
        const canvas = document.getElementById("roll");
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let at = 0; at < data.length; at += 4) {
            if (wanted.every((part, index) => Math.abs(part - data[at + index]) < 12) && data[at + 3] > 150) count += 1;
        }
        return count;
    }""",
            kind,
        )
    )


def wait_until(page: Page, condition: Callable[[], bool]) -> None:
    """Let the page draw until something holds."""
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        page.evaluate("() => new Promise(requestAnimationFrame)")


def test_notes_of_both_players_are_drawn_and_plans_are_taken_back(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage
) -> None:
    """Guards against: a roll that shows what will not sound, or not what does."""
    address, daemon = served
    page = connected(open_page(address))
    now = time.monotonic()
    tempo = {"event": "tempo", "bpm": 20.0, "beat": 0.0, "clock": "monotonic", "rolling": True, "second": now}
    planned = coming(5, second=now + 3, beat=1.0, beats=1.0, value="S,1.000,+2")
    daemon.send(
        tempo, planned, {"event": "heard", "beat": -1.0, "on": True, "pitch": 70, "velocity": 80, "second": now}
    )
    wait_until(page, lambda: coloured(page, "scale") > 20 and coloured(page, "you") > 20)
    daemon.send({"event": "taken_back", "notes": [5], "second": now})
    wait_until(page, lambda: coloured(page, "scale") == 0)
    daemon.send({**coming(6, second=now, beat=0.0, beats=2.0, value="A,2.000,+2"), "event": "played"})
    wait_until(page, lambda: coloured(page, "approach") > 20)


def test_a_note_that_takes_up_your_motif_is_marked(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a player who is answered with a motif of their own and cannot see it."""
    address, daemon = served
    page = connected(open_page(address))
    now = time.monotonic()
    tempo = {"event": "tempo", "bpm": 20.0, "beat": 0.0, "clock": "monotonic", "rolling": True, "second": now}
    daemon.send(tempo, coming(5, second=now + 3, beat=1.0, beats=1.0))
    wait_until(page, lambda: coloured(page, "chord") > 20)
    assert coloured(page, "motif") == 0
    daemon.send(coming(5, second=now + 3, beat=1.0, beats=1.0, motif=4))
    wait_until(page, lambda: coloured(page, "motif") > 20)
    shown(page, "#legend li", "takes up your motif")


def test_a_style_is_chosen_among_those_that_there_are(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a band that cannot play a bossa nova because its name has to be typed."""
    address, daemon = served
    mode = daemon.answers["get"]
    styles = {**MODE, "key": "play.style", "allowed": "auto or swing, bossa or plain"}
    daemon.answers["get"] = lambda request: styles if request.get("key") == "play.style" else mode(request)
    page = connected(open_page(address))
    daemon.send({"event": "changed", "values": {"play.style": "swing"}, "second": 0.0})
    picker = page.locator("[id='choice-play.style']")
    page.locator("[id='choice-play.style'] option").nth(3).wait_for(state="attached")
    wait_until(page, lambda: picker.input_value() == "swing")
    picker.select_option(label="bossa nova")
    assert daemon.wait_for("set")["value"] == "bossa"
    daemon.answers["set"] = "error: play.style: not now"
    picker.select_option("plain")
    shown(page, "#sliders .report", "not now")
    assert picker.input_value() == "swing"  # what the band still plays


def test_the_set_is_seen_changed_and_gone_through(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: an evening's songs that only the configuration file knows."""
    address, daemon = served
    page = connected(open_page(address))
    assert page.locator("#next").is_hidden()
    daemon.send({"event": "changed", "values": {"chart.set": ["blues", "waltz, in G"], "chart.song": 2}, "second": 0.0})
    page.click("#panel-songs summary")
    shown(page, ".set [aria-current]", "2. waltz, in G")
    page.click("#next")
    daemon.wait_for("next")
    page.locator(".set button", has_text="1. blues").click()
    assert daemon.wait_for("chart")["name"] == "1"
    page.fill("#song-of-set", "coda, 140 bpm")
    page.press("#song-of-set", "Enter")
    wanted = ["blues", "waltz, in G", "coda, 140 bpm"]
    assert daemon.wait_for("set")["value"] == {"set": wanted, "song": 2}
    daemon.send({"event": "changed", "values": {"chart.set": wanted, "chart.song": 2}, "second": 0.0})
    shown(page, ".set li", "3. coda")
    page.get_by_role("button", name="Take blues out of the set").click()
    daemon.wait_for("set", lambda request: request["value"] == {"set": wanted[1:], "song": 1})


def test_the_soloist_is_whom_the_player_chose_last(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a trumpet chosen every evening again; an `--instrument` that the page does not play."""
    address, daemon = served
    mode = daemon.answers["get"]
    program = {**MODE, "key": "midi.program", "value": 57}
    daemon.answers["get"] = lambda request: program if request.get("key") == "midi.program" else mode(request)
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    connected(page)
    wait_until(page, lambda: any(url.endswith("trumpet.ogg") for url in asked))
    page.click("#panel-sound summary")
    page.select_option("#instrument", "alto")
    wait_until(page, lambda: any(url.endswith("alto.ogg") for url in asked))
    asked.clear()
    page.reload()
    connected(page)
    wait_until(page, lambda: any(url.endswith("alto.ogg") for url in asked))
    assert page.locator("#instrument").input_value() == "alto"
    assert not any(url.endswith("trumpet.ogg") for url in asked)


def test_a_slider_that_is_dragged_ends_where_the_hand_left_it(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage
) -> None:
    """Guards against: a value that lags behind the hand, or a queue of values that the band still plays through."""
    address, daemon = served
    page = connected(open_page(address))
    slider = page.locator("[id='slider-play.temperature']")
    slider.wait_for()
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + box["height"] / 2, steps=30)
    page.mouse.up()
    last = daemon.wait_for("set", lambda request: request["value"] == 2)
    assert last["key"] == "play.temperature"
    assert slider.get_attribute("aria-valuetext") == "wild, 2"
    assert float(slider.input_value()) == 2
    daemon.send({"event": "changed", "values": {"play.temperature": 0.0}, "second": 0.0})  # by a knob
    page.locator("[id='slider-play.temperature'][aria-valuetext='safe, 0']").wait_for()


def test_an_older_value_does_not_move_a_slider_back(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a slider that springs back under the hand, and takes the band back with it."""
    address, daemon = served

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        for watcher in daemon._watchers:  # a status from before the change, on its way at the same time
            watcher.write(json.dumps({"event": "status", **STATUS}).encode() + b"\n")
        return {"changed": {request["key"]: request["value"]}}

    daemon.answers["set"] = answer
    page = connected(open_page(address))
    page.locator("[id='slider-play.velocity']").fill("20")
    daemon.wait_for("set")
    page.click("#again")  # when this has come, whatever follows the first answer has come, too
    daemon.wait_for("again")
    assert [each["value"] for each in daemon.requests if each["do"] == "set"] == [20]


def test_the_keys_steer_and_leave_fields_alone(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a player whose hands have to look for the mouse; a space in a chart that stops the band."""
    address, daemon = served
    page = connected(open_page(address))
    for key, request in ((" ", "stop"), ("t", "tap"), ("Escape", "panic")):
        page.keyboard.press(key)
        daemon.wait_for(request)
    page.keyboard.press("3")
    assert daemon.wait_for("mode")["mode"] == "answer"
    daemon.requests.clear()
    page.click("#panel-songs summary")
    page.locator("#changes").fill("")
    page.locator("#changes").press_sequentially("| Dm7 t 1 |")
    page.keyboard.press("Escape")
    daemon.wait_for("panic")
    assert not {each["do"] for each in daemon.requests} & {"tap", "stop", "start", "mode"}
    page.click("#tap")
    page.keyboard.press(" ")  # after a click the focus is not on the button
    daemon.wait_for("stop")


def test_what_the_daemon_refuses_stands_beside_the_setting(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage
) -> None:
    """Guards against: a value that was refused and still looks as if it held."""
    address, daemon = served
    daemon.answers["set"] = "error: play.temperature: 9: allowed is a number from 0 to 5"
    page = connected(open_page(address))
    page.click("#panel-settings summary")
    field = page.locator("[id='setting-play.temperature']")
    field.fill("9")
    field.press("Enter")
    shown(page, "[id='error-play.temperature']", "allowed is a number from 0 to 5")
    assert field.get_attribute("aria-invalid") == "true"
    assert page.locator("[id='setting-midi.channel']").is_disabled()
    page.fill("#search", "channel")
    assert page.locator(".setting:visible").count() == 1


def test_names_of_others_are_only_text(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a chart from somewhere whose title runs in the page."""
    address, daemon = served
    evil = "<img src=x onerror=document.title='evil'><script>document.title='evil'</script>"
    daemon.answers["charts"], daemon.answers["card"] = [evil], {"card": evil}
    page = connected(open_page(address))
    chart = {
        "title": evil,
        "composer": evil,
        "key": evil,
        "meter": "x/0",
        "meters": [[0, "0/0"]],
        "sections": [[0, evil]],
    }
    daemon.send({"event": "log", "level": evil, "text": evil}, {"event": "chart", **chart, "bars": [[evil], []]})
    for name in ("songs", "card", "log"):
        page.click(f"#panel-{name} summary")
    shown(page, "#panel-songs button", evil)
    shown(page, "#chart td", evil)
    shown(page, "#panel-log li", evil)
    assert page.title() == "sideman"


TAKE = bytes.fromhex(
    "4d546864 00000006 0000 0001 01e0"  # a MIDI file of one track, 480 ticks a quarter
    "4d54726b 0000000d 00 903c40 9c00 803c40 00 ff2f00"  # a note of 3584 ticks, 3.7 s
)


def piece_of(data: bytes, length: int = 7) -> Callable[[dict[str, Any]], Any]:
    """Answers the request `take`, a few bytes at a time."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        offset = request["offset"]
        text = base64.b64encode(data[offset : offset + length]).decode()
        return {"name": request["name"], "form": request["form"], "size": len(data), "offset": offset, "data": text}

    return answer


@pytest.mark.parametrize("form", ["mid", "musicxml", "wav"])
def test_a_take_is_downloaded_in_each_form(served: tuple[str, ScriptedDaemon], open_page: OpenPage, form: str) -> None:
    """Guards against: a solo that cannot be taken home, or comes cut off."""
    address, daemon = served
    daemon.answers["takes"] = [{"name": "solo", "written": 1.8e9, "size": len(TAKE)}]
    daemon.answers["take"] = piece_of(TAKE)
    page = connected(open_page(address))
    page.click("#panel-takes summary")
    what = {"mid": "Download MIDI", "musicxml": "Download score", "wav": "Download sound"}[form]
    with page.expect_download() as download:
        page.get_by_role("button", name=f"{what}: solo").click()
    assert download.value.suggested_filename == f"solo.{form}"
    assert Path(download.value.path()).read_bytes() == TAKE
    assert {each["form"] for each in daemon.requests if each["do"] == "take"} == {form}
    for refusal in ("fluidsynth is not installed", "solo.wav: no space left on device"):
        daemon.answers["take"] = f"error: {refusal}"
        page.get_by_role("button", name=f"{what}: solo").click()
        shown(page, ".takes li .report", refusal)
    assert page.get_by_role("button", name=f"{what}: solo").is_enabled()


def test_a_take_that_is_deleted_while_it_plays_plays_on(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage
) -> None:
    """Guards against: a page that stands still, or plays for ever, when another window has tidied up."""
    address, daemon = served
    daemon.answers["takes"] = [{"name": "solo", "written": 1.8e9, "size": len(TAKE)}]
    daemon.answers["take"] = piece_of(TAKE)
    page = connected(open_page(address))
    page.click("#panel-takes summary")
    play = page.get_by_role("button", name="Play: solo")
    play.click()
    page.locator(".takes canvas:visible").wait_for()
    page.locator("#hear[aria-pressed=true]").wait_for()
    daemon.answers["take"], daemon.answers["takes"] = "error: solo.mid: no such file", []
    play.click()
    shown(page, ".takes li .report", "no such file")
    page.get_by_role("button", name="Stop the take").click()
    page.get_by_role("button", name="Keep the last minutes").click()  # lists them again
    shown(page, "#panel-takes", "There is no take yet.")
    assert page.locator(".takes li").count() == 0


def test_how_late_notes_leave_is_shown_apart_from_how_late_the_page_learns_of_them(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage
) -> None:
    """Guards against: a player who looks for a fault of the MIDI port because the browser was slow."""
    address, daemon = served
    page = connected(open_page(address))
    now = time.monotonic() - 10
    for number, late_ms in enumerate((0.2, 0.3, 3.0)):  # sent then, and reported ten seconds later
        note = {**coming(number, second=now, voice="bass"), "event": "played", "sent": now + late_ms / 1000}
        daemon.send(note)
    daemon.send({**coming(9, second=now, voice="bass"), "event": "played"})  # an older daemon does not say it
    page.click("#panel-ports summary")
    rows = page.locator("#panel-ports h3", has_text="How late notes leave").locator("xpath=following-sibling::ul[1]/li")
    learned = page.locator("#panel-ports h3", has_text="this page learns").locator("xpath=following-sibling::ul[1]/li")
    wait_until(page, lambda: [int(row.split()[-1]) for row in rows.all_inner_texts()] == [2, 0, 0, 1, 0, 0, 0])
    wait_until(page, lambda: [int(row.split()[-1]) for row in learned.all_inner_texts()] == [0] * 7 + [4])


def test_rows_that_change_stay_the_same_elements(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a page that takes more memory with each line, and a reader that loses its place in it."""
    address, daemon = served
    page = connected(open_page(address))
    page.click("#panel-ports summary")
    page.click("#panel-log summary")

    def happens(name: str, number: int, pitch: int, pitch_name: str) -> None:
        option = {"value": "C,0.500,+2", "pitch": pitch, "probability": 0.3}
        daemon.send(
            {"event": "choices", "beat": 1.0, "options": [option]}, {"event": "log", "level": "info", "text": name},
            {**coming(number, second=1.0, voice="bass"), "event": "played", "sent": 1.0},
        )  # fmt: skip
        shown(page, "#panel-log li:first-child", name)
        shown(page, "#choices li b", pitch_name)
        shown(page, "#panel-ports .bars li:first-child span:last-child", str(number))

    happens("first", 1, 60, "C4")
    page.evaluate("() => document.querySelectorAll('li').forEach((each) => { each.seen = true; })")
    happens("second", 2, 62, "D4")
    unseen = "[...document.querySelectorAll('li')].filter((each) => !each.seen)"
    new = page.evaluate(f"() => {unseen}.map((each) => each.innerText)")
    assert new == ["second"]
    assert page.locator("#panel-log li").all_inner_texts()[:2] == ["second", "first"]


def test_two_pages_see_the_same(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a phone on the stand that does not follow the laptop."""
    address, daemon = served
    pages = [connected(open_page(address)) for _ in range(2)]
    pages[0].locator("#modes button").nth(3).click()
    daemon.wait_for("mode")
    daemon.send({"event": "mode", "mode": "duet", "beat": 4.0, "second": 0.0})
    for page in pages:
        page.locator("#modes button[value=duet][aria-pressed=true]").wait_for()


def test_a_killed_daemon_is_said_and_a_new_one_is_found(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage
) -> None:
    """Guards against: notes that sound on after the daemon was killed; a page to be loaded again after each restart."""
    address, daemon = served
    page = connected(open_page(address))
    page.click("#hear")
    page.locator("#hear[aria-pressed=true]").wait_for()
    daemon.send(coming(1, second=time.monotonic() + 60, beat=120.0))
    daemon.stop()
    shown(page, "#trouble", "sideman ")
    assert page.locator("#panic").is_disabled()
    shown(page, "#trouble", "No sideman plays")
    daemon.start()
    page.locator("#trouble").wait_for(state="hidden")
    page.locator("#panic:enabled").wait_for()
    page.click("#panic")
    daemon.wait_for("panic")


def test_a_daemon_of_an_older_version_is_named(tmp_path: Path, open_page: OpenPage) -> None:
    """Guards against: a page that is empty and does not say why."""
    with served_page(tmp_path, version=1) as (address, _):
        page = connected(open_page(address))
        shown(page, "#trouble", "older than this page")
        assert "Test Tune" in page.inner_text("#song")


def test_without_the_token_the_page_says_what_it_lacks(tmp_path: Path, open_page: OpenPage) -> None:
    """Guards against: a phone that shows an empty page, because a letter of the address is missing."""
    with served_page(tmp_path, Gate.of("127.0.0.1")) as (address, daemon):
        connected(open_page(address))
        daemon.wait_for("watch")
        page = open_page(address.split("#")[0])
        shown(page, "#trouble", "token")
        assert [each["do"] for each in daemon.requests].count("watch") == 1  # that of the page with the token


def test_ten_thousand_events_do_not_stop_the_page(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a page that hangs, or grows, when much happens."""
    address, daemon = served
    page = connected(open_page(address))
    now = time.monotonic()
    notes = ({**coming(number, second=now, beat=number / 50), "event": "played"} for number in range(1, 10_001))
    daemon.send(
        *notes,
        {
            "event": "beat",
            **{name: STATUS[name] for name in ("bar", "top", "form_bar", "chorus", "chord")},
            "beat": 200,
            "next_chord": "the end",
        },
    )
    daemon.send({"event": "mode", "mode": "off", "beat": 4.0, "second": 0.0})
    page.locator("#modes button[value=off][aria-pressed=true]").wait_for()
    page.click("#again")
    daemon.wait_for("again")


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing(served: tuple[str, ScriptedDaemon], open_page: OpenPage, scheme: str, language: str) -> None:
    """Guards against: a page that a blind player, or one who sees little, cannot use."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    address, daemon = served
    option = {"value": "C,0.500,+2", "pitch": 64, "probability": 0.38}
    for width, height in (SIZES[0], SIZES[-1]):
        page = connected(open_page(address, width, height, color_scheme=scheme, locale=language))
        daemon.send(
            {"event": "choices", "beat": 1.0, "options": [option]}, {"event": "log", "level": "error", "text": "so"}
        )
        for name in PANELS:
            page.click(f"#panel-{name} summary")
        page.locator(".setting").first.wait_for()
        page.locator("#choices li").first.wait_for()
        found = axe.Axe().run(page).response["violations"]
        assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_is_cut_off_at_any_size(
    served: tuple[str, ScriptedDaemon], open_page: OpenPage, width: int, height: int
) -> None:
    """Guards against: a phone on which half of the buttons are beside the screen."""
    address, _ = served
    for language in ("en-GB", "zh-CN"):
        page = connected(open_page(address, width, height, locale=language))
        for name in PANELS:
            page.click(f"#panel-{name} summary")
        page.locator(".setting").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for button in page.locator("#transport button:visible, #hear").all():
            box = button.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["height"] >= 40


def test_the_page_asks_nobody_else(served: tuple[str, ScriptedDaemon], open_page: OpenPage) -> None:
    """Guards against: a stranger who learns who plays when; a page that does not work without the internet."""
    address, _ = served
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    connected(page).click("#hear")
    page.locator("#hear[aria-pressed=true]").wait_for()
    assert {urlsplit(url).netloc for url in asked if not url.startswith("blob:")} == {urlsplit(address).netloc}
