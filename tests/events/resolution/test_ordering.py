"""The orders of state resolution 2."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.events.resolution.ordering import (
    mainline_order,
    reverse_topological_power_order,
)
from synapse_lite.events.room_versions import ROOM_VERSIONS

from ..support import ALICE, BOB, CAROL, MemoryLoader, Room


class TopologicalTests(SynchronousTestCase):
    def order(self, room: Room, events) -> list:
        create = room.create if room.version.room_id_from_create_event else None
        forwards = reverse_topological_power_order(events, room.events, create)
        backwards = reverse_topological_power_order(events[::-1], room.events, create)
        self.assertEqual(forwards, backwards)
        return forwards

    def test_power_then_time_then_id(self) -> None:
        for identifier in ("2", "11", "12"):
            room = Room(ROOM_VERSIONS[identifier])
            for user_id in (BOB, CAROL):
                room.join(user_id)
            room.set_levels(users={BOB: 50})
            late = room.send(ALICE, "m.x", {}, "1", timestamp=9)
            early = room.send(ALICE, "m.x", {}, "2", timestamp=8)
            middle = room.send(BOB, "m.x", {}, "3", timestamp=7)
            twins = [room.send(CAROL, "m.x", {"n": n}, "4", timestamp=6) for n in range(3)]
            twins.sort(key=lambda event: event.event_id)
            expected = [early, late, middle, *twins]
            self.assertEqual(self.order(room, [*twins, late, middle, early]), expected)

    def test_auth_events_come_first(self) -> None:
        for identifier in ("2", "11", "12"):
            room = Room(ROOM_VERSIONS[identifier])
            room.set_levels(users={BOB: 50})
            weak = room.join(BOB)
            strong = room.member(ALICE, BOB, "ban")
            room.events[strong.event_id] = strong
            self.assertIn(weak.event_id, strong.auth_event_ids)
            self.assertEqual(self.order(room, [strong, weak]), [weak, strong])


class MainlineTests(SynchronousTestCase):
    def test_mainline_then_time_then_id(self) -> None:
        for identifier in ("2", "11", "12"):
            room = Room(ROOM_VERSIONS[identifier])
            without = room.send(ALICE, "m.x", {}, "0", timestamp=9)
            room.set_levels(users={BOB: 1})
            first = room.send(ALICE, "m.x", {}, "1", timestamp=8)
            side = dict(room.state)
            current = room.set_levels(users={BOB: 2})
            late = room.send(ALICE, "m.x", {}, "2", timestamp=7)
            early = room.send(ALICE, "m.x", {}, "3", timestamp=6)
            room.state = side
            room.set_levels(users={BOB: 3})
            beside = room.send(ALICE, "m.x", {}, "4", timestamp=5)
            events = [late, early, beside, first, without]
            expected = [without, beside, first, early, late]
            for given in (events, events[::-1]):
                ordered = self.successResultOf(
                    Deferred.fromCoroutine(
                        mainline_order(given, current.event_id, MemoryLoader(room.events))
                    )
                )
                self.assertEqual(ordered, expected, identifier)

    def test_without_power_levels_time_decides(self) -> None:
        room = Room(ROOM_VERSIONS["11"])
        late = room.send(ALICE, "m.x", {}, "0", timestamp=9)
        early = room.send(ALICE, "m.x", {}, "1", timestamp=8)
        ordered = self.successResultOf(
            Deferred.fromCoroutine(mainline_order([late, early], None, MemoryLoader(room.events)))
        )
        self.assertEqual(ordered, [early, late])
