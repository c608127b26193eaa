"""Rooms that two users share."""

from __future__ import annotations

from typing import Any
from unittest import mock

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.handlers import mutual_rooms
from tests.harness.homeserver import make_worker
from tests.rest.client.rooms import ALICE, BOB, RoomsCase

PATH = "/_matrix/client/v1/mutual_rooms"
UNSTABLE = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"


class MutualRoomsTests(RoomsCase):
    def page(self, query: str = f"user_id={BOB}") -> Any:
        return self.ok("GET", f"{PATH}?{query}")

    def test_only_rooms_that_both_have_joined(self) -> None:
        worker = make_worker(CLIENT_READER, self.master)
        shared, left, _, invited = (self.room() for _ in range(4))
        self.join(shared, self.bob)
        self.join(left, self.bob)
        self.ok("POST", f"rooms/{left}/leave", {}, self.bob)
        self.ok("POST", f"rooms/{invited}/invite", {"user_id": BOB})
        expected = {"joined": [shared], "count": 1}
        self.assertEqual(self.page(), expected)
        answer = worker.request("GET", f"{PATH}?user_id={ALICE}", None, self.bob)
        self.assertEqual(answer.json, expected)
        old = self.ok("GET", f"{UNSTABLE}?user_id={BOB}")
        self.assertEqual(old, {"joined": [shared]})

    def test_pages(self) -> None:
        rooms = sorted(self.room() for _ in range(5))
        for room_id in rooms:
            self.join(room_id, self.bob)
        with mock.patch.object(mutual_rooms, "PAGE", 2):
            found = []
            query = f"user_id={BOB}"
            for _ in range(3):
                page = self.page(query)
                self.assertEqual(page["count"], 5)
                found += page["joined"]
                query = f"user_id={BOB}&from={page.get('next_batch')}"
        self.assertEqual(found, rooms)
        self.assertNotIn("next_batch", page)

    def test_users_that_are_not_there_share_nothing(self) -> None:
        self.room()
        for user_id in ("@none:test", "@none:elsewhere"):
            found = self.page(f"user_id={user_id}")
            self.assertEqual(found, {"joined": [], "count": 0})

    def test_bad_input(self) -> None:
        self.assert_error(self.request("GET", PATH), 400, "M_MISSING_PARAM")
        for query in (
            "user_id=bob",
            f"user_id={ALICE}",
            f"user_id={BOB}&from=!",
            f"user_id={BOB}&from=aaaa",
            f"user_id={BOB}&from={'a' * 1000}",
        ):
            answer = self.request("GET", f"{PATH}?{query}")
            self.assert_error(answer, 400, "M_INVALID_PARAM")
