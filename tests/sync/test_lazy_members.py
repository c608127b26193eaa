"""What a device has been sent is not sent again, unless it may have been lost."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.sync.lazy_members import SentMembers
from synapse_lite.types.requester import Requester
from synapse_lite.util.caches.budget import MemoryBudget

PHONE = Requester("@alice:test", "PHONE")
LAPTOP = Requester("@alice:test", "LAPTOP")
ROOM, BOB = "!room:test", "@bob:test"


class SentMembersTests(TestCase):
    def setUp(self) -> None:
        self.sent = SentMembers(MemoryBudget(1_000_000))

    def has(self, requester: Requester, event_id: str, since: int, room_id: str = ROOM) -> bool:
        return self.sent.has(requester, room_id, BOB, event_id, since)

    def test_known_once_the_client_comes_back_with_the_answer(self) -> None:
        self.assertFalse(self.has(PHONE, "$1", 10))
        self.sent.note(PHONE, ROOM, {BOB: "$1"}, 10)
        self.assertFalse(self.has(PHONE, "$1", 9))
        self.assertTrue(self.has(PHONE, "$1", 10))
        self.assertTrue(self.has(PHONE, "$1", 11))

    def test_each_device_and_room_for_itself(self) -> None:
        self.sent.note(PHONE, ROOM, {BOB: "$1"}, 10)
        self.assertFalse(self.has(LAPTOP, "$1", 10))
        self.assertFalse(self.has(PHONE, "$1", 10, "!other:test"))

    def test_new_membership_event_is_news(self) -> None:
        self.sent.note(PHONE, ROOM, {BOB: "$1"}, 10)
        self.assertFalse(self.has(PHONE, "$2", 20))
        self.sent.note(PHONE, ROOM, {BOB: "$2"}, 20)
        self.assertTrue(self.has(PHONE, "$2", 20))
        self.assertFalse(self.has(PHONE, "$1", 20))

    def test_sent_again_is_known_since_the_first_time(self) -> None:
        self.sent.note(PHONE, ROOM, {BOB: "$1"}, 10)
        self.sent.note(PHONE, ROOM, {BOB: "$1"}, 20)
        self.assertTrue(self.has(PHONE, "$1", 15))

    def test_large_rooms_are_bounded(self) -> None:
        for number in range(2000):
            self.sent.note(PHONE, ROOM, {f"@user{number}:test": "$1"}, 10)
        known = [
            number
            for number in range(2000)
            if self.sent.has(PHONE, ROOM, f"@user{number}:test", "$1", 10)
        ]
        self.assertLessEqual(len(known), 500)
        self.assertIn(1999, known)
