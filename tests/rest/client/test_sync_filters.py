"""What filters of /sync and /messages leave of events, and what every answer of /sync has."""

from __future__ import annotations

from typing import Any

from synapse_lite.util.json import encode_json
from tests.sync.support import Client, SyncCase, bodies, state_of

ALWAYS = {"type", "event_id", "sender", "origin_server_ts", "content"}


class EverySyncFilter(SyncCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.client("alice"), self.client("bob")
        self.room_id = self.alice.create_room(name="Room")
        self.bob.join(self.room_id)

    def room(self, client: Client, **options: Any) -> Any:
        """The room's part of the client's next answer."""
        return client.sync(**options)["rooms"]["join"][self.room_id]

    # Keys

    def test_answers_say_that_no_keys_are_left(self) -> None:
        expected = {"signed_curve25519": 0}
        for _ in range(2):
            answer = self.alice.sync()
            self.assertEqual(answer["device_one_time_keys_count"], expected)
            self.assertEqual(answer["device_unused_fallback_key_types"], [])
            for section in ("to_device", "device_lists", "presence"):
                self.assertEqual(answer.get(section, {}), {})

    def test_no_keys_are_no_news(self) -> None:
        self.alice.sync()
        waiting = self.alice.start_sync()
        self.assertIsNone(waiting.answer())
        self.bob.send(self.room_id, "hi")
        self.assertIn(self.room_id, self.alice.finish_sync(waiting)["rooms"]["join"])

    # Fields

    def test_only_some_fields(self) -> None:
        self.alice.sync()
        self.bob.sync()
        path = f"rooms/{self.room_id}/send/m.room.message/1"
        content = {"msgtype": "m.text", "body": "hi", "a.b": {"c": 1, "d": 2}, "e\\f": 3}
        event_id = self.alice.ok("PUT", path, content)["event_id"]
        fields = ["event_id", "content.body", r"content.a\.b.c", r"content.e\\f", "no.such", ""]
        room = self.room(self.bob, filter={"event_fields": fields})
        (event,) = room["timeline"]["events"]
        self.assertEqual(event.keys(), ALWAYS)
        self.assertEqual(event["event_id"], event_id)
        self.assertEqual(event["content"], {"body": "hi", "a.b": {"c": 1}, "e\\f": 3})
        room = self.room(self.alice)
        (event,) = room["timeline"]["events"]
        self.assertEqual(event["content"], content)
        self.assertEqual(event["unsigned"]["transaction_id"], "1")

    def test_fields_hold_for_state_and_for_one_s_own_events(self) -> None:
        wanted = {"event_fields": ["type", "unsigned.transaction_id"]}
        self.alice.send(self.room_id, "mine")
        room = self.room(self.alice, filter=wanted)
        every = [*room["state"]["events"], *room["timeline"]["events"]]
        self.assertEqual([event["content"] for event in every], [{}] * len(every))
        self.assertEqual(every[0].keys(), ALWAYS | {"state_key"})
        self.assertEqual(every[-1].keys(), ALWAYS | {"unsigned"})
        self.assertEqual(every[-1]["unsigned"].keys(), {"transaction_id"})

    def test_fields_that_are_within_others(self) -> None:
        self.bob.sync()
        self.alice.send(self.room_id, "hi")
        wanted = {"event_fields": ["content.body", "content"]}
        (event,) = self.room(self.bob, filter=wanted)["timeline"]["events"]
        self.assertEqual(event["content"], {"msgtype": "m.text", "body": "hi"})

    def test_no_fields(self) -> None:
        self.bob.sync()
        self.alice.send(self.room_id, "hi")
        (event,) = self.room(self.bob, filter={"event_fields": []})["timeline"]["events"]
        self.assertEqual((event.keys(), event["content"]), (ALWAYS, {}))

    def test_fields_of_events_as_servers_have_them(self) -> None:
        self.bob.sync()
        self.alice.send(self.room_id, "hi")
        wanted = {"event_format": "federation", "event_fields": ["depth", "type"]}
        answer = self.door.request(
            "GET", self.bob.path(filter=wanted), access_token=self.bob.token, judged=False
        )
        (event,) = answer.json["rooms"]["join"][self.room_id]["timeline"]["events"]
        self.assertEqual(event.keys(), ALWAYS - {"event_id"} | {"depth"})

    def test_clients_with_other_fields_do_not_share(self) -> None:
        carol = self.client("carol")
        carol.join(self.room_id)
        for client in (self.alice, self.bob, carol):
            client.sync()
        self.alice.send(self.room_id, "hi")
        wanted = {"event_fields": ["type"]}
        (event,) = self.room(self.bob, filter=wanted)["timeline"]["events"]
        self.assertEqual(event["content"], {})
        (event,) = self.room(carol)["timeline"]["events"]
        self.assertEqual(event["content"]["body"], "hi")

    # Parts

    def test_events_with_urls(self) -> None:
        for client, contains_url, expected in (
            (self.alice, True, ["picture"]),
            (self.bob, False, ["text"]),
        ):
            client.sync()
            self.alice.send(self.room_id, "text")
            path = f"rooms/{self.room_id}/send/m.room.message/{client.name}"
            content = {"msgtype": "m.image", "body": "picture", "url": "mxc://test/1"}
            self.alice.ok("PUT", path, content)
            wanted = {"room": {"timeline": {"contains_url": contains_url}}}
            self.assertEqual(bodies(self.room(client, filter=wanted)), expected)

    def test_limits(self) -> None:
        self.bob.sync()
        for number in range(3):
            self.alice.send(self.room_id, str(number))
        room = self.room(self.bob, filter={"room": {"timeline": {"limit": 0}}})
        self.assertEqual((room["timeline"]["events"], room["timeline"]["limited"]), ([], True))
        self.bob.since = None
        room = self.room(self.bob, filter={"room": {"timeline": {"limit": 2}}})
        self.assertEqual(bodies(room), ["1", "2"])
        self.bob.since = None
        room = self.room(self.bob, filter={"room": {"timeline": {"limit": 1_000_000}}})
        self.assertFalse(room["timeline"]["limited"])

    def test_rooms_of_one_part(self) -> None:
        other = self.alice.create_room()
        self.bob.join(other)
        wanted = {"room": {"timeline": {"rooms": [other]}, "state": {"not_rooms": [other]}}}
        rooms = self.bob.sync(filter=wanted)["rooms"]["join"]
        self.assertEqual(rooms[self.room_id]["timeline"]["events"], [])
        self.assertIn(("m.room.create", ""), state_of(rooms[self.room_id]))
        self.assertNotEqual(rooms[other]["timeline"]["events"], [])
        self.assertEqual(rooms[other]["state"]["events"], [])
        none = self.bob.sync(full_state=True, filter={"room": {"rooms": []}})
        self.assertNotIn("rooms", none)

    # Members

    def test_whole_state_for_lazy_clients(self) -> None:
        carol = self.client("carol")
        carol.join(self.room_id)
        self.bob.send(self.room_id, "hi")
        lazy = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}}
        self.alice.sync(filter=lazy)
        room = self.room(self.alice, filter=lazy, full_state=True)
        state = state_of(room)
        self.assertIn(("m.room.create", ""), state)
        self.assertIn(("m.room.member", self.alice.user_id), state)
        self.assertNotIn(("m.room.member", carol.user_id), state)
        carol.send(self.room_id, "hello")
        room = self.room(self.alice, filter=lazy, full_state=True)
        self.assertIn(("m.room.member", carol.user_id), state_of(room))

    def test_knocked_rooms(self) -> None:
        rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
        room_id = self.alice.create_room(name="Closed", initial_state=[rule])
        self.bob.sync()
        self.bob.ok("POST", f"knock/{room_id}", {"reason": "please"})
        rooms = self.bob.sync(filter={"room": {"not_rooms": [room_id]}}).get("rooms", {})
        self.assertNotIn("knock", rooms)
        self.bob.since = None
        events = self.bob.sync()["rooms"]["knock"][room_id]["knock_state"]["events"]
        shown = {(event["type"], event["state_key"]): event["content"] for event in events}
        self.assertEqual(shown["m.room.name", ""], {"name": "Closed"})
        self.assertEqual(shown["m.room.member", self.bob.user_id]["membership"], "knock")


