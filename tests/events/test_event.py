"""Events: attributes, encoded forms, metadata."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.events.event import EventMetadata, make_event, pruned
from synapse_lite.events.room_versions import DEFAULT_ROOM_VERSION, ROOM_VERSIONS

from .support import ALICE, ALL_VERSIONS, BOB, Room


class EventTests(SynchronousTestCase):
    def test_attributes(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version)
            event = room.set_member(ALICE, BOB, "invite", displayname="Bob")
            again = make_event(json.loads(event.pdu_json), version)
            for one in (event, again):
                self.assertEqual(one.type, "m.room.member")
                self.assertEqual(one.sender, ALICE)
                self.assertEqual(one.state_key, BOB)
                self.assertEqual(one.state_tuple, ("m.room.member", BOB))
                self.assertTrue(one.is_state)
                self.assertEqual(one.membership, "invite")
                self.assertEqual(one.room_id, room.room_id)
                self.assertEqual(len(one.prev_event_ids), 1)
                self.assertEqual(one.auth_event_ids, event.auth_event_ids)
                self.assertEqual(list(one.signatures), ["one"])
                self.assertIsNone(one.redacts)
            self.assertEqual(event, again)
            self.assertEqual(hash(event), hash(again))
            self.assertNotEqual(event, room.create)

    def test_messages_have_no_state_key(self) -> None:
        room = Room(ROOM_VERSIONS["12"])
        event = room.make(ALICE, "m.room.message", {"membership": "join"})
        self.assertFalse(event.is_state)
        self.assertIsNone(event.membership)
        self.assertRaises(ValueError, lambda: event.state_tuple)

    def test_room_id_from_create_event(self) -> None:
        for version in ALL_VERSIONS:
            create = Room(version).create
            if version.room_id_from_create_event:
                self.assertEqual(create.room_id[1:], create.event_id[1:])
                self.assertEqual(create.room_id[0], "!")
                self.assertNotIn("room_id", create.pdu)
            else:
                self.assertEqual(create.room_id, "!room:one")

    def test_client_form(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version)
            event = room.send(ALICE, "m.x", {"körper": "ü"}, "key", timestamp=5)
            expected = {
                "event_id": event.event_id,
                "type": "m.x",
                "sender": ALICE,
                "content": {"körper": "ü"},
                "origin_server_ts": 5,
                "state_key": "key",
            }
            self.assertEqual(json.loads(event.client_bytes(None, with_room_id=False)), expected)
            expected["room_id"] = room.room_id
            expected["unsigned"] = {"age": 7}
            for _ in range(2):
                encoded = event.client_bytes({"age": 7}, with_room_id=True)
                self.assertEqual(json.loads(encoded), expected)
            self.assertEqual(event.client_dict({"age": 7}, with_room_id=True), expected)
            self.assertIs(event.client_json, event.client_json)

    def test_redacts_is_served_in_both_places(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version)
            event = room.send(ALICE, "m.room.redaction", {"reason": "x"}, redacts="$target")
            self.assertEqual(event.redacts, "$target")
            self.assertEqual("redacts" in event.pdu, not version.redacts_in_content)
            self.assertEqual("redacts" in event.content, version.redacts_in_content)
            form = json.loads(event.client_bytes(None, with_room_id=False))
            self.assertEqual(form["redacts"], "$target")
            self.assertEqual(form["content"], {"reason": "x", "redacts": "$target"})

    def test_text_that_databases_do_not_take(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version)
            event = room.send(ALICE, "m.room.redaction", {}, redacts="$tar\0get")
            self.assertIsNone(event.redacts)
            self.assertIsNone(room.set_member(ALICE, BOB, "in\0vite").membership)

    def test_pruned(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version)
            event = room.set_member(ALICE, BOB, "invite", displayname="Bob")
            event.metadata.redacted_by = "$r"
            copy = pruned(event)
            self.assertEqual(copy.event_id, event.event_id)
            self.assertEqual(copy.content, {"membership": "invite"})
            self.assertEqual(copy.metadata.redacted_by, "$r")
            self.assertEqual(event.content["displayname"], "Bob")

    def test_pruned_create_event_keeps_the_room_id(self) -> None:
        for version in ALL_VERSIONS:
            create = Room(version).create
            self.assertEqual(pruned(create).room_id, create.room_id)

    def test_stripped_state(self) -> None:
        room = Room(ROOM_VERSIONS["12"])
        event = room.send(ALICE, "m.room.name", {"name": "n"}, "")
        self.assertEqual(
            event.stripped_state(),
            {"type": "m.room.name", "state_key": "", "sender": ALICE, "content": {"name": "n"}},
        )

    def test_given_bytes_are_kept(self) -> None:
        room = Room(ROOM_VERSIONS["12"])
        stored = room.create.pdu_json
        event = make_event(json.loads(stored), room.version, "$given", pdu_json=stored)
        self.assertIs(event.pdu_json, stored)
        self.assertEqual(event.event_id, "$given")


class MetadataTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        self.assertEqual(EventMetadata().to_json(), {})
        metadata = EventMetadata(soft_failed=True, stream_ordering=5, txn_id="t")
        self.assertEqual(
            metadata.to_json(), {"soft_failed": True, "stream_ordering": 5, "txn_id": "t"}
        )
        self.assertEqual(EventMetadata.from_json(metadata.to_json()), metadata)
        self.assertEqual(EventMetadata.from_json({"unknown": 1}), EventMetadata())


class RoomVersionTests(SynchronousTestCase):
    def test_identifiers(self) -> None:
        self.assertEqual(list(ROOM_VERSIONS), [str(number) for number in range(1, 13)])
        for identifier, version in ROOM_VERSIONS.items():
            self.assertEqual(version.identifier, identifier)
        self.assertIn(DEFAULT_ROOM_VERSION, ROOM_VERSIONS)

    def test_feature_matrix(self) -> None:
        for feature, since in (
            ("event_id_is_hash", 3),
            ("enforce_key_validity", 5),
            ("strict_canonical_json", 6),
            ("limit_notifications_power_levels", 6),
            ("knock", 7),
            ("restricted_join", 8),
            ("knock_restricted", 10),
            ("integer_power_levels", 10),
            ("redacts_in_content", 11),
            ("implicit_room_creator", 11),
            ("privileged_creators", 12),
            ("room_id_from_create_event", 12),
        ):
            for version in ALL_VERSIONS:
                has_it = int(version.identifier) >= since
                self.assertIs(getattr(version, feature), has_it, (feature, version.identifier))
