# SPDX-License-Identifier: Apache-2.0
"""The inbox on a clock that stands still: what goes first, what waits and what is left out of a flood."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.actions import Panic, PlayVariation, Start, Stop
from sideman.core.events import (
    ChangeSettings,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    ControlChange,
    EventSent,
    MidiEvent,
    NoteOff,
    NoteOn,
    PitchBend,
    ProgramChange,
    SetMode,
)
from sideman.playing.inbox import PANIC_PAUSE_S, QUIET_S, Inbox
from sideman.playing.overload import (
    BURST,
    MAX_HELD,
    MAX_NOTES_PER_SECOND,
    MAX_TICKS_PER_SECOND,
    MAX_WAITING,
    NOTE_BURST,
    TICK_BURST,
    Arrival,
    Sender,
)
from sideman.playing.player import Player
from support.fakes import FakeClock, RecordingOutput, hanging_notes, performance

Item = MidiEvent | Command | None


class Post:
    """An inbox whose clock stands at `second`, but for a nanosecond each time somebody looks at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.second, self.sender = 100.0, 1
        monkeypatch.setattr("sideman.playing.inbox.time.monotonic", self._look)
        self.pauses = list[float]()
        monkeypatch.setattr("sideman.playing.inbox.time.sleep", self.pauses.append)
        monkeypatch.setattr("sideman.playing.inbox.threading.get_ident", lambda: self.sender)
        self.inbox = Inbox()
        self.inbox._queue = self  # type: ignore[assignment]
        self._waiting = queue.SimpleQueue[object]()
        self.empty, self.qsize = self._waiting.empty, self._waiting.qsize

    def get(self, timeout: float) -> object:
        """As a queue does, but the time jumps."""
        if self._waiting.empty():
            self.second += timeout
        return self._waiting.get_nowait()

    def _look(self) -> float:
        self.second += 1e-9
        return self.second

    def put(self, entry: object) -> None:
        """As a queue does."""
        self._waiting.put(entry)

    def send(self, *items: Item, sender: int = 1) -> None:
        """Let a sender put items into the inbox."""
        self.sender = sender
        for item in items:
            self.inbox.put(item)

    def take(self) -> Item | str:
        """The next item, or `nothing`."""
        arrival = self.inbox.wait(self.second + 3e-9)
        return "nothing" if arrival is None else arrival.item

    def take_all(self, seconds: float = 0.0) -> list[Item]:
        """Everything that can be taken within some seconds."""
        taken, until = list[Item](), self.second + seconds
        while True:
            arrival = self.inbox.wait(max(until, self.second + 3e-9))
            if arrival is None:
                return taken
            taken.append(arrival.item)


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    """An inbox."""
    return Post(monkeypatch)


def _notes(count: int, channel: int = 1) -> list[Item]:
    pairs = ((NoteOn(number % 128, 80, channel), NoteOff(number % 128, channel)) for number in range(count))
    return [item for pair in pairs for item in pair]


def test_more_is_waited_for_until_a_second(post: Post) -> None:
    """Guards against: a chord of which only the first note is heard before the next choice."""
    later = post.second + 0.003
    assert post.inbox.has_more(later)
    post.second = later
    assert not post.inbox.has_more(later)
    post.inbox.put(NoteOn(60, 80, 1))
    assert post.inbox.has_more(later)


def test_the_end_and_a_panic_overtake_a_flood(post: Post) -> None:
    """Guards against: seconds from SIGTERM or a panic to silence, because ten thousand notes were there before."""
    post.send(*_notes(10_000))
    post.send(Stop(), Panic(), None, sender=2)
    assert [post.take(), post.take(), post.take()] == [None, Panic(), Stop()]


def test_what_is_due_goes_before_what_has_come_in(post: Post) -> None:
    """Guards against: our note that waits until a flood has been heard."""
    post.send(*_notes(100))
    assert post.inbox.wait(post.second) is None
    post.send(None)
    stop = post.inbox.wait(post.second)
    assert stop is not None
    assert stop.item is None