class MasterSyncFilterTests(EverySyncFilter):
    """At the master."""


class WorkerSyncFilterTests(EverySyncFilter):
    """At a synchrotron."""

    at_worker = True


class RelatedByTests(SyncCase):
    """Filters of /messages by what relates to events."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.client("alice"), self.client("bob")
        self.room_id = self.alice.create_room()
        self.bob.join(self.room_id)
        self.thread, self.liked, self.plain = (
            self.alice.send(self.room_id, text) for text in ("thread", "liked", "plain")
        )
        self.relate(self.bob, self.thread, "m.thread")
        self.reaction = self.relate(self.alice, self.liked, "m.annotation")

    def relate(self, client: Client, event_id: str, rel_type: str) -> str:
        relation = {"rel_type": rel_type, "event_id": event_id, "key": "x"}
        kind = "m.reaction" if rel_type == "m.annotation" else "m.room.message"
        content = {"msgtype": "m.text", "body": "re", "m.relates_to": relation}
        path = f"rooms/{self.room_id}/send/{kind}/{rel_type}"
        sent: str = client.ok("PUT", path, content)["event_id"]
        return sent

    def found(self, **wanted: Any) -> list[str]:
        """Ids of the events that a filter leaves, newest first."""
        text = "".join(f"%{byte:02X}" for byte in encode_json(wanted))
        path = f"rooms/{self.room_id}/messages?dir=b&limit=50&filter={text}"
        return [event["event_id"] for event in self.alice.ok("GET", path)["chunk"]]

    def test_kinds_and_senders_of_relations(self) -> None:
        self.assertEqual(self.found(related_by_rel_types=["m.thread"]), [self.thread])
        both = ["m.thread", "m.annotation"]
        self.assertEqual(self.found(related_by_rel_types=both), [self.liked, self.thread])
        self.assertEqual(self.found(related_by_senders=[self.alice.user_id]), [self.liked])
        found = self.found(related_by_rel_types=both, related_by_senders=[self.bob.user_id])
        self.assertEqual(found, [self.thread])
        found = self.found(
            related_by_rel_types=["m.thread"], related_by_senders=[self.alice.user_id]
        )
        self.assertEqual(found, [])
        self.assertEqual(self.found(related_by_rel_types=[]), [])

    def test_around_an_event(self) -> None:
        text = "".join(
            f"%{byte:02X}" for byte in encode_json({"related_by_rel_types": ["m.thread"]})
        )
        path = f"rooms/{self.room_id}/context/{self.plain}?limit=20&filter={text}"
        answer = self.alice.ok("GET", path)
        before = [event["event_id"] for event in answer["events_before"]]
        self.assertEqual((before, answer["events_after"]), ([self.thread], []))

    def test_relations_that_were_redacted_do_not_count(self) -> None:
        self.alice.ok("PUT", f"rooms/{self.room_id}/redact/{self.reaction}/r", {})
        self.assertEqual(self.found(related_by_rel_types=["m.annotation"]), [])

    def test_bad_input(self) -> None:
        for wanted in ({"related_by_senders": ["x"]}, {"related_by_rel_types": "m.thread"}):
            text = "".join(f"%{byte:02X}" for byte in encode_json(wanted))
            path = f"rooms/{self.room_id}/messages?dir=b&filter={text}"
            answer = self.master.request("GET", path, None, self.alice.token)
            self.assertEqual(answer.status, 400)


del EverySyncFilter
