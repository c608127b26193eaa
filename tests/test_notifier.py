"""Wake-ups: nobody is forgotten, nobody is woken for nothing, a burst is one."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import TestCase

from synapse_lite.notifier import Listener, Notifier
from synapse_lite.storage.memberships import RoomMembers
from synapse_lite.streams import (
    CURRENT_STATE_DELTAS,
    EVENTS,
    PRESENCE,
    TYPING,
    EventRow,
    PresenceRow,
    TypingRow,
    Wakes,
)
from synapse_lite.util.background import start
from synapse_lite.util.caches.missing import MISSING
from synapse_lite.util.clock import Clock

ALICE, BOB = "@alice:test", "@bob:test"
ROOM = "!room:test"


class Members:
    """The cached read of who is in a room; `known` is what is kept, `reading` what is not."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.reading: Deferred[RoomMembers] = Deferred()

    def peek(self, key: tuple[str]) -> Any:
        return self.known.get(key[0], MISSING)

    async def __call__(self, room_id: str) -> RoomMembers:
        if room_id in self.known:
            known: RoomMembers = self.known[room_id]
            return known
        return await self.reading


class Store:
    """As much of a store as the notifier asks."""

    def __init__(self) -> None:
        self.get_room_members = Members()
        self.get_rooms_for_user = Members()
        self.rooms_of: dict[str, set[str]] = {}
        self.asked_for: list[set[str]] = []
        self.positions = {EVENTS.counter.name: 0, TYPING.counter.name: 0, PRESENCE.counter.name: 0}
        self.listener: Any = None
        self.restarted: Any = None

    def follow(self, listener: Any) -> None:
        self.listener = listener

    def follow_restarts(self, listener: Any) -> None:
        self.restarted = listener

    def position(self, counter: Any) -> int:
        return self.positions[counter.name]

    def wakes(self, stream: Any, rows: Any) -> Wakes:
        found = [stream.wakes(row) for row in rows]
        return Wakes(
            tuple(room for wake in found for room in wake.rooms),
            tuple(user for wake in found for user in wake.users),
            tuple(user for wake in found for user in wake.sharing),
        )

    async def get_joined_rooms_of_users(self, user_ids: Any) -> set[str]:
        self.asked_for.append(set(user_ids))
        return set().union(*(self.rooms_of.get(user_id, set()) for user_id in user_ids))


