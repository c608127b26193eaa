"""What state becomes in the room that replaces another, where HTTP does not reach."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

from synapse_lite.events.auth import PowerLevels
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.handlers import upgraded_state

ALICE = "@alice:test"
BOB = "@bob:test"


def levels(version: str, content: Any, creators: tuple[str, ...] = (ALICE,)) -> PowerLevels:
    return PowerLevels(ROOM_VERSIONS[version], content, frozenset(creators))


class PowerLevelTests(TestCase):
    def test_levels_become_integers(self) -> None:
        old = levels(
            "5",
            {
                "users": {ALICE: "100", "nobody": 1, BOB: [], "@carol:test": 2.7},
                "events": {"m.room.name": " 50 "},
                "ban": "60",
                "kick": None,
                "historical": 100,
                "junk": "x",
            },
        )
        found = upgraded_state.power_levels(old, ROOM_VERSIONS["10"], (ALICE,))
        self.assertEqual(found["users"], {ALICE: 100, "@carol:test": 2})
        self.assertEqual(found["events"], {"m.room.name": 50})
        self.assertEqual((found["ban"], found["kick"], found["historical"]), (60, 50, 100))
        self.assertNotIn("junk", found)

    def test_a_room_without_levels(self) -> None:
        found = upgraded_state.power_levels(levels("5", None), ROOM_VERSIONS["10"], (BOB,))
        self.assertEqual(found["users"], {ALICE: 100})
        silent = upgraded_state.restricted_levels(levels("5", None))
        self.assertEqual(silent, {"users": {ALICE: 100}, "events_default": 50, "invite": 50})

    def test_replacing_a_room_of_version_12_takes_more_than_other_state(self) -> None:
        old = levels("11", {"state_default": 200, "users": {ALICE: 200}})
        found = upgraded_state.power_levels(old, ROOM_VERSIONS["12"], (ALICE,))
        self.assertEqual(found["events"]["m.room.tombstone"], 201)
        self.assertEqual(found["users"], {})


class JoinRulesTests(TestCase):
    def test_nonsense_lets_nobody_in(self) -> None:
        for rule in (None, 1, ["public"]):
            found = upgraded_state.join_rules({"join_rule": rule}, "!r:test", ROOM_VERSIONS["11"])
            self.assertEqual(found, {"join_rule": "invite"})
        broken = {"join_rule": "restricted", "allow": "all"}
        found = upgraded_state.join_rules(broken, "!r:test", ROOM_VERSIONS["11"])
        condition = {"type": "m.room_membership", "room_id": "!r:test"}
        self.assertEqual(found, {"join_rule": "restricted", "allow": [condition]})