def test_a_flood_keeps_away_from_what_is_due(post: Post) -> None:
    """Guards against: a note that waits until the thread of a flood, which holds the interpreter, runs again."""
    assert post.inbox.wait(post.second + 0.001) is None
    post.send(*[NoteOn(60, 80, 1)] * NOTE_BURST)
    assert not post.pauses
    post.send(NoteOn(60, 80, 1))
    (pause,) = post.pauses
    assert pause == pytest.approx(QUIET_S, abs=1e-3)
    post.second += 1.0
    post.send(*[NoteOn(60, 80, 1)] * (NOTE_BURST + 1))
    assert len(post.pauses) == 1


def test_many_panics_are_few(post: Post) -> None:
    """Guards against: a storm of panics whose messages fill the port's buffer; and against a last one that is lost."""
    post.send(*[Panic()] * 1000)
    assert post.take_all() == [Panic()]
    post.send(*[Panic()] * 1000)
    assert post.take_all() == []
    post.second += PANIC_PAUSE_S
    assert post.take_all() == [Panic()]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([Start(), Stop(), NoteOn(60, 80, 1)]), max_size=40))
def test_the_last_of_start_and_stop_counts(items: list[Item]) -> None:
    """Guards against: music that starts again after a stop, because the stop overtook an earlier start."""
    with pytest.MonkeyPatch.context() as patch:
        post = Post(patch)
        post.send(*items)
        asked = [item for item in items if isinstance(item, Start | Stop)]
        taken = [item for item in post.take_all(1.0) if isinstance(item, Start | Stop)]
        assert taken[-1:] == asked[-1:]


def test_one_sender_does_not_keep_out_another(post: Post) -> None:
    """Guards against: a wild keyboard that makes sideman deaf to the other one and to `sideman ctl`."""
    post.send(*_notes(10_000))
    mine: list[Item] = [NoteOn(1, 80, 9), NoteOff(1, 9), ControlChange(1, 5, 9), SetMode("duet")]
    post.send(*mine, sender=2)
    taken = post.take_all()
    assert [item for item in taken if item in mine] == mine
    assert len(taken) <= MAX_WAITING + BURST + len(mine)


messages = st.one_of(
    st.builds(NoteOn, st.integers(60, 64), st.just(80), st.integers(1, 2)),
    st.builds(NoteOff, st.integers(60, 64), st.integers(1, 2)),
    st.builds(ControlChange, st.sampled_from([1, 7, 64]), st.integers(0, 127), st.integers(1, 2)),
    st.builds(PitchBend, st.integers(-8192, 8191), st.integers(1, 2)),
    st.builds(ProgramChange, st.integers(0, 127), st.integers(1, 2)),
    st.sampled_from([ClockStart(), ClockStop()]),
    st.builds(SetMode, st.sampled_from(["solo", "duet", "off"])),
    st.builds(lambda key, value: ChangeSettings(((key, value),)), st.sampled_from("ab"), st.integers(0, 9)),
)


def _kind(item: Item) -> object:
    if isinstance(item, ClockStart | ClockStop):
        return "clock"
    return type(item), getattr(item, "number", 0), getattr(item, "channel", 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(messages, max_size=60), st.integers(0, 3))
def test_beyond_the_budget_no_key_stays_down_and_the_last_value_counts(items: list[Item], senders: int) -> None:
    """Guards against: a key that seems to be held for ever, or a knob that stands elsewhere than it shows."""
    with pytest.MonkeyPatch.context() as patch:
        post = Post(patch)
        for sender in range(senders + 1):
            post.send(*[NoteOff(1, 16)] * BURST, sender=sender)
        for number, item in enumerate(items):
            post.send(item, sender=number % (senders + 1) if isinstance(item, NoteOn | NoteOff) else 0)
        down = {(item.pitch, item.channel) for item in items if isinstance(item, NoteOn)}
        post.send(*(NoteOff(*key) for key in sorted(down)))
        taken = post.take_all(1.0)
        held = set[tuple[int, int]]()
        for item in taken:
            if isinstance(item, NoteOn):
                held.add((item.pitch, item.channel))
            elif isinstance(item, NoteOff):
                held.discard((item.pitch, item.channel))
        assert not held
        last = {_kind(item): item for item in items if not isinstance(item, NoteOn | NoteOff | ChangeSettings)}
        assert {_kind(item): item for item in taken if _kind(item) in last} == last
        asked, given_to = dict[str, object](), dict[str, object]()
        for wanted, found in ((asked, items), (given_to, taken)):
            for item in found:
                if isinstance(item, ChangeSettings):
                    wanted.update(item.values)
        assert asked == given_to


