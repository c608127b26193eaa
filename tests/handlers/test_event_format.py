"""Events in the form of clients, and their `unsigned`."""

from __future__ import annotations

from typing import Any

from synapse_lite.events.event import Event
from synapse_lite.handlers.event_format import EventFormatter
from synapse_lite.handlers.visibility import EventVisibility
from synapse_lite.types.requester import Requester
from synapse_lite.util.json import decode_stored_json
from tests.harness.homeserver import now
from tests.rest.client.rooms import ALICE, BOB, RoomsCase


class EventFormatTests(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.formatter = self.master.hs.part(EventFormatter)

    def shown(self, event: Event, user_id: str | None = ALICE, **options: Any) -> Any:
        """What a reader gets of an event, decoded."""
        requester = None if user_id is None else Requester(user_id, device_id="other")
        (raw,) = now(self.formatter.to_client([event], requester, **options))
        return decode_stored_json(bytes(raw))

    def set_topic(self, room_id: str, topic: str) -> Event:
        path = f"rooms/{room_id}/state/m.room.topic"
        return self.event(self.ok("PUT", path, {"topic": topic})["event_id"])

    def test_message(self) -> None:
        room_id = self.room()
        event = self.event(self.master.send(self.alice, room_id, "hello"))
        self.master.reactor.advance(2.5)
        self.assertEqual(
            self.shown(event),
            {
                "type": "m.room.message",
                "content": {"msgtype": "m.text", "body": "hello"},
                "sender": ALICE,
                "event_id": event.event_id,
                "room_id": room_id,
                "origin_server_ts": event.origin_server_ts,
                "unsigned": {"age": 2500},
            },
        )
        self.assertNotIn("room_id", self.shown(event, with_room_id=False))

    def test_age_is_never_negative(self) -> None:
        event = self.event(self.master.send(self.alice, self.room(), "hello"))
        self.master.reactor.rightNow -= 10
        self.assertEqual(self.shown(event)["unsigned"]["age"], 0)

    def test_state_quotes_what_it_replaced(self) -> None:
        room_id = self.room()
        first = self.set_topic(room_id, "one")
        second = self.set_topic(room_id, "two")
        self.assertNotIn("replaces_state", self.shown(first)["unsigned"])
        self.assertNotIn("prev_content", self.shown(first)["unsigned"])
        shown = self.shown(second)
        self.assertEqual(shown["state_key"], "")
        self.assertEqual(
            shown["unsigned"],
            {
                "age": 0,
                "replaces_state": first.event_id,
                "prev_content": {"topic": "one"},
                "prev_sender": ALICE,
            },
        )
        brief = self.shown(second, with_previous=False)["unsigned"]
        self.assertEqual(brief, {"age": 0, "replaces_state": first.event_id})

    def test_content_that_the_reader_may_not_see_is_not_quoted(self) -> None:
        state = {
            "type": "m.room.history_visibility",
            "content": {"history_visibility": "joined"},
        }
        room_id = self.room(initial_state=[state])
        first = self.set_topic(room_id, "secret")
        self.join(room_id, self.bob)
        second = self.set_topic(room_id, "two")
        unsigned = self.shown(second, BOB)["unsigned"]
        self.assertEqual(unsigned, {"age": 0, "replaces_state": first.event_id})
        self.assertEqual(self.shown(second)["unsigned"]["prev_content"], {"topic": "secret"})
        # Application services have no requester; they see all.
        self.assertEqual(self.shown(second, None)["unsigned"]["prev_content"], {"topic": "secret"})

    def test_replaced_content_that_was_redacted_stays_redacted(self) -> None:
        room_id = self.room()
        first = self.set_topic(room_id, "secret")
        second = self.set_topic(room_id, "two")
        self.ok("PUT", f"rooms/{room_id}/redact/{first.event_id}/1", {})
        self.assertEqual(self.shown(second)["unsigned"]["prev_content"], {})

    def test_redacted_event(self) -> None:
        room_id = self.room()
        event_id = self.master.send(self.alice, room_id, "secret")
        path = f"rooms/{room_id}/redact/{event_id}/1"
        redaction_id = self.ok("PUT", path, {"reason": "spam"})["event_id"]
        shown = self.shown(self.event(event_id))
        self.assertEqual(shown["content"], {})
        self.assertEqual(shown["unsigned"]["redacted_by"], redaction_id)
        because = shown["unsigned"]["redacted_because"]
        self.assertEqual(because["event_id"], redaction_id)
        self.assertEqual(because["redacts"], event_id)
        self.assertEqual(because["content"]["reason"], "spam")
        self.assertEqual(because["room_id"], room_id)
        brief = self.shown(self.event(event_id), with_room_id=False)
        self.assertNotIn("room_id", brief["unsigned"]["redacted_because"])

    def test_transaction_id_goes_to_the_device_that_sent_it(self) -> None:
        room_id = self.room()
        event = self.event(self.master.send(self.alice, room_id, "hello", txn_id="mine"))
        sender = Requester(ALICE, device_id=event.metadata.device_id)
        (raw,) = now(self.formatter.to_client([event], sender))
        self.assertEqual(decode_stored_json(bytes(raw))["unsigned"]["transaction_id"], "mine")
        self.assertNotIn("transaction_id", self.shown(event))
        self.assertNotIn("transaction_id", self.shown(event, BOB))
        self.assertNotIn("transaction_id", self.shown(event, None))

    def test_membership_of_the_reader(self) -> None:
        room_id = self.room()
        event = self.event(self.master.send(self.alice, room_id, "hello"))
        self.join(room_id, self.bob)
        visibility = self.master.hs.part(EventVisibility)
        for user_id, membership in ((ALICE, "join"), (BOB, "leave")):
            memberships = now(visibility.memberships_at(user_id, [event]))
            unsigned = self.shown(event, user_id, memberships=memberships)["unsigned"]
            self.assertEqual(unsigned["membership"], membership)

    def test_order_is_kept(self) -> None:
        room_id = self.room()
        events = [self.event(self.master.send(self.alice, room_id, text)) for text in "abc"]
        raws = now(self.formatter.to_client([*events, events[0]], Requester(ALICE)))
        bodies = [decode_stored_json(bytes(raw))["content"]["body"] for raw in raws]
        self.assertEqual(bodies, ["a", "b", "c", "a"])
