"""Invites from other servers: what they tell is shown as far as it is well-formed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.events.event import Event, make_event
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.sync.stripped import StrippedRooms
from synapse_lite.util.background import start
from synapse_lite.util.json import JsonDict
from tests.events.support import BOB, CAROL, Room

VERSION = ROOM_VERSIONS["11"]
NAME = {"type": "m.room.name", "state_key": "", "sender": CAROL, "content": {"name": "There"}}


class Store:
    """Events by id; nothing is known of the state of any room."""

    def __init__(self, event: Event) -> None:
        self.event = event

    async def get_events(self, event_ids: Any) -> Any:
        return {self.event.event_id: self.event}


class StrippedRoomsTests(TestCase):
    def invite(self, told: Any, *, ignored: Any = ()) -> dict[str, list[JsonDict]]:
        member = Room(VERSION).member(CAROL, BOB, "invite")
        pdu = {**member.pdu, "unsigned": {"invite_room_state": told}}
        event = make_event(pdu, VERSION, member.event_id)
        event.metadata.outlier = True
        hs: Any = SimpleNamespace(part=lambda cls: Store(event))
        rooms = StrippedRooms(hs).of_rooms(
            {event.room_id: event.event_id}, "invite_room_state", ignored
        )
        return self.successResultOf(start(rooms))  # type: ignore[no-any-return]  # not typed

    def test_what_was_told_and_the_invite_itself(self) -> None:
        (events,) = self.invite([{**NAME, "unsigned": {"x": 1}}]).values()
        self.assertEqual(events[0], NAME)
        self.assertEqual(events[1]["state_key"], BOB)
        self.assertEqual(events[1]["content"], {"membership": "invite"})

    def test_nonsense_is_left_out(self) -> None:
        for told in (
            None,
            "x",
            {},
            ["x"],
            [{}],
            [{**NAME, "content": []}],
            [{**NAME, "type": 1}],
            [{**NAME, "state_key": None}],
        ):
            (events,) = self.invite(told).values()
            self.assertEqual([event["type"] for event in events], ["m.room.member"], told)

    def test_forged_copy_of_the_invite_is_left_out(self) -> None:
        forged = {"type": "m.room.member", "state_key": BOB, "sender": BOB, "content": {}}
        (events,) = self.invite([forged]).values()
        self.assertEqual([event["sender"] for event in events], [CAROL])

    def test_bounded(self) -> None:
        (events,) = self.invite([NAME] * 1000).values()
        self.assertLessEqual(len(events), 51)

    def test_invite_of_an_ignored_user(self) -> None:
        self.assertEqual(self.invite([NAME], ignored={CAROL}), {})