def _data_entry(parameter: int, value: int) -> list[Item]:
    pairs = ((99, parameter >> 7), (98, parameter & 127), (6, value), (38, value))
    return [ControlChange(number, data, 1) for number, data in pairs]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 127)), min_size=1, max_size=12), st.integers(0, 600))
def test_a_value_reaches_the_parameter_that_it_is_for(moves: list[tuple[int, int]], within: int) -> None:
    """Guards against: a storm after which a knob that sends NRPN turns another knob's setting."""
    with pytest.MonkeyPatch.context() as patch:
        post = Post(patch)
        post.send(*[NoteOff(1, 16)] * (BURST - within))
        for parameter, value in moves:
            post.send(*_data_entry(parameter, value))
        selected, values = dict[int, int](), dict[tuple[int, int], int]()
        for item in post.take_all(1.0):
            if isinstance(item, ControlChange) and item.number in (98, 99):
                selected[item.number] = item.value
            elif isinstance(item, ControlChange):
                values[selected[99] << 7 | selected[98], item.number] = item.value
        assert values == {(parameter, number): value for parameter, value in moves for number in (6, 38)}
        assert selected[99] << 7 | selected[98] == moves[-1][0]


def test_no_tick_of_a_clock_is_lost_in_a_storm_of_notes(post: Post) -> None:
    """Guards against: music that falls behind the clock it follows while somebody leans on a keyboard."""
    ticks = 0
    for _ in range(40):  # at 400 bpm
        post.second += 0.15
        post.send(*_notes(1000), *[ClockTick()] * 24)
        ticks += sum(item == ClockTick() for item in post.take_all())
    assert ticks == 40 * 24


def test_a_clock_at_ten_thousand_ticks_a_second_is_bounded(post: Post) -> None:
    """Guards against: memory and a processor that a broken clock uses up."""
    post.send(*[ClockTick()] * 10_000)
    taken = post.take_all()
    assert len(taken) == TICK_BURST
    assert post.inbox.overload.ticks == 10_000 - TICK_BURST