class NotifierCase(TestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.store = Store()
        hs: Any = SimpleNamespace(clock=Clock(self.reactor), part=lambda cls: self.store)
        self.notifier = Notifier(hs)
        self.store.get_room_members.known[ROOM] = RoomMembers("test", {ALICE: "join"})

    def listen(self, user_id: str = ALICE) -> Listener:
        listener = self.notifier.listen(user_id)
        listener.__enter__()
        self.addCleanup(listener.__exit__, None, None, None)
        return listener

    def wait(self, listener: Listener, seconds: float = 30) -> Deferred[bool]:
        return start(listener.wait(self.reactor.seconds() + seconds))

    def message(self, token: int, *, readable: bool = True) -> None:
        if readable:
            self.store.positions["events"] = token
        row = EventRow(f"${token}", ROOM, "m.room.message", None, None)
        self.store.listener(EVENTS, token, [row])

    def turn(self) -> None:
        for _ in range(3):
            self.reactor.advance(0)


class NotifierTests(NotifierCase):
    def test_wakes_members_only(self) -> None:
        alice, bob = self.wait(self.listen()), self.wait(self.listen(BOB))
        self.message(1)
        self.turn()
        self.assertIs(self.successResultOf(alice), True)
        self.assertNoResult(bob)
        bob.cancel()
        self.failureResultOf(bob)

    def test_member_named_in_an_event_is_woken_without_being_in_the_room(self) -> None:
        bob = self.wait(self.listen(BOB))
        self.store.positions["events"] = 1
        row = EventRow("$1", ROOM, "m.room.member", BOB, None, "invite")
        self.store.listener(EVENTS, 1, [row])
        self.turn()
        self.assertIs(self.successResultOf(bob), True)

    def test_news_between_a_look_and_the_wait_is_not_lost(self) -> None:
        listener = self.listen()
        self.message(1)
        self.turn()
        self.assertIs(self.successResultOf(self.wait(listener)), True)
        waiting = self.wait(listener)
        self.assertNoResult(waiting)
        self.message(2)
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)

    def test_rows_are_held_back_until_all_streams_of_the_counter_are_there(self) -> None:
        waiting = self.wait(self.listen())
        self.message(5, readable=False)
        self.turn()
        self.assertNoResult(waiting)
        self.store.positions["events"] = 5
        self.store.listener(CURRENT_STATE_DELTAS, 5, [])
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)

    def test_who_comes_while_rows_are_held_back_is_woken_too(self) -> None:
        self.message(5, readable=False)
        waiting = self.wait(self.listen())
        self.store.positions["events"] = 5
        self.store.listener(CURRENT_STATE_DELTAS, 5, [])
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)

    def test_burst_is_one_wake_up(self) -> None:
        listener = self.listen()
        waiting = self.wait(listener)
        for token in range(1, 6):
            self.message(token)
        self.store.positions["typing"] = 9
        self.store.listener(TYPING, 9, [TypingRow(ROOM, [BOB])])
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)
        again = self.wait(listener)
        self.turn()
        self.assertNoResult(again)

    def test_unknown_members_are_read_first(self) -> None:
        del self.store.get_room_members.known[ROOM]
        waiting = self.wait(self.listen())
        self.message(1)
        self.turn()
        self.assertNoResult(waiting)
        self.store.get_room_members.reading.callback(RoomMembers("test", {ALICE: "join"}))
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)

    def test_when_members_cannot_be_read_everybody_is_woken(self) -> None:
        del self.store.get_room_members.known[ROOM]
        waiting = self.wait(self.listen(BOB))
        self.message(1)
        with self.assertLogs("synapse_lite.util.background", "ERROR"):
            self.store.get_room_members.reading.errback(RuntimeError("the database is away"))
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)

    def test_restart_of_a_stream_wakes_everybody(self) -> None:
        waiting = self.wait(self.listen(BOB))
        self.store.restarted()
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)

    def test_time_is_up(self) -> None:
        listeners = [self.listen() for _ in range(3)]
        waiting = [self.wait(listener, 1.02) for listener in listeners]
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.reactor.advance(1.0)
        self.assertNoResult(waiting[0])
        self.reactor.advance(0.15)
        self.assertEqual([self.successResultOf(each) for each in waiting], [False] * 3)

    def test_all_requests_of_a_user_are_woken(self) -> None:
        waiting = [self.wait(self.listen()) for _ in range(2)]
        self.message(1)
        self.turn()
        self.assertEqual([self.successResultOf(each) for each in waiting], [True, True])

    def test_many_are_woken_in_several_turns(self) -> None:
        users = [f"@user{number}:test" for number in range(250)]
        self.store.get_room_members.known[ROOM] = RoomMembers("test", dict.fromkeys(users, "join"))
        waiting = [self.wait(self.listen(user)) for user in users]
        turns = []
        original = self.reactor.callLater

        def call_later(delay: float, *args: Any) -> Any:
            turns.append(sum(each.called for each in waiting))
            return original(delay, *args)

        self.patch(self.reactor, "callLater", call_later)
        self.message(1)
        self.turn()
        self.assertTrue(all(each.called for each in waiting))
        self.assertEqual(turns, [0, 100, 200])

    def test_waiting_takes_little_memory(self) -> None:
        count = 1000
        users = [f"@user{number}:test" for number in range(count)]
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        listeners = [self.notifier.listen(user) for user in users]
        for listener in listeners:
            listener.__enter__()
            self.notifier._begin_wait(listener, self.reactor.seconds() + 30)
        after, _ = tracemalloc.get_traced_memory()
        self.assertLess((after - before) / count, 700)

    def test_nothing_is_left_of_who_has_gone(self) -> None:
        with self.notifier.listen(ALICE) as listener:
            waiting = self.wait(listener)
            self.assertEqual(len(self.notifier), 1)
            waiting.cancel()
            self.failureResultOf(waiting)
        self.assertEqual(len(self.notifier), 0)
        self.message(1)
        self.turn()
        self.reactor.advance(60)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class SharingTests(NotifierCase):
    """Wake-ups of those who share a room with somebody."""

    def setUp(self) -> None:
        super().setUp()
        self.store.rooms_of[BOB] = {ROOM}
        self.store.get_rooms_for_user.known[BOB] = {ROOM: None}
        members = dict.fromkeys((ALICE, BOB), "join")
        self.store.get_room_members.known[ROOM] = RoomMembers("test", members)

    def presence(self, *user_ids: str) -> None:
        token = self.store.positions["presence"] = self.store.positions["presence"] + 1
        rows = [PresenceRow(user_id, "online", 1, 1, 1, None, True) for user_id in user_ids]
        self.store.listener(PRESENCE, token, rows)

    def test_those_who_share_a_room_are_woken(self) -> None:
        alice, carol = self.wait(self.listen()), self.wait(self.listen("@carol:test"))
        self.presence(BOB)
        self.turn()
        self.assertIs(self.successResultOf(alice), True)
        self.assertNoResult(carol)

    def test_after_a_wake_up_there_is_a_pause(self) -> None:
        listener = self.listen()
        waiting = self.wait(listener)
        self.presence(BOB)
        self.turn()
        self.successResultOf(waiting)
        waiting = self.wait(listener)
        for _ in range(50):
            self.presence(BOB)
        self.turn()
        self.assertNoResult(waiting)
        self.reactor.advance(0.5)
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)
        self.assertEqual(self.store.asked_for, [{BOB}, {BOB}])

    def test_other_news_do_not_wait(self) -> None:
        listener = self.listen()
        self.presence(BOB)
        self.turn()
        self.successResultOf(self.wait(listener))
        waiting = self.wait(listener)
        self.presence(BOB)
        self.message(1)
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)

    def test_the_more_are_woken_the_longer_is_the_pause(self) -> None:
        users = [f"@user{number}:test" for number in range(400)]
        self.store.get_room_members.known[ROOM] = RoomMembers("test", dict.fromkeys(users, "join"))
        listeners = [self.listen(user_id) for user_id in users]
        self.presence(BOB)
        self.turn()
        waiting = [self.wait(listener) for listener in listeners]
        self.turn()
        waiting = [self.wait(listener) for listener in listeners]
        self.presence(BOB)
        self.reactor.advance(1.9)
        self.turn()
        self.assertNoResult(waiting[0])
        self.reactor.advance(0.2)
        self.turn()
        self.assertIs(self.successResultOf(waiting[-1]), True)

    def test_while_nobody_waits_nothing_is_done(self) -> None:
        self.presence(BOB)
        self.turn()
        self.assertEqual(self.store.asked_for, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_too_many_strangers_wake_everybody(self) -> None:
        waiting = self.wait(self.listen("@carol:test"))
        self.presence(*(f"@stranger{number}:test" for number in range(1001)))
        self.turn()
        self.assertIs(self.successResultOf(waiting), True)
        self.assertEqual(self.store.asked_for, [])

    def test_a_failure_wakes_everybody(self) -> None:
        async def fail(user_ids: Any) -> set[str]:
            raise RuntimeError("the database is away")

        self.patch(self.store, "get_joined_rooms_of_users", fail)
        waiting = self.wait(self.listen("@carol:test"))
        self.presence(BOB)
        with self.assertLogs("synapse_lite.util.background", "ERROR"):
            self.turn()
        self.assertIs(self.successResultOf(waiting), True)
