"""The state before a timeline: after both, a client must have the current state."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.events.event import Event
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.storage.state_changes import StateChange
from synapse_lite.sync.state_section import at_start, changed_state, first_of_keys, whole_state
from tests.events.support import ALICE, BOB, Room

NAME, TOPIC = ("m.room.name", ""), ("m.room.topic", "")
MEMBER = ("m.room.member", BOB)


class StateSectionTests(TestCase):
    def setUp(self) -> None:
        self.room = Room(ROOM_VERSIONS["11"])

    def state_event(self, name: str, replaces: str | None) -> Event:
        event = self.room.send(ALICE, "m.room.name", {"name": name}, "")
        event.metadata.replaces_state = replaces
        return event

    def test_whole_state(self) -> None:
        first, second = self.state_event("1", "$old"), self.state_event("2", "$1")
        timeline = first_of_keys([first, second])
        state = {NAME: second.event_id, TOPIC: "$topic", MEMBER: "$bob"}
        self.assertEqual(
            whole_state(state, timeline, lambda kind: True, without_members=False),
            ["$old", "$topic", "$bob"],
        )
        self.assertEqual(
            whole_state(state, timeline, lambda kind: kind != "m.room.topic", without_members=True),
            ["$old"],
        )

    def test_key_that_the_timeline_sets_first_is_not_in_the_state(self) -> None:
        event = self.state_event("1", None)
        found = whole_state(
            {NAME: event.event_id},
            first_of_keys([event]),
            lambda kind: True,
            without_members=False,
        )
        self.assertEqual(found, [])

    def test_changes_that_the_timeline_shows_are_left_out(self) -> None:
        event = self.state_event("1", "$old")
        changes = [StateChange(5, NAME, event.event_id)]
        self.assertEqual(changed_state(changes, first_of_keys([event]), 4), [])

    def test_changes_in_a_gap(self) -> None:
        event = self.state_event("1", "$gap2")
        changes = [
            StateChange(5, NAME, "$gap1"),
            StateChange(6, NAME, "$gap2"),
            StateChange(7, TOPIC, "$topic1"),
            StateChange(9, NAME, event.event_id),
        ]
        self.assertEqual(changed_state(changes, first_of_keys([event]), 8), ["$gap2", "$topic1"])

    def test_state_that_resolution_changed_without_an_event_in_the_timeline(self) -> None:
        event = self.state_event("1", "$old")
        changes = [StateChange(9, NAME, event.event_id), StateChange(9, TOPIC, "$other_branch")]
        self.assertEqual(changed_state(changes, first_of_keys([event]), 8), ["$other_branch"])

    def test_what_went_away_cannot_be_told(self) -> None:
        changes = [StateChange(5, TOPIC, "$topic"), StateChange(6, TOPIC, None)]
        self.assertEqual(changed_state(changes, {}, 4), [])

    def test_one_key(self) -> None:
        event = self.state_event("1", "$old")
        timeline = first_of_keys([event])
        self.assertEqual(at_start(NAME, {NAME: event.event_id}, timeline), "$old")
        self.assertEqual(at_start(TOPIC, {TOPIC: "$topic"}, timeline), "$topic")
        self.assertIsNone(at_start(MEMBER, {}, timeline))
