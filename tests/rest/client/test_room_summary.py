"""Summaries of rooms, for members and others."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from synapse_lite.app.table import CLIENT_READER
from tests.harness.homeserver import make_worker
from tests.rest.client.rooms import BOB, CAROL, RoomsCase

V1 = "/_matrix/client/v1/room_summary"
UNSTABLE = "/_matrix/client/unstable/im.nheko.summary"


class RoomSummaryTests(RoomsCase):
    def summary(self, room: str, token: str | None = None) -> Any:
        return self.ok("GET", f"{V1}/{quote(room, safe='')}?via=test", None, token)

    def is_shown(self, room: str, token: str | None) -> bool:
        """Whether somebody (or anybody, without a token) is shown the summary."""
        answer = self.master.request("GET", f"{V1}/{quote(room, safe='')}", None, token)
        if answer.status != 200:
            self.assert_error(answer, 404, "M_NOT_FOUND")
        return answer.status == 200

    def test_all_that_there_is(self) -> None:
        room_id = self.room(
            room_version="11",
            name="Cats",
            topic="Purring",
            room_alias_name="cats",
            creation_content={"type": "m.space"},
            initial_state=[
                {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
                {"type": "m.room.avatar", "content": {"url": "mxc://test/cat"}},
            ],
        )
        self.join(room_id, self.bob)
        expected = {
            "room_id": room_id,
            "name": "Cats",
            "topic": "Purring",
            "avatar_url": "mxc://test/cat",
            "canonical_alias": "#cats:test",
            "room_type": "m.space",
            "room_version": "11",
            "encryption": "m.megolm.v1.aes-sha2",
            "join_rule": "public",
            "num_joined_members": 2,
            "world_readable": False,
            "guest_can_join": False,
        }
        for room in (room_id, "#cats:test"):
            self.assertEqual(self.summary(room), {**expected, "membership": "join"})
        self.assertEqual(self.summary(room_id, self.carol)["membership"], "leave")
        answer = self.master.request("GET", f"{V1}/{room_id}")
        self.assertEqual(answer.json, expected)
        worker = make_worker(CLIENT_READER, self.master)
        for path in (f"summary/{room_id}", f"rooms/{room_id}/summary"):
            found = worker.request("GET", f"{UNSTABLE}/{path}", None, self.bob).json
            self.assertEqual(found["im.nheko.summary.room_version"], "11")
            self.assertEqual(found["im.nheko.summary.encryption"], "m.megolm.v1.aes-sha2")
            self.assertEqual((found["name"], found["membership"]), ("Cats", "join"))

    def test_it_is_up_to_date(self) -> None:
        room_id = self.room(name="Cats")
        worker = make_worker(CLIENT_READER, self.master)

        def shown() -> Any:
            answer = worker.request("GET", f"{V1}/{room_id}", None, self.bob).json
            return answer["name"], answer["num_joined_members"], answer["membership"]

        self.assertEqual(shown(), ("Cats", 1, "leave"))
        self.ok("PUT", f"rooms/{room_id}/state/m.room.name", {"name": "Dogs"})
        self.join(room_id, self.bob)
        self.assertEqual(shown(), ("Dogs", 2, "join"))

    def test_without_news_it_costs_no_query(self) -> None:
        room_id = self.room()
        self.summary(room_id)
        with self.master.db.recording() as statements:
            self.summary(room_id)
        self.assertEqual(statements, [])

    def test_who_is_shown_what(self) -> None:
        readable = {
            "type": "m.room.history_visibility",
            "content": {"history_visibility": "world_readable"},
        }
        public = self.room()
        private = self.room(preset="private_chat")
        world_readable = self.room(preset="private_chat", initial_state=[readable])
        knock = self.room_with_rule("knock", "7")
        old_knock = self.room_with_rule("knock", "6")
        for room_id, for_anybody in (
            (public, True),
            (private, False),
            (world_readable, True),
            (knock, True),
            (old_knock, False),
            ("!none:test", False),
        ):
            for token in (None, self.bob):
                self.assertEqual(self.is_shown(room_id, token), for_anybody, room_id)
        self.assertTrue(self.is_shown(private, self.alice))
        self.ok("POST", f"rooms/{private}/invite", {"user_id": BOB})
        self.assertEqual(self.summary(private, self.bob)["membership"], "invite")

    def room_with_rule(self, rule: str, version: str, *allowed: str) -> str:
        content = {
            "join_rule": rule,
            "allow": [{"type": "m.room_membership", "room_id": each} for each in allowed],
        }
        state = [{"type": "m.room.join_rules", "content": content}]
        return self.room(preset="private_chat", room_version=version, initial_state=state)

    def test_restricted_rooms_are_shown_to_whom_they_let_in(self) -> None:
        other = self.room(preset="private_chat")
        restricted = self.room_with_rule("restricted", "9", other)
        self.assertFalse(self.is_shown(restricted, None))
        self.assertFalse(self.is_shown(restricted, self.bob))
        self.ok("POST", f"rooms/{other}/invite", {"user_id": BOB})
        self.assertFalse(self.is_shown(restricted, self.bob))
        self.join(other, self.bob)
        self.assertEqual(self.summary(restricted, self.bob)["allowed_room_ids"], [other])
        knockable = self.room_with_rule("knock_restricted", "10", other)
        self.assertTrue(self.is_shown(knockable, None))
        self.assertFalse(self.is_shown(self.room_with_rule("restricted", "7", other), self.bob))

    def test_a_knock_and_a_ban_are_told(self) -> None:
        room_id = self.room_with_rule("knock", "7")
        self.ok("POST", f"knock/{room_id}", {}, self.bob)
        self.assertEqual(self.summary(room_id, self.bob)["membership"], "knock")
        self.ok("POST", f"rooms/{room_id}/ban", {"user_id": CAROL})
        self.assertEqual(self.summary(room_id, self.carol)["membership"], "ban")

    def test_bad_input(self) -> None:
        answer = self.request("GET", f"{V1}/cats")
        self.assert_error(answer, 400, "M_INVALID_PARAM")
        for alias in ("#none:test", "#none:elsewhere"):
            answer = self.request("GET", f"{V1}/{quote(alias, safe='')}")
            self.assert_error(answer, 404, "M_NOT_FOUND")
