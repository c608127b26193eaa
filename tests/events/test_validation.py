"""The form of events from other servers and from clients."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.api.errors import BadJsonError, TooLargeError
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.events.validation import check_client_event, check_event_size, check_pdu_format

from .support import ALICE, ALL_VERSIONS, Room, versions_before, versions_from

GONE = object()


class PduFormatTests(SynchronousTestCase):
    def pdu(self, version, **changes):
        room = Room(version)
        pdu = {**room.make(ALICE, "m.room.message", {"body": "x"}).pdu, **changes}
        return {key: value for key, value in pdu.items() if value is not GONE}

    def refused(self, version, error=BadJsonError, **changes) -> None:
        pdu = self.pdu(version, **changes)
        try:
            check_pdu_format(pdu, version)
        except error:
            return
        self.fail(f"Version {version.identifier} accepts {changes}")

    def test_good_events(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version)
            event = room.make(ALICE, "m.x", {"body": "ü"}, "key")
            self.assertEqual(check_pdu_format(event.pdu, version), event.pdu_json)
            check_pdu_format(room.create.pdu, version)

    def test_not_an_object(self) -> None:
        for value in (None, [], "x", 5):
            self.assertRaises(BadJsonError, check_pdu_format, value, ROOM_VERSIONS["12"])

    def test_fields(self) -> None:
        pair = ["$a:one", {"sha256": "x"}]
        cases = {
            "type": (GONE, 5, None, "nul\0"),
            "sender": (GONE, 5, "alice", "@alice", "@alice:", "@alice:b c"),
            "room_id": (GONE, 5, "room", "#room:one"),
            "state_key": (None, 5, [], "\0"),
            "content": (GONE, None, [], "x"),
            "hashes": (GONE, None, []),
            "signatures": (GONE, None, [], {"one": 5}, {"one": {"ed25519:1": 5}}),
            "unsigned": ([], "x"),
            "depth": (GONE, -1, "5", 1.5, True, 2**63),
            "origin_server_ts": (GONE, "5", 1.5, None, 2**64),
            "prev_events": (GONE, None, {}, [5], ["x"], [[]], [["$a"]], [["$a", "x", "y"]]),
            "auth_events": (GONE, None, {}, [5], ["x"], [[]], [["$a"]], [["$a", "x", "y"]]),
        }
        for version in ALL_VERSIONS:
            for key, values in cases.items():
                for value in values:
                    self.refused(version, **{key: value})
            if version.event_id_is_hash:
                self.refused(version, prev_events=[pair])
            else:
                self.refused(version, prev_events=["$a:one"])
                self.refused(version, event_id=GONE)
                self.refused(version, event_id="x")

    def test_sizes(self) -> None:
        for version in ALL_VERSIONS:
            self.refused(version, TooLargeError, type="x" * 256)
            self.refused(version, TooLargeError, state_key="ü" * 128)
            self.refused(version, TooLargeError, room_id="!" + "x" * 255)
            self.refused(version, TooLargeError, sender="@" + "x" * 251 + ":one")
            self.refused(version, TooLargeError, content={"body": "x" * 65536})
            check_pdu_format(self.pdu(version, type="x" * 255), version)

    def test_numbers_of_references(self) -> None:
        for version in ALL_VERSIONS:
            reference = "$a:one" if version.event_id_is_hash else ["$a:one", {"sha256": "x"}]
            for key, limit in (("prev_events", 20), ("auth_events", 10)):
                check_pdu_format(self.pdu(version, **{key: [reference] * limit}), version)
                self.refused(version, **{key: [reference] * (limit + 1)})

    def test_numbers_are_strict_from_version_6(self) -> None:
        for value in (1.5, 2**53, -(2**53), 2**70, [{"x": 1.0}]):
            for version in versions_from("6"):
                self.refused(version, content={"x": value})
            for version in versions_before("6"):
                check_pdu_format(self.pdu(version, content={"x": value}), version)

    def test_strings_that_cannot_be_encoded(self) -> None:
        for version in ALL_VERSIONS:
            self.refused(version, content={"x": "\ud800"})

    def test_depth_limit(self) -> None:
        for version in versions_from("6"):
            check_pdu_format(self.pdu(version, depth=2**53 - 1), version)
            self.refused(version, depth=2**53)

    def test_create_event_has_no_room_id_from_version_12(self) -> None:
        version = ROOM_VERSIONS["12"]
        pdu = Room(version).create.pdu
        with_room_id = {**pdu, "room_id": "!x"}
        self.assertRaises(BadJsonError, check_pdu_format, with_room_id, version)
        other_key = {**pdu, "state_key": "x"}
        self.assertRaises(BadJsonError, check_pdu_format, other_key, version)


class ClientEventTests(SynchronousTestCase):
    version = ROOM_VERSIONS["6"]

    def refused(self, event_type, content, state_key="", error=BadJsonError) -> None:
        self.assertRaises(error, check_client_event, event_type, state_key, content, self.version)

    def accepted(self, event_type, content, state_key="") -> None:
        check_client_event(event_type, state_key, content, self.version)

    def test_form(self) -> None:
        self.accepted("m.x", {})
        self.accepted("m.x", {"x": 2**53 - 1}, None)
        self.refused("", {})
        self.refused("m.x", [])
        self.refused("m.x\0", {})
        self.refused("m.x", {}, "x" * 256, TooLargeError)
        self.refused("x" * 256, {}, None, TooLargeError)
        self.refused("m.x", {"x": "x" * 65536}, None, TooLargeError)

    def test_numbers_are_strict_in_every_version(self) -> None:
        for version in ALL_VERSIONS:
            for value in (1.5, 2**53, 2**70):
                self.assertRaises(
                    BadJsonError, check_client_event, "m.x", None, {"x": value}, version
                )

    def test_known_content(self) -> None:
        good = {
            "m.room.member": [{"membership": "join", "displayname": None}],
            "m.room.power_levels": [{}, {"users": {"@a:b": 5}, "events": {"m.x": 1}, "ban": 7}],
            "m.room.join_rules": [{"join_rule": "restricted", "allow": [{"type": "x"}]}],
            "m.room.history_visibility": [{"history_visibility": "joined"}],
            "m.room.canonical_alias": [{}, {"alias": ""}, {"alias": "#a:b", "alt_aliases": []}],
            "m.room.name": [{}, {"name": "x"}, {"name": None}],
            "m.room.server_acl": [{"allow": ["*"], "deny": [], "allow_ip_literals": False}],
            "m.room.pinned_events": [{"pinned": []}],
        }
        bad = {
            "m.room.member": [{}, {"membership": 5}, {"membership": "x"}, {"membership": "knock"}],
            "m.room.power_levels": [
                {"users": {"@a:b": "5"}},
                {"users": {"a": 5}},
                {"users": []},
                {"events": {"m.x": True}},
                {"ban": "50"},
                {"ban": None},
                {"notifications": 5},
            ],
            "m.room.join_rules": [{}, {"join_rule": 5}, {"join_rule": "x", "allow": ["y"]}],
            "m.room.history_visibility": [{}, {"history_visibility": "x"}],
            "m.room.canonical_alias": [{"alias": "x"}, {"alt_aliases": ["x"]}, {"alias": 5}],
            "m.room.name": [{"name": 5}],
            "m.room.server_acl": [{"allow": "*"}, {"allow_ip_literals": "no"}],
            "m.room.pinned_events": [{"pinned": [5]}],
            "m.room.create": [{"additional_creators": ["x"]}, {"m.federate": "no"}],
        }
        for event_type, contents in good.items():
            for content in contents:
                self.accepted(event_type, content)
        for event_type, contents in bad.items():
            for content in contents:
                self.refused(event_type, content)

    def test_knocking_where_the_version_has_it(self) -> None:
        check_client_event("m.room.member", "@a:b", {"membership": "knock"}, ROOM_VERSIONS["7"])

    def test_size_of_finished_events(self) -> None:
        room = Room(ROOM_VERSIONS["12"])
        check_event_size(room.create)
        event = room.make(ALICE, "m.x", {"body": "x" * 65300})
        self.assertRaises(TooLargeError, check_event_size, event)
