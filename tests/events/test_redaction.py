"""What redaction keeps, by room version."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.events.redaction import redact_pdu
from synapse_lite.events.room_versions import ROOM_VERSIONS

from .support import ALL_VERSIONS, versions_before, versions_from

ALL_KEYS = {
    "event_id": "$x",
    "type": "m.x",
    "room_id": "!r",
    "sender": "@a:b",
    "state_key": "",
    "content": {},
    "hashes": {},
    "signatures": {},
    "depth": 1,
    "prev_events": [],
    "auth_events": [],
    "origin_server_ts": 1,
    "prev_state": [],
    "origin": "b",
    "membership": "join",
    "unsigned": {"age": 1},
    "redacts": "$y",
    "other": 1,
}

CONTENT_KEYS = (
    "membership",
    "join_authorised_via_users_server",
    "creator",
    "room_version",
    "join_rule",
    "allow",
    "ban",
    "events",
    "events_default",
    "invite",
    "kick",
    "notifications",
    "redact",
    "state_default",
    "users",
    "users_default",
    "history_visibility",
    "redacts",
)


class RedactionTests(SynchronousTestCase):
    def kept(self, version, event_type: str, content: object) -> object:
        return redact_pdu({**ALL_KEYS, "type": event_type, "content": content}, version)["content"]

    def test_top_level(self) -> None:
        for version in ALL_VERSIONS:
            gone = {"unsigned", "redacts", "other"}
            if version in versions_from("11"):
                gone |= {"prev_state", "origin", "membership"}
            self.assertEqual(set(ALL_KEYS) - gone, set(redact_pdu(ALL_KEYS, version)))

    def test_content_by_type(self) -> None:
        everything = dict.fromkeys((*CONTENT_KEYS, "aliases", "body"), 1)
        levels = "ban events events_default kick redact state_default users users_default"
        cases = [
            ("m.room.member", "1", "membership"),
            ("m.room.member", "9", "membership join_authorised_via_users_server"),
            ("m.room.create", "1", "creator"),
            ("m.room.create", "11", " ".join(everything)),
            ("m.room.join_rules", "1", "join_rule"),
            ("m.room.join_rules", "8", "join_rule allow"),
            ("m.room.power_levels", "1", levels),
            ("m.room.power_levels", "11", levels + " invite"),
            ("m.room.aliases", "1", "aliases"),
            ("m.room.aliases", "6", ""),
            ("m.room.history_visibility", "1", "history_visibility"),
            ("m.room.redaction", "1", ""),
            ("m.room.redaction", "11", "redacts"),
            ("m.room.message", "1", ""),
        ]
        for version in ALL_VERSIONS:
            expected = {}
            for event_type, since, keys in cases:
                if version in versions_from(since):
                    expected[event_type] = set(keys.split())
            for event_type, keys in expected.items():
                kept = self.kept(version, event_type, everything)
                self.assertEqual(set(kept), keys, (version.identifier, event_type))

    def test_third_party_signed_stays_from_version_11(self) -> None:
        invite = {"display_name": "x", "signed": {"token": "t"}}
        content = {"membership": "invite", "third_party_invite": invite}
        for version in versions_before("11"):
            self.assertEqual(self.kept(version, "m.room.member", content), {"membership": "invite"})
        for version in versions_from("11"):
            kept = {"membership": "invite", "third_party_invite": {"signed": {"token": "t"}}}
            self.assertEqual(self.kept(version, "m.room.member", content), kept)
            for odd in (5, {}, {"display_name": "x"}):
                content_ = {"membership": "invite", "third_party_invite": odd}
                kept_odd = self.kept(version, "m.room.member", content_)
                self.assertEqual(kept_odd, {"membership": "invite"})

    def test_the_original_is_left_alone(self) -> None:
        pdu = {**ALL_KEYS, "type": "m.room.member", "content": {"membership": "join", "x": 1}}
        redact_pdu(pdu, ROOM_VERSIONS["12"])
        self.assertEqual(pdu["content"], {"membership": "join", "x": 1})
        self.assertIn("unsigned", pdu)
