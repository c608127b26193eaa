"""Receipts and read markers: who may move them, which way, in which thread."""

from __future__ import annotations

from typing import Any

from tests.harness.homeserver import Answer, now

from .rooms import ALICE, BOB, RoomsCase


class ReceiptsCase(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.room_id = self.room()
        self.join(self.room_id, self.bob)
        self.first, self.second, self.third = (
            self.master.send(self.alice, self.room_id, text) for text in ("1", "2", "3")
        )

    def post(self, kind: str, event_id: str, body: Any = None, token: str | None = None) -> Answer:
        path = f"rooms/{self.room_id}/receipt/{kind}/{event_id}"
        return self.request("POST", path, {} if body is None else body, token)

    def read(self, kind: str, event_id: str, body: Any = None, token: str | None = None) -> None:
        answer = self.post(kind, event_id, body, token)
        self.assertEqual((answer.status, answer.json), (200, {}))

    def receipts(self) -> dict[tuple[str, str, str], str]:
        """The event of each user, type and thread."""
        stored = now(self.master.store.get_receipts_for_room(self.room_id))
        return {(one.user_id, one.receipt_type, one.thread_id): one.event_id for one in stored}

    def marker(self, token: str | None = None, user_id: str = ALICE) -> Answer:
        path = f"user/{user_id}/rooms/{self.room_id}/account_data/m.fully_read"
        return self.request("GET", path, None, token)

    def reply_in_thread(self, root: str, **relation: Any) -> str:
        """A message with a relation, by default in a thread."""
        relation = {"rel_type": "m.thread", "event_id": root, **relation}
        content = {"msgtype": "m.text", "body": "x", "m.relates_to": relation}
        path = f"rooms/{self.room_id}/send/m.room.message/{root[1:9]}{len(str(relation))}"
        event_id: str = self.ok("PUT", path, content)["event_id"]
        return event_id


class ReceiptsTests(ReceiptsCase):
    def test_receipts_move_forward_only(self) -> None:
        self.read("m.read", self.second)
        self.read("m.read", self.first)
        self.assertEqual(self.receipts(), {(ALICE, "m.read", ""): self.second})
        self.read("m.read", self.third)
        self.read("m.read.private", self.first)
        self.assertEqual(
            self.receipts(),
            {
                (ALICE, "m.read", ""): self.third,
                (ALICE, "m.read.private", ""): self.first,
            },
        )

    def test_the_server_says_when(self) -> None:
        self.read("m.read", self.first, {"ts": 1})
        (receipt,) = now(self.master.store.get_receipts_for_room(self.room_id))
        self.assertEqual(receipt.data, {"ts": self.master.hs.clock.time_ms()})

    def test_an_empty_body_is_enough(self) -> None:
        path = f"rooms/{self.room_id}/receipt/m.read/{self.first}"
        self.assertEqual(self.request("POST", path).status, 200)

    def test_only_members(self) -> None:
        self.assert_error(self.post("m.read", self.first, None, self.carol), 403, "M_FORBIDDEN")
        self.ok("POST", f"rooms/{self.room_id}/leave", {}, self.bob)
        self.assert_error(self.post("m.read", self.first, None, self.bob), 403, "M_FORBIDDEN")
        self.assertEqual(self.receipts(), {})

    def test_unknown_events_and_types(self) -> None:
        elsewhere = self.master.send(self.alice, self.room(), "x")
        for event_id in ("$unknown", elsewhere):
            self.assert_error(self.post("m.read", event_id), 404, "M_NOT_FOUND")
        self.assert_error(self.post("m.seen", self.first), 400, "M_INVALID_PARAM")
        self.assertEqual(self.receipts(), {})


class ThreadTests(ReceiptsCase):
    def test_each_thread_has_its_own(self) -> None:
        in_thread = self.reply_in_thread(self.first)
        self.read("m.read", self.third)
        self.read("m.read", self.second, {"thread_id": "main"})
        self.read("m.read", in_thread, {"thread_id": self.first})
        self.assertEqual(
            self.receipts(),
            {
                (ALICE, "m.read", ""): self.third,
                (ALICE, "m.read", "main"): self.second,
                (ALICE, "m.read", self.first): in_thread,
            },
        )

    def test_what_is_in_a_thread(self) -> None:
        in_thread = self.reply_in_thread(self.first)
        about_it = self.reply_in_thread(in_thread, rel_type="m.reference")
        about_root = self.reply_in_thread(self.first, rel_type="m.reference")
        for event_id, thread_id, status in (
            (in_thread, self.first, 200),
            (about_it, self.first, 200),
            (self.first, self.first, 200),
            (self.first, "main", 200),
            (about_root, "main", 200),
            (in_thread, "main", 400),
            (about_it, "main", 400),
            (about_root, self.first, 400),
            (in_thread, self.second, 400),
            (self.second, self.first, 400),
        ):
            answer = self.post("m.read", event_id, {"thread_id": thread_id})
            self.assertEqual(answer.status, status, (event_id, thread_id))

    def test_relations_to_what_cannot_be_an_event(self) -> None:
        for rel_type, parent in (("m.thread", "$\0"), ("m.reference", "$\0"), ("m.thread", 3)):
            event_id = self.reply_in_thread(self.first, rel_type=rel_type, event_id=parent)
            self.assertEqual(self.post("m.read", event_id, {"thread_id": "main"}).status, 200)

    def test_bad_thread_ids(self) -> None:
        for thread_id in ("", 3, None, ["main"], "x" * 256, "a\0b"):
            answer = self.post("m.read", self.first, {"thread_id": thread_id})
            self.assert_error(answer, 400, "M_INVALID_PARAM")
        answer = self.post("m.fully_read", self.first, {"thread_id": "main"})
        self.assert_error(answer, 400, "M_INVALID_PARAM")


class MarkerTests(ReceiptsCase):
    def markers(self, body: Any, token: str | None = None) -> Answer:
        return self.request("POST", f"rooms/{self.room_id}/read_markers", body, token)

    def test_all_at_once(self) -> None:
        body = {
            "m.fully_read": self.first,
            "m.read": self.second,
            "m.read.private": self.third,
        }
        self.assertEqual(self.markers(body).json, {})
        self.assertEqual(self.marker().json, {"event_id": self.first})
        self.assertEqual(
            self.receipts(),
            {
                (ALICE, "m.read", ""): self.second,
                (ALICE, "m.read.private", ""): self.third,
            },
        )

    def test_the_marker_moves_forward_only(self) -> None:
        self.read("m.fully_read", self.second)
        self.markers({"m.fully_read": self.first})
        self.assertEqual(self.marker().json, {"event_id": self.second})
        self.markers({"m.fully_read": self.third})
        self.assertEqual(self.marker().json, {"event_id": self.third})
        self.assertEqual(self.receipts(), {})
        self.assert_error(self.marker(self.bob, BOB), 404, "M_NOT_FOUND")

    def test_nothing_moves_if_an_event_is_unknown(self) -> None:
        answer = self.markers({"m.fully_read": self.first, "m.read": "$unknown"})
        self.assert_error(answer, 404, "M_NOT_FOUND")
        self.assert_error(self.marker(), 404, "M_NOT_FOUND")

    def test_bad_requests(self) -> None:
        self.assertEqual(self.markers({}).status, 200)
        self.assert_error(self.markers({"m.read": 3}), 400, "M_BAD_JSON")
        answer = self.markers({"m.read": self.first}, self.carol)
        self.assert_error(answer, 403, "M_FORBIDDEN")
