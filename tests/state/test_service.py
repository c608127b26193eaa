"""The state before an event: taken as it is, or resolved once for everybody who asks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.api.constants import EventTypes
from synapse_lite.events.context import EventContext
from synapse_lite.events.event import Event
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.state.service import ResolvedState, StateService
from synapse_lite.storage.events import EventsWorkerStore
from synapse_lite.storage.state_groups import StateGroupsWorkerStore, UnknownStateGroupError
from synapse_lite.types.state_map import StateKey, StateMap
from synapse_lite.util.caches.registry import CacheRegistry
from tests.events.support import ALICE, BOB, CAROL, MemoryLoader, Room

VERSION = ROOM_VERSIONS["11"]


class MemoryStore:
    """The reads that the service makes, over states and events in memory."""

    def __init__(self) -> None:
        self.caches = CacheRegistry(1_000_000)
        self.states: dict[int, StateMap] = {}
        self.loader = MemoryLoader({})
        self.whole_reads = 0
        self.wait: Deferred[None] | None = None

    async def get_state_ids_for_group(self, group: int) -> StateMap:
        return (await self.get_state_ids_for_groups((group,)))[group]

    async def get_state_ids_for_groups(self, groups: Collection[int]) -> dict[int, StateMap]:
        self.whole_reads += 1
        if self.wait is not None:
            await self.wait
        for group in groups:
            if group not in self.states:
                raise UnknownStateGroupError(group)
        return {group: self.states[group] for group in groups}

    async def get_filtered_state_ids(
        self, group: int, keys: Collection[StateKey]
    ) -> dict[StateKey, str]:
        return self.states[group].filtered(keys)

    async def get_events(
        self, event_ids: Collection[str], *, allow_rejected: bool = False
    ) -> dict[str, Event]:
        assert allow_rejected, "resolution must see rejected events"
        return await self.loader.events(event_ids)

    async def get_auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        return await self.loader.auth_chain_ids(event_ids)

    get_state_auth_chain_ids = get_auth_chain_ids


class Server:
    """Gives the store for every store class."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    def part(self, cls: type) -> Any:
        assert cls in (StateGroupsWorkerStore, EventsWorkerStore)
        return self.store


class StateServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()
        self.service = StateService(Server(self.store))  # type: ignore[arg-type]  # a stand-in
        self.room = Room(VERSION)
        self.room.set_join_rule("public")
        self.room.set_levels(users={BOB: 50})
        self.room.join(BOB)
        self.store.loader.held = self.room.events
        self.common = dict(self.room.state)
        self.put(1)

    def put(self, group: int) -> StateMap:
        """Make the present state of the room a group."""
        state = StateMap({key: event.event_id for key, event in self.room.state.items()})
        self.store.states[group] = state
        return state

    def fork(self) -> None:
        """Go back to the common state."""
        self.room.state = dict(self.common)

    def before(self, *groups: int) -> ResolvedState:
        resolved: ResolvedState = self.successResultOf(
            Deferred.fromCoroutine(self.service.state_before(self.room.room_id, VERSION, groups))
        )
        return resolved

    def context(self, *groups: int) -> EventContext:
        context: EventContext = self.successResultOf(
            Deferred.fromCoroutine(self.service.context_for(self.room.room_id, VERSION, groups))
        )
        return context

    def two_forks(self) -> tuple[Event, Event]:
        """Group 2: Bob names the room. Group 3: Alice sets the topic, and Carol joins."""
        name = self.room.send(BOB, EventTypes.NAME, {"name": "n"}, "")
        self.put(2)
        self.fork()
        topic = self.room.send(ALICE, EventTypes.TOPIC, {"topic": "t"}, "")
        self.room.join(CAROL)
        self.put(3)
        return name, topic

    def test_before_the_first_event(self) -> None:
        resolved = self.before()
        self.assertEqual((resolved.state, resolved.state_group), ({}, None))
        self.assertEqual(self.context(), EventContext(None, None, {}))

    def test_one_group_is_the_answer(self) -> None:
        self.assertEqual(self.before(1), ResolvedState(self.store.states[1], state_group=1))
        self.assertEqual(self.before(1, 1, 1).state_group, 1)

    def test_the_context_on_one_group_reads_nothing(self) -> None:
        self.assertEqual(self.context(1, 1), EventContext(state_group_before=1))
        self.assertEqual(self.store.whole_reads, 0)

    def test_auth_events_on_one_group_read_no_whole_state(self) -> None:
        keys = [("m.room.create", ""), ("m.room.member", BOB), ("m.room.member", CAROL)]
        context, entries = self.successResultOf(
            Deferred.fromCoroutine(
                self.service.context_and_state_for(self.room.room_id, VERSION, [1], keys)
            )
        )
        self.assertEqual(context, EventContext(state_group_before=1))
        self.assertEqual(
            entries, {key: self.common[key].event_id for key in keys if key in self.common}
        )
        self.assertEqual(self.store.whole_reads, 0)

    def test_a_fork_is_resolved_into_a_change_of_the_nearest_group(self) -> None:
        name, _topic = self.two_forks()
        resolved = self.before(2, 3)
        expected = {**self.store.states[2], **self.store.states[3]}
        self.assertEqual(resolved.state, expected)
        self.assertIsNone(resolved.state_group)
        # One change from group 3, two from group 2.
        self.assertEqual(resolved.prev_group, 3)
        self.assertEqual(resolved.delta, {(EventTypes.NAME, ""): name.event_id})
        self.assertEqual(self.store.states[3].with_changes(resolved.delta), resolved.state)
        self.assertEqual(
            resolved.context, EventContext(None, 3, {(EventTypes.NAME, ""): name.event_id})
        )

    def test_a_change_that_loses_its_sender_leaves_no_trace(self) -> None:
        # Bob names the room; in the other branch Alice bans him at once.
        self.room.send(BOB, EventTypes.NAME, {"name": "n"}, "")
        self.put(2)
        self.fork()
        self.room.set_member(ALICE, BOB, "ban")
        self.put(3)
        resolved = self.before(2, 3)
        self.assertEqual(resolved.state, self.store.states[3])
        self.assertEqual(resolved.state_group, 3, "the result is a group that is there")
        self.assertEqual(self.context(3, 2), EventContext(state_group_before=3))

    def test_equal_states_under_two_numbers(self) -> None:
        self.put(7)
        calls = self.store.loader.calls
        self.assertEqual(self.before(7, 1).state_group, 1)
        self.assertEqual(self.store.loader.calls, calls)

    def test_a_result_is_kept_for_the_set_of_groups(self) -> None:
        self.two_forks()
        first = self.before(2, 3)
        reads, calls = self.store.whole_reads, self.store.loader.calls
        self.assertIs(self.before(3, 2, 3), first)
        self.assertEqual((self.store.whole_reads, self.store.loader.calls), (reads, calls))

    def test_callers_share_a_resolution_that_runs(self) -> None:
        self.two_forks()
        self.store.wait = Deferred()
        calls = [
            Deferred.fromCoroutine(self.service.state_before(self.room.room_id, VERSION, groups))
            for groups in ((2, 3), (3, 2), (3, 2))
        ]
        self.assertEqual(self.store.whole_reads, 1)
        self.store.wait.callback(None)
        first, *others = [self.successResultOf(call) for call in calls]
        for other in others:
            self.assertIs(other, first)

    def test_a_failure_is_not_kept(self) -> None:
        self.two_forks()
        lost = self.store.states.pop(2)
        self.failureResultOf(
            Deferred.fromCoroutine(self.service.state_before(self.room.room_id, VERSION, (2, 3))),
            UnknownStateGroupError,
        )
        self.store.states[2] = lost
        self.assertEqual(self.before(2, 3).prev_group, 3)

    def test_the_context_survives_the_way_to_the_master(self) -> None:
        self.two_forks()
        context = self.context(2, 3)
        self.assertEqual(EventContext.from_json(context.to_json()), context)
