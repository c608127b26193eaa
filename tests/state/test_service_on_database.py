"""Forks resolved out of the database, in the master and in a worker, as in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from synapse_lite.api.constants import EventTypes
from synapse_lite.events.event import Event, StateKey
from synapse_lite.events.resolution import resolve_state
from synapse_lite.events.room_versions import ROOM_VERSIONS, RoomVersion
from synapse_lite.state.service import ResolvedState, StateService
from synapse_lite.storage._base import BaseStore, FollowerStore
from synapse_lite.storage.events import EventsWorkerStore
from synapse_lite.storage.schema.prepare import prepare_database
from synapse_lite.storage.state_groups import (
    NewStateGroup,
    StateGroupsStore,
    StateGroupsWorkerStore,
)
from synapse_lite.storage.transaction import Transaction
from tests.events.support import ALICE, BOB, CAROL, MemoryLoader, Room
from tests.harness.databases import MemoryDatabase
from tests.storage.test_state_groups import server


class MasterStores(EventsWorkerStore, StateGroupsStore):
    """What the service needs, in the master."""


class WorkerStores(EventsWorkerStore, StateGroupsWorkerStore, FollowerStore):
    """What the service needs, in a worker."""


def insert_events_txn(txn: Transaction, events: Mapping[str, Event]) -> dict[str, int]:
    """Store events with their auth events."""
    numbers = {event_id: number for number, event_id in enumerate(events, 1)}
    for event_id, event in events.items():
        txn.insert(
            "events",
            nid=numbers[event_id],
            event_id=event_id,
            stream_ordering=numbers[event_id],
            room_id=event.room_id,
            room_version=event.room_version.identifier,
            type=event.type,
            state_key=event.state_key,
            sender=event.sender,
            depth=event.depth,
            origin_server_ts=1,
            received_ts=1,
            contains_url=False,
            outlier=False,
            soft_failed=False,
            in_timeline=True,
            out_of_band=False,
            json=event.pdu_json.decode(),
        )
        for auth_id in event.auth_event_ids:
            txn.insert("event_auth", nid=numbers[event_id], auth_nid=numbers[auth_id])
    return numbers


class ServiceOnDatabaseTests(MemoryDatabase):
    def setUp(self) -> None:
        super().setUp()
        self.result(prepare_database(self.db))
        self.master = MasterStores(server(self), self.db)
        self.result(self.master.load_state_groups())

    def result(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await awaitable

        return self.successResultOf(Deferred.fromCoroutine(wait()))

    def service_on(self, store: BaseStore) -> StateService:
        hs = server(self)
        hs.part = lambda cls: store
        return StateService(hs)

    def store(self, room: Room, *states: dict[StateKey, Event]) -> list[int]:
        """Store a room's events, and groups of its states: the first whole, others upon it."""
        groups = self.master.reserve_state_groups(len(states))
        whole = {key: event.event_id for key, event in states[0].items()}
        new = [NewStateGroup(groups[0], room.create.room_id, None, whole)]
        for group, state in zip(groups[1:], states[1:], strict=True):
            delta = {
                key: event.event_id
                for key, event in state.items()
                if whole.get(key) != event.event_id
            }
            new.append(NewStateGroup(group, room.create.room_id, groups[0], delta))

        def insert_txn(txn: Transaction) -> None:
            numbers = insert_events_txn(txn, room.events)
            self.master._insert_state_groups_txn(txn, new, numbers)

        self.result(self.db.run("insert", insert_txn))
        return groups

    def resolved_in(
        self, store: BaseStore, version: RoomVersion, room: Room, groups: list[int]
    ) -> ResolvedState:
        service = self.service_on(store)
        resolved: ResolvedState = self.result(
            service.state_before(room.create.room_id, version, groups)
        )
        return resolved

    def check_version(self, version: RoomVersion) -> None:
        room = Room(version)
        room.set_join_rule("public")
        room.set_levels(users={BOB: 50})
        room.join(BOB)
        common = dict(room.state)
        # One branch: Bob names the room and lets Carol in. The other: Alice bans Bob.
        room.send(BOB, EventTypes.NAME, {"name": "n"}, "")
        room.join(CAROL)
        first = dict(room.state)
        room.state = dict(common)
        room.set_member(ALICE, BOB, "ban")
        room.send(ALICE, EventTypes.TOPIC, {"topic": "t"}, "")
        second = dict(room.state)
        groups = self.store(room, common, first, second)
        expected = self.result(
            resolve_state(
                version,
                [{k: e.event_id for k, e in state.items()} for state in (first, second)],
                MemoryLoader(room.events),
            )
        )
        worker = WorkerStores(server(self), self.db.sharing())
        for store in (self.master, worker):
            resolved = self.resolved_in(store, version, room, groups[1:])
            self.assertEqual(resolved.state, expected)
            self.assertIsNone(resolved.state_group)
            assert resolved.prev_group in groups[1:]
        self.assertEqual(
            expected[(EventTypes.MEMBER, BOB)], second[(EventTypes.MEMBER, BOB)].event_id
        )
        self.check_stored(room, resolved)

    def check_stored(self, room: Room, resolved: ResolvedState) -> None:
        """What the worker found can be stored by the master, and is then read everywhere."""
        (group,) = self.master.reserve_state_groups(1)
        new = NewStateGroup(group, room.create.room_id, resolved.prev_group, resolved.delta)
        self.result(self.db.run("add", self.master._insert_state_groups_txn, [new], {}))
        fresh = WorkerStores(server(self), self.db.sharing())
        self.assertEqual(self.result(fresh.get_state_ids_for_group(group)), resolved.state)

    def test_version_1(self) -> None:
        self.check_version(ROOM_VERSIONS["1"])

    def test_version_2(self) -> None:
        self.check_version(ROOM_VERSIONS["2"])

    def test_version_11(self) -> None:
        self.check_version(ROOM_VERSIONS["11"])

    def test_version_12(self) -> None:
        self.check_version(ROOM_VERSIONS["12"])
