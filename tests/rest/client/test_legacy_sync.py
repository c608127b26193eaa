"""/initialSync, /events and the peeking forms of both, at a master and at a synchrotron."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from synapse_lite.app.table import CLIENT_READER
from tests.harness.homeserver import make_worker
from tests.harness.http import Connection
from tests.harness.openapi import check_answer
from tests.sync.support import Client, SyncCase

READABLE = {
    "type": "m.room.history_visibility",
    "content": {"history_visibility": "world_readable"},
}


class EveryLegacySync(SyncCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.client("alice"), self.client("bob")

    def get(self, client: Client, path: str) -> Any:
        answer = self.door.request("GET", path, None, client.token)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def error(self, client: Client, path: str) -> tuple[int, str]:
        answer = self.door.request("GET", path, None, client.token)
        return answer.status, answer.json["errcode"]

    def start(self, client: Client, path: str) -> Connection:
        """Begin to wait."""
        connection = self.door.start_request("GET", path, access_token=client.token)
        connection.pump(rounds=5)
        self.assertIsNone(connection.answer())
        return connection

    def finish(self, connection: Connection) -> Any:
        connection.pump(rounds=20)
        answer = connection.answer()
        assert answer is not None
        check_answer("GET", "/_matrix/client/v3/events", answer.status, answer.json)
        return answer.json

    # initialSync

    def test_joined_rooms(self) -> None:
        room_id = self.alice.create_room(name="Cats", visibility="public")
        for number in range(4):
            self.alice.send(room_id, str(number))
        self.alice.set_state(room_id, "m.room.topic", {"topic": "new"})
        self.alice.ok("PUT", f"user/{self.alice.user_id}/rooms/{room_id}/tags/u.x", {})
        answer = self.get(self.alice, "initialSync?limit=3")
        (room,) = answer["rooms"]
        self.assertEqual((room["room_id"], room["membership"]), (room_id, "join"))
        self.assertEqual(room["visibility"], "public")
        chunk = room["messages"]["chunk"]
        self.assertEqual([e["content"].get("body") for e in chunk], ["2", "3", None])
        self.assertEqual({e["room_id"] for e in [*chunk, *room["state"]]}, {room_id})
        state = {event["type"]: event["content"] for event in room["state"]}
        self.assertEqual(
            (state["m.room.name"], state["m.room.topic"]), ({"name": "Cats"}, {"topic": "new"})
        )
        self.assertEqual(room["account_data"][0]["type"], "m.tag")
        self.assertIn("m.push_rules", [event["type"] for event in answer["account_data"]])
        token = room["messages"]["start"]
        page = self.alice.ok("GET", f"rooms/{room_id}/messages?dir=b&limit=1&from={token}")
        self.assertEqual(page["chunk"][0]["content"]["body"], "1")

    def test_invites_and_left_rooms(self) -> None:
        invited, left, banned = (self.alice.create_room() for _ in range(3))
        self.alice.invite(invited, self.bob.user_id)
        for room_id in (left, banned):
            self.bob.join(room_id)
            self.alice.send(room_id, "seen")
        self.bob.leave(left)
        self.alice.ok("POST", f"rooms/{banned}/ban", {"user_id": self.bob.user_id})
        for room_id in (left, banned):
            self.alice.send(room_id, "unseen")
        (room,) = self.get(self.bob, "initialSync")["rooms"]
        self.assertEqual((room["room_id"], room["membership"]), (invited, "invite"))
        self.assertEqual(room["inviter"], self.alice.user_id)
        self.assertEqual(room["invite"]["content"]["membership"], "invite")
        rooms = self.get(self.bob, "initialSync?archived=true")["rooms"]
        by_id = {room["room_id"]: room for room in rooms}
        self.assertEqual(by_id[left]["membership"], "leave")
        self.assertEqual(by_id[banned]["membership"], "ban")
        for room_id in (left, banned):
            bodies = [e["content"].get("body") for e in by_id[room_id]["messages"]["chunk"]]
            self.assertIn("seen", bodies)
            self.assertNotIn("unseen", bodies)

    def test_one_room(self) -> None:
        room_id, other = self.alice.create_room(), self.alice.create_room()
        self.bob.join(room_id)
        self.assertEqual(self.error(self.bob, f"rooms/{other}/initialSync")[0], 403)
        self.assertEqual(self.error(self.bob, "rooms/!none:test/initialSync")[0], 403)
        room = self.get(self.bob, f"rooms/{room_id}/initialSync")
        self.assertEqual((room["room_id"], room["membership"]), (room_id, "join"))
        self.bob.leave(room_id)
        self.alice.send(room_id, "unseen")
        room = self.get(self.bob, f"rooms/{room_id}/initialSync")
        self.assertEqual(room["membership"], "leave")
        self.assertNotIn("unseen", [e["content"].get("body") for e in room["messages"]["chunk"]])

    def test_peeking(self) -> None:
        room_id = self.alice.create_room(preset="private_chat", initial_state=[READABLE])
        self.alice.send(room_id, "one")
        room = self.get(self.bob, f"rooms/{room_id}/initialSync?limit=2")
        self.assertNotIn("membership", room)
        self.assertEqual(room["messages"]["chunk"][-1]["content"]["body"], "one")
        self.assertEqual(len(room["messages"]["chunk"]), 2)
        self.assertIn("m.room.create", [event["type"] for event in room["state"]])
        start = room["messages"]["end"]
        path = f"events?room_id={quote(room_id)}&from={start}"
        waiting = self.start(self.bob, path)
        event_id = self.alice.send(room_id, "two")
        answer = self.finish(waiting)
        self.assertEqual([event["event_id"] for event in answer["chunk"]], [event_id])
        self.assertEqual((answer["start"], answer["chunk"][0]["room_id"]), (start, room_id))
        waiting = self.start(self.bob, f"events?room_id={quote(room_id)}&from={answer['end']}")
        private = {"history_visibility": "shared"}
        self.alice.set_state(room_id, "m.room.history_visibility", private)
        waiting.pump(rounds=20)
        refused = waiting.answer()
        assert refused is not None
        self.assertEqual(refused.status, 403)
        self.assertEqual(self.error(self.bob, path), (403, "M_FORBIDDEN"))

    # events

    def test_events_of_all_rooms(self) -> None:
        one, two = self.alice.create_room(), self.alice.create_room()
        self.bob.join(one)
        self.bob.join(two)
        start = self.get(self.bob, "initialSync")["end"]
        first, second = self.alice.send(one, "1"), self.alice.send(two, "2")
        answer = self.get(self.bob, f"events?from={start}&timeout=0")
        found = {event["event_id"]: event["room_id"] for event in answer["chunk"]}
        self.assertEqual(found, {first: one, second: two})
        answer = self.get(self.bob, f"events?from={answer['end']}&timeout=0")
        self.assertEqual(answer["chunk"], [])

    def test_events_are_waited_for(self) -> None:
        room_id = self.alice.create_room()
        self.bob.join(room_id)
        waiting = self.start(self.bob, "events")
        self.alice.ok("PUT", f"rooms/{room_id}/typing/{self.alice.user_id}", {"typing": True})
        waiting.pump(rounds=20)
        self.assertIsNone(waiting.answer())
        event_id = self.alice.send(room_id, "hi")
        answer = self.finish(waiting)
        self.assertEqual([event["event_id"] for event in answer["chunk"]], [event_id])
        waiting = self.start(self.bob, f"events?from={answer['end']}")
        self.master.reactor.advance(31)
        self.assertEqual(self.finish(waiting)["chunk"], [])

    def test_invites_and_kicks_are_events(self) -> None:
        room_id = self.alice.create_room()
        start = self.get(self.bob, "initialSync")["end"]
        self.alice.invite(room_id, self.bob.user_id)
        answer = self.get(self.bob, f"events?from={start}")
        self.assertEqual(answer["chunk"][0]["content"]["membership"], "invite")
        self.bob.join(room_id)
        start = self.get(self.bob, "initialSync")["end"]
        self.alice.ok("POST", f"rooms/{room_id}/kick", {"user_id": self.bob.user_id})
        answer = self.get(self.bob, f"events?from={start}")
        self.assertEqual(answer["chunk"][-1]["content"]["membership"], "leave")

    def test_bad_input(self) -> None:
        for path in (
            "events?from=nonsense",
            "events?timeout=-1",
            "events?room_id=!r:test&from=nonsense",
            "initialSync?limit=x",
            "initialSync?archived=x",
        ):
            self.assertEqual(self.error(self.alice, path), (400, "M_INVALID_PARAM"), path)
        path = "events?room_id=!none:test"
        self.assertEqual(self.error(self.alice, path), (403, "M_FORBIDDEN"))

    def test_one_event(self) -> None:
        room_id = self.alice.create_room()
        event_id = self.alice.send(room_id, "hi")
        for server in (self.master, make_worker(CLIENT_READER, self.master)):
            path = f"events/{quote(event_id)}"
            answer = server.request("GET", path, None, self.alice.token)
            self.assertEqual(answer.json["room_id"], room_id)
            for client, event in ((self.bob, event_id), (self.alice, "$none")):
                answer = server.request("GET", f"events/{quote(event)}", None, client.token)
                self.assertEqual((answer.status, answer.json["errcode"]), (404, "M_NOT_FOUND"))

    def test_a_listener_to_a_room_leaves_nothing_behind(self) -> None:
        room_id = self.alice.create_room(initial_state=[READABLE])
        waiting = self.start(self.bob, f"events?room_id={quote(room_id)}")
        waiting.disconnect()
        waiting.pump(rounds=3)
        self.alice.send(room_id, "hi")
        self.assertIsNone(waiting.answer())


class MasterLegacySyncTests(EveryLegacySync):
    """At the master."""


class WorkerLegacySyncTests(EveryLegacySync):
    """At a synchrotron."""

    at_worker = True


del EveryLegacySync
