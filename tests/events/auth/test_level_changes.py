"""Changes of power levels, by room version."""

from __future__ import annotations

from synapse_lite.api.constants import EventTypes
from synapse_lite.events.auth import CREATOR_POWER_LEVEL, PowerLevels, power_level_of
from synapse_lite.events.auth.power_levels import read_level
from synapse_lite.events.auth.redactions import redaction_allowed
from synapse_lite.events.event import Event
from synapse_lite.events.room_versions import ROOM_VERSIONS

from ..support import ALICE, ALL_VERSIONS, BOB, CAROL, DAVE, Room, versions_from
from .test_check import AuthTestCase


class LevelChangeTests(AuthTestCase):
    def levels(self, room: Room, content: dict, sender: str = BOB) -> Event:
        return room.make(sender, EventTypes.POWER_LEVELS, content, "")

    def prepared(self, **old):
        """Rooms in which Bob has 50, of what sending power levels takes."""
        for room in self.rooms():
            room.join(BOB)
            users = {BOB: 50, CAROL: 50, DAVE: 40, **old.pop("users", {})}
            current = room.set_levels(users=users, **old)
            yield room, dict(current.content)

    def test_nothing_changed(self) -> None:
        for room, old in self.prepared(ban=90, events={"m.x": 90}):
            self.assert_allowed(room, self.levels(room, old))

    def test_named_levels(self) -> None:
        for name in ("users_default", "events_default", "state_default", "ban", "kick", "invite"):
            for room, old in self.prepared():
                self.assert_allowed(room, self.levels(room, {**old, name: 50}))
                self.assert_forbidden(room, self.levels(room, {**old, name: 51}), name)
            for room, old in self.prepared(redact=51):
                del old["redact"]
                self.assert_forbidden(room, self.levels(room, old), "redact")

    def test_event_levels(self) -> None:
        for room, old in self.prepared(events={"m.high": 51, "m.low": 50}):
            for events in ({"m.low": 50}, {"m.high": 50, "m.low": 50}):
                self.assert_forbidden(room, self.levels(room, {**old, "events": events}), "m.high")
            events = {"m.high": 51, "m.low": 50, "m.new": 51}
            self.assert_forbidden(room, self.levels(room, {**old, "events": events}), "m.new")
            events = {"m.high": 51, "m.new": 50}
            self.assert_allowed(room, self.levels(room, {**old, "events": events}))

    def test_notification_levels_are_guarded_from_version_6(self) -> None:
        for room, old in self.prepared(notifications={"room": 60}):
            event = self.levels(room, {**old, "notifications": {"room": 10}})
            if room.version.limit_notifications_power_levels:
                self.assert_forbidden(room, event, "room")
            else:
                self.assert_allowed(room, event)

    def test_user_levels(self) -> None:
        for room, old in self.prepared():
            users = old["users"]
            for changed, allowed in (
                ({DAVE: 50}, True),
                ({DAVE: 51}, False),
                ({DAVE: 0}, True),
                ({CAROL: 49}, False),
                ({BOB: 10}, True),
                ({BOB: 51}, False),
                ({"@new:one": 50}, True),
                ({"@new:one": 51}, False),
            ):
                event = self.levels(room, {**old, "users": {**users, **changed}})
                if allowed:
                    self.assert_allowed(room, event)
                else:
                    self.assert_forbidden(room, event, "stand above|cannot give")
            without = {user: level for user, level in users.items() if user != CAROL}
            self.assert_forbidden(room, self.levels(room, {**old, "users": without}), "above")

    def test_malformed_users_are_never_allowed(self) -> None:
        for room, old in self.prepared():
            for users in ({"nonsense": 1}, {DAVE: None}, {DAVE: "x"}, {DAVE: True}, [], "x"):
                event = self.levels(room, {**old, "users": users}, ALICE)
                self.assert_forbidden(room, event, "not")

    def test_text_levels_until_version_9(self) -> None:
        for room, old in self.prepared():
            for content in ({"ban": " +0050 "}, {"events": {"m.x": "5"}}, {"kick": 50.9}):
                event = self.levels(room, {**old, **content})
                if room.version.integer_power_levels:
                    self.assert_forbidden(room, event, "not an integer")
                else:
                    self.assert_allowed(room, event)

    def test_first_power_levels(self) -> None:
        for room in self.rooms():
            event = self.levels(room, {"users": {CAROL: 10**6}, "ban": 10**6}, ALICE)
            self.assert_allowed(room, event)


class ReadingTests(AuthTestCase):
    def test_read_level(self) -> None:
        old, new = ROOM_VERSIONS["9"], ROOM_VERSIONS["10"]
        cases = {"100": 100, " -7 ": -7, "+5": 5, "1.5": None, "": None, "x": None, "1e3": None}
        for text, level in cases.items():
            self.assertEqual(read_level(text, old), level, text)
            self.assertIsNone(read_level(text, new))
        self.assertEqual(read_level(-1.9, old), -1)
        self.assertIsNone(read_level(float("inf"), old))
        self.assertIsNone(read_level(1.0, new))
        for version in (old, new):
            self.assertEqual(read_level(3, version), 3)
            self.assertIsNone(read_level(True, version))
            self.assertIsNone(read_level(None, version))

    def test_level_of_users(self) -> None:
        for version in ALL_VERSIONS:
            room = Room(version)
            creator = CREATOR_POWER_LEVEL if version.privileged_creators else 100
            self.assertEqual(power_level_of(ALICE, room.state, version), creator)
            self.assertEqual(power_level_of(BOB, room.state, version), 0)
            room.set_levels(users={BOB: 7}, users_default=3)
            self.assertEqual(power_level_of(ALICE, room.state, version), creator)
            self.assertEqual(power_level_of(BOB, room.state, version), 7)
            self.assertEqual(power_level_of(CAROL, room.state, version), 3)

    def test_required_levels(self) -> None:
        room = Room(ROOM_VERSIONS["12"])
        levels = PowerLevels.of_state(room.state, room.version)
        self.assertEqual(levels.required("m.x", is_state=True), 50)
        self.assertEqual(levels.required("m.x", is_state=False), 0)
        self.assertEqual(levels.named("invite"), 0)
        self.assertEqual(levels.notification("room"), 50)
        room.set_levels(events={"m.x": 5}, notifications={"room": 20}, invite=30)
        levels = PowerLevels.of_state(room.state, room.version)
        self.assertEqual(levels.required("m.x", is_state=True), 5)
        self.assertEqual(levels.notification("room"), 20)
        self.assertEqual(levels.named("invite"), 30)


class RedactionTests(AuthTestCase):
    def test_when_redactions_apply(self) -> None:
        for room in self.rooms(versions_from("3")):
            for user_id in (BOB, CAROL):
                room.join(user_id)
            room.set_levels(users={CAROL: 50}, redact=50)
            for sender, redacted, applies in (
                (BOB, ALICE, True),
                (BOB, CAROL, False),
                (CAROL, ALICE, True),
                (ALICE, DAVE, True),
            ):
                event = room.make(sender, EventTypes.REDACTION, {}, redacts="$x")
                self.assertIs(redaction_allowed(event, redacted, room.state), applies)
