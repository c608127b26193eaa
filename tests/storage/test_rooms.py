"""Rooms in the database."""

from __future__ import annotations

from synapse_lite.api.errors import NotFoundError
from synapse_lite.app.kinds.event_creator import EVENT_CREATOR
from synapse_lite.crypto.keys import SigningKey
from synapse_lite.events.builder import build_event
from synapse_lite.events.event import EventMetadata
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.handlers.event_persister import EventPersister
from synapse_lite.handlers.room_preparation import EventToPersist
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

_KEY = SigningKey("1", b"0" * 32)


class TestRooms(SameAnswerCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(EVENT_CREATOR, self.master)
        self.alice = self.master.register("alice")

    def test_both_know_a_new_room(self) -> None:
        room_id = self.master.create_room(self.alice, room_version="10")
        room = self.check("get_room", room_id)
        self.assertEqual((room.room_version.identifier, room.creator), ("10", "@alice:test"))
        self.assertEqual(room.created_ts, self.master.hs.clock.time_ms())
        create = now(self.master.store.get_event(room.create_event_id))
        self.assertEqual((create.type, create.room_id), ("m.room.create", room_id))
        self.assertIs(self.check("get_room_version", room_id), ROOM_VERSIONS["10"])

    def test_master_need_not_read_what_it_wrote(self) -> None:
        room_id = self.master.create_room(self.alice)
        before = self.master.db.counts.transactions
        now(self.master.store.get_room_version(room_id))
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_room_that_comes_to_be(self) -> None:
        room_id = "!room:elsewhere"
        for store in (self.master.store, self.worker.store):
            with self.assertRaises(NotFoundError):
                now(store.get_room_version(room_id))
            self.assertFalse(now(store.has_room(room_id)))
        self._arrive(room_id, "6", 1)
        self.assertTrue(self.check("has_room", room_id))
        self.assertIs(self.check("get_room_version", room_id), ROOM_VERSIONS["6"])

    def test_second_create_event_of_another_server_changes_nothing(self) -> None:
        room_id = "!room:elsewhere"
        self._arrive(room_id, "6", 1)
        self._arrive(room_id, "9", 2)
        self.assertIs(self.check("get_room_version", room_id), ROOM_VERSIONS["6"])

    def test_rejected_create_event_makes_no_room(self) -> None:
        self._arrive("!room:elsewhere", "6", 1, rejected_reason="no")
        self.assertFalse(self.check("has_room", "!room:elsewhere"))

    def _arrive(
        self, room_id: str, version: str, timestamp: int, rejected_reason: str | None = None
    ) -> None:
        """A create event comes from elsewhere, with the state of a room that is joined."""
        event = build_event(
            room_version=ROOM_VERSIONS[version],
            room_id=room_id,
            sender="@carol:elsewhere",
            type="m.room.create",
            content={"creator": "@carol:elsewhere", "room_version": version},
            state_key="",
            prev_events=[],
            auth_events=[],
            depth=1,
            origin_server_ts=timestamp,
            server_name="elsewhere",
            signing_key=_KEY,
            metadata=EventMetadata(outlier=True, rejected_reason=rejected_reason),
        )
        now(self.master.hs.part(EventPersister).persist(EventToPersist(event)))
