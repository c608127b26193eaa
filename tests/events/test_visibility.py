"""History visibility."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.events.visibility import (
    history_visibility_of,
    may_see_event,
    server_may_see_event,
    visibility_in,
)

from .support import ALICE, BOB, Room

# visibility, membership, whether joined since → may see
TABLE = [
    ("world_readable", "leave", False, True),
    ("world_readable", "ban", False, True),
    ("shared", "join", False, True),
    ("shared", "leave", False, False),
    ("shared", "leave", True, True),
    ("shared", "invite", False, False),
    ("invited", "invite", False, True),
    ("invited", "join", False, True),
    ("invited", "leave", True, False),
    ("invited", "knock", True, False),
    ("joined", "join", False, True),
    ("joined", "invite", True, False),
    ("joined", "leave", True, False),
]


class VisibilityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(ROOM_VERSIONS["12"])

    def test_table(self) -> None:
        event = self.room.make(ALICE, "m.room.message", {})
        for visibility, membership, joined_since, expected in TABLE:
            seen = may_see_event(
                event,
                BOB,
                visibility=visibility,
                membership=membership,
                joined_since=joined_since,
            )
            self.assertIs(seen, expected, (visibility, membership, joined_since))

    def test_change_of_visibility_is_seen_before_or_after(self) -> None:
        for before, after in (("world_readable", "joined"), ("joined", "world_readable")):
            event = self.room.make(
                ALICE, "m.room.history_visibility", {"history_visibility": after}, ""
            )
            self.assertTrue(
                may_see_event(event, BOB, visibility=before, membership="leave", joined_since=False)
            )

    def test_own_membership_is_seen_before_or_after(self) -> None:
        for before, after, user_id, expected in (
            ("leave", "join", BOB, True),
            ("join", "leave", BOB, True),
            ("join", "ban", BOB, True),
            ("leave", "invite", BOB, False),
            ("leave", "join", ALICE, False),
        ):
            event = self.room.member(ALICE, user_id, after)
            seen = may_see_event(
                event, BOB, visibility="joined", membership=before, joined_since=False
            )
            self.assertIs(seen, expected, (before, after, user_id))

    def test_default_is_shared(self) -> None:
        self.assertEqual(history_visibility_of(self.room.state), "shared")
        for content in (None, {}, {"history_visibility": "x"}, {"history_visibility": []}):
            self.assertEqual(visibility_in(content), "shared")
        self.room.send(ALICE, "m.room.history_visibility", {"history_visibility": "joined"}, "")
        self.assertEqual(history_visibility_of(self.room.state), "joined")

    def test_servers(self) -> None:
        event = self.room.make(ALICE, "m.room.message", {})
        for visibility, memberships, expected in (
            ("world_readable", [], True),
            ("shared", [], True),
            ("invited", ["leave", "invite"], True),
            ("invited", ["leave"], False),
            ("joined", ["invite"], False),
            ("joined", ["leave", "join"], True),
        ):
            seen = server_may_see_event(event, visibility=visibility, memberships=memberships)
            self.assertIs(seen, expected, (visibility, memberships))
