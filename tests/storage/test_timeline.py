"""Timelines: rings that need no query, gaps, many rooms at once, and paging with filters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.api.constants import EventTypes
from synapse_lite.api.errors import NotFoundError
from synapse_lite.events.event import Event
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.storage._timeline_rings import _EVENT_BYTES, _ROOM_BYTES, TimelineRings
from synapse_lite.storage.timeline import EventTypeFilter
from synapse_lite.streams import EVENTS
from synapse_lite.types.tokens import RoomToken
from synapse_lite.util.caches.budget import MemoryBudget
from synapse_lite.util.caches.lru import LruCache
from tests.events.support import ALICE, BOB, Room
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Servers

VERSION = ROOM_VERSIONS["12"]


def ids(events: list[Event]) -> list[str]:
    return [event.event_id for event in events]


class RingTests(SynchronousTestCase):
    @given(
        st.lists(st.sampled_from("abcd"), max_size=60),
        st.integers(0, 10),
        st.sampled_from("abcde"),
        st.integers(0, 60),
        st.integers(0, 70),
        st.integers(0, 8),
    )
    @settings(max_examples=300, deadline=None)
    def test_what_a_ring_tells_is_true(
        self, rooms: list[str], floor: int, asked: str, low: int, high: int, limit: int
    ) -> None:
        budget = MemoryBudget(8 * _EVENT_BYTES + 2 * _ROOM_BYTES)
        rings = TimelineRings(3, budget)
        rings.reset(floor)
        for ordering, room in enumerate(rooms, start=1):
            rings.append(room, ordering, f"{room}{ordering}")
        truth = [n for n, room in enumerate(rooms, start=1) if room == asked and low < n <= high]
        found = rings.since(asked, low, high, limit)
        if found is not None:
            self.assertEqual(found.orderings, truth[max(0, len(truth) - limit) :])
            self.assertEqual(found.event_ids, [f"{asked}{n}" for n in found.orderings])
            self.assertEqual(found.limited, len(truth) > limit)
        kept = sum(len(ring.orderings) for ring in rings._rings.values())
        self.assertEqual(budget.used, kept * _EVENT_BYTES + len(rings) * _ROOM_BYTES)
        self.assertLessEqual(budget.used, budget.limit)
        while rings.oldest_use() is not None:
            rings.evict_oldest()
        self.assertEqual(budget.used, 0)

    def test_recent_events_are_known(self) -> None:
        rings = TimelineRings(3, MemoryBudget(100_000))
        rings.reset(10)
        rings.append("a", 11, "x")
        self.assertIsNotNone(rings.since("a", 10, 11, 5))
        self.assertIsNotNone(rings.since("quiet", 10, 11, 5))
        self.assertIsNone(rings.since("a", 9, 11, 5))

    def test_the_quietest_room_goes_first(self) -> None:
        budget = MemoryBudget(10_000)
        rings = TimelineRings(3, budget)
        for ordering, room in enumerate("abca", start=1):
            rings.append(room, ordering, f"{room}{ordering}")
        others: LruCache[str, int] = LruCache("c", budget=budget, size_of=lambda size: size)
        self.assertEqual(rings.oldest_use(), 1)
        others.set("x", budget.limit - budget.used)  # more than there is, by the entry itself
        self.assertEqual((rings.floor, list(rings._rings)), (3, ["a"]))
        self.assertIsNone(rings.since("b", 2, 4, 5))
        self.assertIsNotNone(rings.since("b", 3, 4, 5))
        self.assertIsNotNone(rings.since("a", 0, 4, 5))
        self.assertEqual(budget.used, others.size_bytes + rings.size_bytes)
        others.clear()
        rings.reset(9)
        self.assertEqual((budget.used, rings.oldest_use()), (0, None))


class EveryTimeline(DatabaseCase):
    async def start(self) -> tuple[Servers, Room]:
        servers = await Servers(self).start()
        room = Room(VERSION)
        room.set_join_rule("public")
        room.join(BOB)
        await servers.persist_room(room)
        return servers, room

    async def send(self, servers: Servers, room: Room, count: int) -> list[Event]:
        events = [
            room.send(ALICE, EventTypes.MESSAGE, {"body": f"message {n}"}) for n in range(count)
        ]
        await servers.persist(*events)
        return events

    async def test_new_events_of_active_rooms_cost_no_query(self) -> None:
        servers, room = await self.start()
        low = servers.now
        events = await self.send(servers, room, 5)
        # The worker reads bodies once, whoever asks.
        await servers.worker.get_room_events_since(room.room_id, low, servers.now, 10)
        counts = (servers.db.counts.transactions, servers.worker_db.counts.transactions)
        for _ in range(3):
            part = await servers.ask("get_room_events_since", room.room_id, low, servers.now, 10)
            self.assertEqual(ids(part.events), ids(events))
            self.assertFalse(part.limited)
            part = await servers.ask("get_room_events_since", room.room_id, low, servers.now, 2)
            self.assertEqual(ids(part.events), ids(events[-2:]))
            self.assertTrue(part.limited)
            none = await servers.ask(
                "get_room_events_since", room.room_id, servers.now, servers.now, 2
            )
            self.assertEqual((none.events, none.limited), ([], False))
            quiet = await servers.ask("get_room_events_since", "!quiet:one", low, servers.now, 2)
            self.assertEqual(quiet.events, [])
        self.assertEqual(
            (servers.db.counts.transactions, servers.worker_db.counts.transactions), counts
        )

    async def test_prev_batch_continues_where_the_slice_begins(self) -> None:
        servers, room = await self.start()
        events = await self.send(servers, room, 6)
        part = await servers.ask("get_room_events_since", room.room_id, 0, servers.now, 3)
        self.assertEqual(ids(part.events), ids(events[3:]))
        earlier, token = await servers.ask(
            "paginate", room.room_id, part.prev_batch, direction="b", limit=2
        )
        self.assertEqual(ids(earlier), ids([events[2], events[1]]))
        rest, end = await servers.ask("paginate", room.room_id, token, direction="b", limit=100)
        self.assertEqual(ids(rest), ids([events[0], *reversed(list(room.events.values())[:4])]))
        self.assertIsNone(end)

    async def test_short_memory_changes_no_answer(self) -> None:
        servers, room = await self.start()
        rooms = [room, *(Room(VERSION, {"number": n}) for n in range(3))]
        for each in rooms[1:]:
            await servers.persist_room(each)
        low = servers.now
        for _ in range(3):
            for each in rooms:
                await self.send(servers, each, 2)

        async def answers() -> list[tuple[list[str], bool]]:
            found = []
            for each in rooms:
                for start in range(low - 1, servers.now + 1, 3):
                    part = await servers.ask(
                        "get_room_events_since", each.room_id, start, servers.now, 4
                    )
                    found.append((ids(part.events), part.limited))
            return found

        expected = await answers()
        for store in (servers.store, servers.worker):
            budget = store.caches.budget
            self.assertEqual(len(store._rings), 4)
            budget.limit = budget.used // 2
            budget.shrink()
            budget.limit = 1_500
            budget.shrink()
            self.assertLess(len(store._rings), 4)
            self.assertLessEqual(budget.used, budget.limit)
        self.assertEqual(await answers(), expected)
        for store in (servers.store, servers.worker):
            store.caches.budget.limit = 0
            store.caches.budget.shrink()
            self.assertEqual(store.caches.budget.used, 0)
        self.assertEqual(await answers(), expected)

    async def test_old_positions_are_read_from_the_database(self) -> None:
        servers, room = await self.start()
        events = await self.send(servers, room, 5)
        high = servers.now - 1
        for store in (servers.store, servers.worker):
            store._timelines_reset(servers.now)
        part = await servers.ask("get_room_events_since", room.room_id, 0, high, 3)
        self.assertEqual(ids(part.events), ids(events[1:4]))
        self.assertTrue(part.limited)
        everything = await servers.ask("get_room_events_since", room.room_id, 0, high, 100)
        self.assertFalse(everything.limited)
        self.assertEqual(ids(everything.events), ids(list(room.events.values())[:-1]))

    async def test_many_rooms_in_few_transactions(self) -> None:
        servers = await Servers(self).start()
        rooms = []
        for n in range(120):
            room = Room(VERSION, {"number": n})
            await servers.persist_room(room)
            rooms.append(room)
        worker = servers.worker
        worker.start_at(EVENTS, servers.now)
        count = servers.worker_db.counts.transactions
        found = await worker.get_latest_events_for_rooms(
            [room.room_id for room in rooms], servers.now, 1
        )
        self.assertLessEqual(servers.worker_db.counts.transactions - count, 2)
        for room in rooms:
            self.assertEqual(ids(found[room.room_id].events), [room.last.event_id])
            self.assertTrue(found[room.room_id].limited)
        state = await worker.get_current_state_ids_for_rooms([room.room_id for room in rooms])
        self.assertEqual(len(state), 120)
        self.assertLessEqual(servers.worker_db.counts.transactions - count, 3)

    async def test_filters_while_paging(self) -> None:
        servers, room = await self.start()
        start = RoomToken(servers.now)
        one = room.send(ALICE, "org.example_a", {"url": "mxc://one/x"})
        two = room.send(BOB, "org.exampleXa", {})
        three = room.send(
            ALICE,
            "ORG.example_a",
            {"m.relates_to": {"event_id": one.event_id, "rel_type": "m.thread"}},
        )
        await servers.persist(one, two, three)

        async def found(**fields: object) -> list[str]:
            events, end = await servers.ask(
                "paginate",
                room.room_id,
                start,
                direction="f",
                limit=10,
                event_filter=EventTypeFilter(**fields),
            )
            self.assertIsNone(end)
            return ids(events)

        self.assertEqual(await found(), ids([one, two, three]))
        self.assertEqual(await found(types=["org.example_a"]), ids([one]))
        self.assertEqual(await found(types=["org.example_*"]), ids([one]))
        self.assertEqual(await found(types=["org.*a"]), ids([one, two]))
        self.assertEqual(await found(types=["*"]), ids([one, two, three]))
        self.assertEqual(await found(types=[]), [])
        self.assertEqual(await found(not_types=["org.*"]), ids([three]))
        self.assertEqual(await found(senders=[BOB]), ids([two]))
        self.assertEqual(await found(not_senders=[BOB]), ids([one, three]))
        self.assertEqual(await found(contains_url=True), ids([one]))
        self.assertEqual(await found(contains_url=False), ids([two, three]))
        self.assertEqual(await found(rel_types=["m.thread"]), ids([three]))

    async def test_paging_between_two_positions_in_both_directions(self) -> None:
        servers, room = await self.start()
        events = await self.send(servers, room, 6)
        low = await servers.ask("get_token_before_event", room.room_id, events[1].event_id)
        high = await servers.ask("get_token_before_event", room.room_id, events[4].event_id)
        for start, end, direction, expected in (
            (high, low, "b", [events[3], events[2], events[1]]),
            (low, high, "f", [events[1], events[2], events[3]]),
        ):
            found, token = await servers.ask(
                "paginate", room.room_id, start, end, direction=direction, limit=10
            )
            self.assertEqual(ids(found), ids(expected))
            self.assertIsNone(token)
            first, token = await servers.ask(
                "paginate", room.room_id, start, end, direction=direction, limit=2
            )
            rest, _ = await servers.ask(
                "paginate", room.room_id, token, end, direction=direction, limit=2
            )
            self.assertEqual(ids([*first, *rest]), ids(expected))

    async def test_events_around_one(self) -> None:
        servers, room = await self.start()
        events = await self.send(servers, room, 7)
        around = await servers.ask(
            "get_events_around", room.room_id, events[3].event_id, limit_before=2, limit_after=2
        )
        self.assertEqual(ids(around.before), ids([events[2], events[1]]))
        self.assertEqual(ids(around.after), ids([events[4], events[5]]))
        earlier, _ = await servers.ask(
            "paginate", room.room_id, around.start, direction="b", limit=1
        )
        later, _ = await servers.ask("paginate", room.room_id, around.end, direction="f", limit=1)
        self.assertEqual(ids([*earlier, *later]), ids([events[0], events[6]]))
        with self.assertRaises(NotFoundError):
            await servers.store.get_events_around(
                "!other:one", events[3].event_id, limit_before=1, limit_after=1
            )

    async def test_event_at_a_time(self) -> None:
        servers, room = await self.start()
        events = await self.send(servers, room, 3)
        between = events[1].origin_server_ts + 1
        earlier = await servers.ask("get_event_at_time", room.room_id, between, "b")
        later = await servers.ask("get_event_at_time", room.room_id, between, "f")
        self.assertEqual(ids([earlier, later]), ids([events[1], events[2]]))
        self.assertIsNone(await servers.ask("get_event_at_time", room.room_id, 10**9, "f"))


class MemoryTimelineTests(EveryTimeline, MemoryDatabase):
    """On SQLite in memory."""


class PostgresTimelineTests(EveryTimeline, PostgresDatabase):
    """On PostgreSQL."""
