"""The endpoints of presence: on the master, and reads at a client_reader."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.rest.client.presence import MAX_STATUS_BYTES
from synapse_lite.streams import PRESENCE
from tests.harness.homeserver import Answer, make_worker, now

from .rooms import ALICE, BOB, CAROL, RoomsCase


class PresenceCase(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.worker = make_worker(CLIENT_READER, self.master)
        self.room_id = self.room()
        self.join(self.room_id, self.bob)

    def set(self, body: Any, token: str | None = None, user_id: str = ALICE) -> Answer:
        return self.request("PUT", f"presence/{user_id}/status", body, token)

    def get(self, token: str, user_id: str = ALICE) -> Answer:
        """The status as a user sees it, at the master and at the worker."""
        path = f"presence/{user_id}/status"
        answer = self.request("GET", path, None, token)
        other = self.worker.request("GET", path, None, token)
        self.assertEqual((other.status, other.json), (answer.status, answer.json))
        return answer


class PresenceTests(PresenceCase):
    def test_a_room_mate_sees_the_status(self) -> None:
        answer = self.set({"presence": "unavailable", "status_msg": "at lunch"})
        self.assertEqual((answer.status, answer.json), (200, {}))
        self.master.reactor.advance(2)
        expected = {"presence": "unavailable", "status_msg": "at lunch", "last_active_ago": 2000}
        for token in (self.alice, self.bob):
            self.assertEqual(self.get(token).json, expected)

    def test_online(self) -> None:
        self.set({"presence": "online"})
        expected = {"presence": "online", "last_active_ago": 0, "currently_active": True}
        self.assertEqual(self.get(self.bob).json, expected)
        self.master.reactor.advance(10)
        self.set({"presence": "offline", "status_msg": "not shown"})
        expected = {"presence": "offline", "last_active_ago": 0}
        self.assertEqual(self.get(self.bob).json, expected)

    def test_nobody_has_set_anything(self) -> None:
        self.assertEqual(self.get(self.bob).json, {"presence": "offline"})

    def test_a_status_message_can_be_taken_away(self) -> None:
        for body in ({"presence": "online"}, {"presence": "online", "status_msg": ""}):
            self.master.reactor.advance(10)
            self.set({"presence": "online", "status_msg": "x"})
            self.master.reactor.advance(10)
            self.set(body)
            self.assertNotIn("status_msg", self.get(self.bob).json)

    def test_strangers_see_nothing(self) -> None:
        self.set({"presence": "online"})
        self.assert_error(self.get(self.carol), 403, "M_FORBIDDEN")
        self.assert_error(self.get(self.alice, CAROL), 403, "M_FORBIDDEN")
        self.assert_error(self.get(self.alice, "@nobody:test"), 403, "M_FORBIDDEN")
        self.assert_error(self.get(self.alice, "@eve:elsewhere"), 403, "M_FORBIDDEN")
        self.ok("POST", f"rooms/{self.room_id}/invite", {"user_id": CAROL})
        self.assert_error(self.get(self.carol), 403, "M_FORBIDDEN")
        self.join(self.room_id, self.carol)
        self.assertEqual(self.get(self.carol).status, 200)

    def test_only_oneself(self) -> None:
        answer = self.set({"presence": "online"}, self.bob, ALICE)
        self.assert_error(answer, 403, "M_FORBIDDEN")
        self.assertEqual(self.get(self.bob).json, {"presence": "offline"})

    def test_bad_requests(self) -> None:
        for body, errcode in (
            ({}, "M_MISSING_PARAM"),
            ({"presence": "asleep"}, "M_INVALID_PARAM"),
            ({"presence": 1}, "M_BAD_JSON"),
            ({"presence": "online", "status_msg": 1}, "M_BAD_JSON"),
            ({"presence": "online", "status_msg": "x" * (MAX_STATUS_BYTES + 1)}, "M_INVALID_PARAM"),
        ):
            self.assert_error(self.set(body), 400, errcode)
        self.assert_error(self.get(self.alice, "nobody"), 400, "M_INVALID_PARAM")

    def test_nobody_without_an_account(self) -> None:
        answer = self.master.request("GET", f"presence/{ALICE}/status")
        self.assert_error(answer, 401, "M_MISSING_TOKEN")

    def test_it_costs_no_transaction(self) -> None:
        self.set({"presence": "online"})
        self.get(self.bob)
        before = self.master.db.counts.transactions, self.worker.db.counts.transactions
        self.set({"presence": "unavailable"})
        self.get(self.bob)
        after = self.master.db.counts.transactions, self.worker.db.counts.transactions
        self.assertEqual(after, before)


class ActivityTests(PresenceCase):
    """What makes an idle user online."""

    def check(self, path: str, body: Any, method: str = "PUT") -> None:
        self.set({"presence": "unavailable"})
        self.master.reactor.advance(10)
        self.ok(method, path, body)
        answer = self.get(self.bob).json
        self.assertEqual((answer["presence"], answer["last_active_ago"]), ("online", 0))

    def test_a_message(self) -> None:
        self.check(f"rooms/{self.room_id}/send/m.room.message/1", {"body": "x"})

    def test_typing(self) -> None:
        self.check(f"rooms/{self.room_id}/typing/{ALICE}", {"typing": True})

    def test_a_receipt(self) -> None:
        event_id = self.master.send(self.bob, self.room_id, "hello")
        self.check(f"rooms/{self.room_id}/receipt/m.read/{event_id}", {}, "POST")


class LimitTests(PresenceCase):
    overrides = {"rc_presence": {"per_user": {"per_second": 0.1, "burst_count": 1}}}

    def test_changes_are_limited(self) -> None:
        self.assertEqual(self.set({"presence": "online"}).status, 200)
        self.assert_error(self.set({"presence": "online"}), 429, "M_LIMIT_EXCEEDED")
        self.assertEqual(self.set({"presence": "online"}, self.bob, BOB).status, 200)
        self.master.reactor.advance(10)
        self.assertEqual(self.set({"presence": "online"}).status, 200)


class DisabledTests(PresenceCase):
    overrides = {"presence": {"enabled": False}}

    def test_everybody_is_offline(self) -> None:
        before = self.master.store.current_token(PRESENCE)
        self.assertEqual(self.set({"presence": "online"}).json, {})
        self.assertEqual(self.get(self.bob).json, {"presence": "offline"})
        self.assert_error(self.get(self.carol), 403, "M_FORBIDDEN")
        self.assertEqual(self.master.store.current_token(PRESENCE), before)
        answer = self.ok("GET", "sync")
        self.assertNotIn("presence", answer)
        stored = now(
            self.master.db.read("all", lambda txn: txn.query("SELECT COUNT(*) FROM presence"))
        )
        self.assertEqual(stored, [(0,)])
