"""Building events."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.crypto.base64 import encode_base64
from synapse_lite.events.builder import EventReference, build_event, reference_to
from synapse_lite.events.hashing import check_content_hash, reference_hash, verify_event_signature
from synapse_lite.events.validation import check_pdu_format

from .support import ALICE, ALL_VERSIONS, KEY, Room


class BuilderTests(SynchronousTestCase):
    def build(self, version, **changes):
        arguments = {
            "room_version": version,
            "room_id": "!r:one",
            "sender": ALICE,
            "type": "m.room.message",
            "content": {"body": "x"},
            "prev_events": [EventReference("$p:one", {"sha256": "p"})],
            "auth_events": [EventReference("$a:one", {"sha256": "a"})],
            "depth": 5,
            "origin_server_ts": 1000,
            "server_name": "one",
            "signing_key": KEY,
            "event_id_localpart": "local",
            **changes,
        }
        return build_event(**arguments)

    def test_events_are_valid(self) -> None:
        for version in ALL_VERSIONS:
            event = self.build(version)
            check_pdu_format(event.pdu, version)
            self.assertTrue(check_content_hash(event.pdu))
            verify_event_signature(event.pdu, version, "one", KEY.verify_key)
            self.assertEqual(event.prev_event_ids, ("$p:one",))
            self.assertEqual(event.auth_event_ids, ("$a:one",))
            self.assertEqual("event_id" in event.pdu, not version.event_id_is_hash)
            if not version.event_id_is_hash:
                self.assertEqual(event.event_id, "$local:one")
                self.assertEqual(event.pdu["prev_events"], [["$p:one", {"sha256": "p"}]])

    def test_references_to_events(self) -> None:
        for version in ALL_VERSIONS:
            create = Room(version).create
            hashes = {"sha256": encode_base64(reference_hash(create.pdu, version))}
            self.assertEqual(reference_to(create), EventReference(create.event_id, hashes))
            event = self.build(version, prev_events=[create])
            self.assertEqual(event.prev_event_ids, (create.event_id,))
            if not version.event_id_is_hash:
                self.assertEqual(event.pdu["prev_events"], [[create.event_id, hashes]])

    def test_depth_is_capped(self) -> None:
        for version in ALL_VERSIONS:
            event = self.build(version, depth=2**70)
            highest = 2**53 - 1 if int(version.identifier) >= 6 else 2**63 - 1
            self.assertEqual(event.depth, highest)
            check_pdu_format(event.pdu, version)

    def test_unsigned_is_not_covered(self) -> None:
        for version in ALL_VERSIONS:
            plain, with_unsigned = self.build(version), self.build(version, unsigned={"x": 1})
            self.assertEqual(with_unsigned.unsigned, {"x": 1})
            self.assertEqual(plain.event_id, with_unsigned.event_id)
            self.assertEqual(plain.signatures, with_unsigned.signatures)