@pytest.mark.parametrize(
    "flood",
    [
        lambda number: NoteOn(number % 128, 80, 1 + number // 128 % 16),
        lambda number: ControlChange(number % 128, number // 128 % 128, 1 + number % 16),
        lambda number: ControlChange((99, 98, 6)[number % 3], number // 3 % 128, 1 + number // 384 % 16),
        lambda number: ProgramChange(number % 128, 1),
        lambda _: ClockTick(),
        lambda number: SetMode("solo", now=bool(number % 2)),
        lambda _: PlayVariation(),
        lambda _: Panic(),
        lambda number: ChangeSettings(((f"key{number % 20}", number),)),
    ],
)
def test_nobody_who_takes_nothing_makes_the_inbox_grow(post: Post, flood: Callable[[int], Item]) -> None:
    """Guards against: a process that grows until the system kills it, and all notes with it."""
    for number in range(10_000):
        post.second += 0.0001
        post.send(flood(number))
    keys = 128 * 16
    assert post.inbox._queue.qsize() <= MAX_WAITING + TICK_BURST + keys + 2
    assert sum(len(sender._held) for sender in post.inbox._senders.values()) <= MAX_HELD


def test_while_reports_pile_up_only_the_necessary_is_taken_in(post: Post) -> None:
    """Guards against: reports that pile up because the disk is slow, until the memory is full."""
    post.send(NoteOn(60, 80, 1))
    post.inbox.is_behind = lambda: True
    post.send(NoteOn(61, 80, 1), NoteOff(61, 1), NoteOff(60, 1), None)
    assert post.take_all() == [None, NoteOn(60, 80, 1), NoteOff(60, 1)]
    assert post.inbox.overload.notes == 1


def test_threads_that_come_and_go_leave_nothing(post: Post) -> None:
    """Guards against: a daemon that grows with each port that was unplugged, and forgets what it has left out."""
    for sender in range(60):
        post.send(*[NoteOn(60, 80, 1)] * (NOTE_BURST + 1), sender=sender)
        post.take_all()
    assert len(post.inbox._senders) <= 32
    assert post.inbox.overload.notes == 60


def test_what_was_held_back_comes_by_itself() -> None:
    """Guards against: the last value of a fader that is heard only when something else is played."""
    inbox = Inbox()
    for value in range(BURST + 100):
        inbox.put(ControlChange(1, value % 128, 1))
    taken: list[Item] = []
    while (arrival := inbox.wait(inbox.now() + 60.0)) is not None:
        taken.append(arrival.item)
        if arrival.item == ControlChange(1, (BURST + 99) % 128, 1) and not inbox._holders:
            break
    assert taken[-1] == ControlChange(1, (BURST + 99) % 128, 1)


def test_a_waiting_player_is_woken_by_every_kind(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a panic that takes effect when the player's longest sleep is over."""
    monkeypatch.undo()
    for item in (None, Panic(), Stop(), NoteOn(60, 80, 1), SetMode("duet")):
        inbox, taken = Inbox(), list[Arrival | None]()
        thread = threading.Thread(target=lambda inbox=inbox, taken=taken: taken.append(inbox.wait(inbox.now() + 60.0)))
        thread.start()
        inbox.put(item)
        thread.join(60.0)
        assert taken[0] is not None
        assert taken[0].item == item


@given(st.lists(st.floats(0, 0.01), max_size=200))
def test_a_budget_is_kept(steps: list[float]) -> None:
    """Guards against: a flood in small portions that gets around the budget."""
    sender, second, admitted = Sender(set()), 0.0, 0
    for step in [*steps, *[0.0] * 600]:
        second += step
        admitted += sender.admit(Arrival(second, NoteOn(60, 80, 1)))
        sender.taken = sender._admitted
    assert admitted <= NOTE_BURST + MAX_NOTES_PER_SECOND * second + 1
    assert MAX_TICKS_PER_SECOND > 6 * 400 / 60 * 24


class _FloodedClock(FakeClock):
    """A clock on which something has always come in already."""

    def __init__(self, flood: Iterable[Arrival], cost_s: float) -> None:
        super().__init__()
        self._flood, self._cost_s = iter(flood), cost_s

    def wait(self, until: float) -> Arrival | None:
        """What comes next of the flood costs time; what is due goes first."""
        if self.second >= until:
            return super().wait(until)
        self.second += self._cost_s
        return next(self._flood)


def test_no_note_waits_for_a_flood() -> None:
    """Guards against: notes that are late because the player first hears everything that has come in."""
    flood = (Arrival(0.0, ControlChange(1, number % 128, 5)) for number in range(10**9))
    clock = _FloodedClock((each if number < 20_000 else Arrival(0.0, None) for number, each in enumerate(flood)), 3e-4)
    recorder = RecordingOutput(clock)
    Player(performance(play__rate="sixteenth").make_engine(0.0), recorder, clock, recorder.reports.append).run()
    due = [report.second for report in recorder.reports if isinstance(report, EventSent)]
    late = [sent - meant for (sent, _), meant in zip(recorder.sent, due, strict=False)]
    assert len(due) > 40
    assert max(late) < 1e-9
    assert not hanging_notes(message for _, message in recorder.sent)
