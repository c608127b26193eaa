"""Reading state and members of rooms, over HTTP."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import CLIENT_READER
from tests.harness.homeserver import Answer, make_worker
from tests.rest.client.rooms import ALICE, BOB, CAROL, RoomsCase

WORLD_READABLE = {"history_visibility": "world_readable"}


class ReadingCase(RoomsCase):
    """A room of Alice and Bob; answers come from a client_reader."""

    def setUp(self) -> None:
        super().setUp()
        self.reader = make_worker(CLIENT_READER, self.master)
        self.room_id = self.room(name="First")
        self.join(self.room_id, self.bob)

    def get(self, path: str, token: str | None = None) -> Answer:
        """A request to the worker about the room."""
        path = f"rooms/{self.room_id}/{path}"
        return self.reader.request("GET", path, None, token or self.alice)

    def got(self, path: str, token: str | None = None) -> Any:
        """The JSON of an answer that must be 200."""
        answer = self.get(path, token)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def set(self, event_type: str, content: Any) -> str:
        """Set state of the room. Returns the event id."""
        path = f"rooms/{self.room_id}/state/{event_type}"
        event_id: str = self.ok("PUT", path, content)["event_id"]
        return event_id

    def leave(self, token: str) -> None:
        self.ok("POST", f"rooms/{self.room_id}/leave", {}, token)


class StateTests(ReadingCase):
    def state_of(self, token: str) -> dict[tuple[str, str], Any]:
        events = self.got("state", token)
        return {(event["type"], event["state_key"]): event["content"] for event in events}

    def test_current_state(self) -> None:
        event_id = self.set("m.room.name", {"name": "Second"})
        events = self.got("state")
        state = {(event["type"], event["state_key"]): event for event in events}
        self.assertEqual(len(state), len(events))
        self.assertEqual(
            {kind for kind, _ in state},
            {
                "m.room.create",
                "m.room.member",
                "m.room.power_levels",
                "m.room.join_rules",
                "m.room.history_visibility",
                "m.room.guest_access",
                "m.room.name",
            },
        )
        self.assertEqual(state["m.room.name", ""]["event_id"], event_id)
        self.assertEqual(state["m.room.name", ""]["content"], {"name": "Second"})
        self.assertEqual(state["m.room.name", ""]["room_id"], self.room_id)
        self.assertEqual({key for kind, key in state if kind == "m.room.member"}, {ALICE, BOB})

    def test_who_left_sees_the_state_as_of_then(self) -> None:
        self.leave(self.bob)
        self.set("m.room.name", {"name": "Later"})
        self.set("m.room.topic", {"topic": "New"})
        self.join(self.room_id, self.carol)
        state = self.state_of(self.bob)
        self.assertEqual(state["m.room.name", ""], {"name": "First"})
        self.assertNotIn(("m.room.topic", ""), state)
        self.assertEqual(state["m.room.member", BOB], {"membership": "leave"})
        self.assertNotIn(("m.room.member", CAROL), state)
        self.assertEqual(self.got("state/m.room.name", self.bob), {"name": "First"})
        self.assert_error(self.get("state/m.room.topic", self.bob), 404, "M_NOT_FOUND")
        self.assertEqual(self.state_of(self.alice)["m.room.name", ""], {"name": "Later"})

    def test_who_was_never_there_sees_nothing(self) -> None:
        for path in ("state", "state/m.room.name", "state/m.room.none", "members"):
            with self.subTest(path=path):
                self.assert_error(self.get(path, self.carol), 403, "M_FORBIDDEN")
        for path in ("state", "state/m.room.name/", "members", "joined_members"):
            answer = self.reader.request("GET", f"rooms/!none:test/{path}", None, self.alice)
            self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_strangers_read_a_world_readable_room(self) -> None:
        self.set("m.room.history_visibility", WORLD_READABLE)
        self.assertEqual(self.got("state/m.room.name", self.carol), {"name": "First"})
        self.assertEqual(self.state_of(self.carol)["m.room.name", ""], {"name": "First"})
        self.assertEqual(len(self.got("members", self.carol)["chunk"]), 2)
        self.assert_error(self.get("joined_members", self.carol), 403, "M_FORBIDDEN")

    def test_one_piece_of_state(self) -> None:
        for path in ("state/m.room.name", "state/m.room.name/"):
            self.assertEqual(self.got(path), {"name": "First"})
        member = self.got(f"state/m.room.member/{BOB}")
        self.assertEqual(member["membership"], "join")
        self.assert_error(self.get("state/m.room.topic"), 404, "M_NOT_FOUND")
        self.assert_error(self.get("state/m.room.name/other"), 404, "M_NOT_FOUND")

    def test_the_whole_event(self) -> None:
        event_id = self.set("m.room.name", {"name": "Second"})
        event = self.got("state/m.room.name?format=event")
        self.assertEqual(event["event_id"], event_id)
        self.assertEqual(event["content"], {"name": "Second"})
        self.assertEqual(event["sender"], ALICE)
        self.assertEqual(event["room_id"], self.room_id)
        self.assertEqual(self.got("state/m.room.name?format=content"), {"name": "Second"})
        self.assert_error(self.get("state/m.room.name?format=other"), 400, "M_INVALID_PARAM")

    def test_old_prefixes(self) -> None:
        for prefix in ("r0", "api/v1", "unstable"):
            path = f"/_matrix/client/{prefix}/rooms/{self.room_id}/state/m.room.name"
            answer = self.reader.request("GET", path, None, self.alice)
            self.assertEqual(answer.json, {"name": "First"})


class MembersTests(ReadingCase):
    def members(self, query: str = "", token: str | None = None) -> dict[str, str]:
        events = self.got(f"members{query}", token)["chunk"]
        return {event["state_key"]: event["content"]["membership"] for event in events}

    def test_filters(self) -> None:
        self.ok("POST", f"rooms/{self.room_id}/invite", {"user_id": CAROL})
        self.leave(self.bob)
        everybody = {ALICE: "join", BOB: "leave", CAROL: "invite"}
        for query, expected in (
            ("", {ALICE, BOB, CAROL}),
            ("?membership=join", {ALICE}),
            ("?membership=leave", {BOB}),
            ("?membership=knock", set()),
            ("?not_membership=leave", {ALICE, CAROL}),
            ("?membership=join&not_membership=invite", {ALICE, BOB}),
            ("?membership=join&not_membership=join", {ALICE, BOB, CAROL}),
        ):
            with self.subTest(query=query):
                self.assertEqual(
                    self.members(query), {user_id: everybody[user_id] for user_id in expected}
                )
        self.assert_error(self.get("members?membership=other"), 400, "M_INVALID_PARAM")

    def test_who_left_sees_the_members_of_then(self) -> None:
        self.leave(self.bob)
        self.join(self.room_id, self.carol)
        self.assertEqual(self.members("", self.bob), {ALICE: "join", BOB: "leave"})
        self.assertEqual(self.members("?membership=join", self.bob), {ALICE: "join"})

    def test_members_at_a_token(self) -> None:
        start = self.got("messages?dir=b&limit=1")["start"]
        self.join(self.room_id, self.carol)
        self.leave(self.bob)
        self.assertEqual(self.members(f"?at={start}"), {ALICE: "join", BOB: "join"})
        self.assertEqual(self.members(f"?at={start}&membership=join"), {ALICE: "join", BOB: "join"})
        self.assertEqual(self.members("?membership=join"), {ALICE: "join", CAROL: "join"})
        now = self.got("messages?dir=b&limit=1")["start"]
        self.ok("POST", f"rooms/{self.room_id}/kick", {"user_id": CAROL})
        # Bob has seen the room until he left, whatever token he names.
        self.assertEqual(
            self.members(f"?at={now}", self.bob), {ALICE: "join", BOB: "leave", CAROL: "join"}
        )
        self.assert_error(self.get("members?at=yesterday"), 400, "M_INVALID_PARAM")

    def test_members_at_a_time_that_is_hidden(self) -> None:
        self.set("m.room.history_visibility", {"history_visibility": "joined"})
        self.master.send(self.alice, self.room_id, "secret")
        before = self.got("messages?dir=b&limit=1")["start"]
        self.join(self.room_id, self.carol)
        self.assert_error(self.get(f"members?at={before}", self.carol), 403, "M_FORBIDDEN")
        self.assertEqual(self.members(f"?at={before}"), {ALICE: "join", BOB: "join"})

    def test_joined_members(self) -> None:
        path = f"profile/{BOB}/displayname"
        self.ok("PUT", path, {"displayname": "Bob the cat"}, self.bob)
        self.leave(self.bob)
        self.join(self.room_id, self.bob)
        self.ok("POST", f"rooms/{self.room_id}/invite", {"user_id": CAROL})
        content = {"membership": "join", "displayname": None, "avatar_url": "mxc://test/alice"}
        self.ok("PUT", f"rooms/{self.room_id}/state/m.room.member/{ALICE}", content)
        joined = self.got("joined_members", self.bob)["joined"]
        self.assertEqual(joined[BOB]["display_name"], "Bob the cat")
        self.assertEqual(joined[ALICE], {"avatar_url": "mxc://test/alice"})
        self.assertEqual(set(joined), {ALICE, BOB})
        self.leave(self.bob)
        self.assert_error(self.get("joined_members", self.bob), 403, "M_FORBIDDEN")

    def test_joined_rooms(self) -> None:
        def joined(token: str) -> set[str]:
            answer = self.reader.request("GET", "joined_rooms", None, token)
            return set(answer.json["joined_rooms"])

        other = self.room()
        self.ok("POST", f"rooms/{other}/invite", {"user_id": BOB})
        self.assertEqual(joined(self.alice), {self.room_id, other})
        self.assertEqual(joined(self.bob), {self.room_id})
        self.leave(self.bob)
        self.assertEqual(joined(self.bob), set())
