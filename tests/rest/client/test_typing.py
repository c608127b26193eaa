"""Typing: who may say so of whom, and what ends it."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.handlers.typing import MAX_TIMEOUT_MS, TypingHandler
from synapse_lite.streams import TYPING
from tests.harness.homeserver import Answer, make_worker, now
from tests.harness.http import Connection

from .rooms import ALICE, BOB, RoomsCase


class TypingTests(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.worker = make_worker(SYNCHROTRON, self.master)
        self.room_id = self.room()
        self.join(self.room_id, self.bob)

    def type(self, body: Any, token: str | None = None, user_id: str | None = None) -> Answer:
        user_id = user_id or (BOB if token == self.bob else ALICE)
        return self.request("PUT", f"rooms/{self.room_id}/typing/{user_id}", body, token)

    def begin(self, token: str | None = None, **options: Any) -> None:
        answer = self.type({"typing": True, **options}, token)
        self.assertEqual((answer.status, answer.json), (200, {}))

    def typing(self) -> tuple[str, ...]:
        """Who types, as master and worker agree."""
        users: tuple[str, ...] = self.master.store.get_typing_users(self.room_id)
        self.assertEqual(self.worker.store.get_typing_users(self.room_id), users)
        return users

    def test_begin_and_end(self) -> None:
        self.begin(self.bob)
        self.begin()
        self.assertEqual(self.typing(), (BOB, ALICE))
        self.assertEqual(self.type({"typing": False}).json, {})
        self.assertEqual(self.typing(), (BOB,))
        self.type({"typing": False})
        self.type({"typing": False}, self.bob)
        self.assertEqual(self.typing(), ())

    def test_time_runs_out(self) -> None:
        self.begin(timeout=10_000)
        self.begin(self.bob)
        self.master.reactor.advance(9.9)
        self.assertEqual(self.typing(), (ALICE, BOB))
        self.master.reactor.advance(0.2)
        self.assertEqual(self.typing(), (BOB,))
        self.master.reactor.advance(20)
        self.assertEqual(self.typing(), ())

    def test_saying_it_again_begins_the_time_anew_and_tells_nobody(self) -> None:
        self.begin(timeout=10_000)
        told = self.master.store.current_token(TYPING)
        self.master.reactor.advance(9)
        self.begin(timeout=10_000)
        self.assertEqual(self.master.store.current_token(TYPING), told)
        self.master.reactor.advance(9)
        self.assertEqual(self.typing(), (ALICE,))
        self.master.reactor.advance(2)
        self.assertEqual(self.typing(), ())

    def test_nobody_types_for_ever(self) -> None:
        self.begin(timeout=2**53 - 1)
        self.master.reactor.advance(MAX_TIMEOUT_MS / 1000)
        self.assertEqual(self.typing(), ())

    def test_who_leaves_does_not_type(self) -> None:
        self.begin()
        self.begin(self.bob)
        self.ok("POST", f"rooms/{self.room_id}/leave", {}, self.bob)
        self.assertEqual(self.typing(), (ALICE,))
        self.join(self.room_id, self.bob)
        self.begin(self.bob)
        self.ok("POST", f"rooms/{self.room_id}/kick", {"user_id": BOB})
        self.assertEqual(self.typing(), (ALICE,))

    def test_a_new_name_does_not_end_typing(self) -> None:
        self.begin()
        content = {"membership": "join", "displayname": "A"}
        self.ok("PUT", f"rooms/{self.room_id}/state/m.room.member/{ALICE}", content)
        self.assertEqual(self.typing(), (ALICE,))

    def test_only_oneself_and_only_members(self) -> None:
        answer = self.type({"typing": True}, self.bob, ALICE)
        self.assert_error(answer, 403, "M_FORBIDDEN")
        for typing in (True, False):
            answer = self.type({"typing": typing}, self.carol, "@carol:test")
            self.assert_error(answer, 403, "M_FORBIDDEN")
        self.assertEqual(self.typing(), ())

    def test_bad_requests(self) -> None:
        for body, errcode in (
            ({}, "M_MISSING_PARAM"),
            ({"typing": 1}, "M_BAD_JSON"),
            ({"typing": True, "timeout": "1"}, "M_BAD_JSON"),
            ({"typing": True, "timeout": -1}, "M_INVALID_PARAM"),
        ):
            self.assert_error(self.type(body), 400, errcode)

    def test_no_timer_outlives_the_process(self) -> None:
        self.begin()
        before = len(self.master.reactor.getDelayedCalls())
        now(self.master.hs.part(TypingHandler).stop())
        self.assertEqual(len(self.master.reactor.getDelayedCalls()), before - 1)


class WaitingTests(RoomsCase):
    """Clients that wait at a synchrotron."""

    def setUp(self) -> None:
        super().setUp()
        self.worker = make_worker(SYNCHROTRON, self.master)
        self.room_id = self.room()
        self.join(self.room_id, self.bob)
        self.since = self.sync()["next_batch"]

    def sync(self) -> Any:
        answer = self.worker.request("GET", "sync", None, self.bob)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def wait(self) -> Connection:
        path = f"sync?since={self.since}&timeout=30000"
        connection = self.worker.start_request("GET", path, None, self.bob)
        self.addCleanup(connection.disconnect)
        connection.pump(5)
        self.assertIsNone(connection.answer())
        return connection

    def typing(self, connection: Connection) -> list[list[str]]:
        """What the client is told of the room."""
        connection.pump()
        answer = connection.answer()
        assert answer is not None
        self.since = answer.json["next_batch"]
        events = answer.json["rooms"]["join"][self.room_id]["ephemeral"]["events"]
        return [event["content"]["user_ids"] for event in events if event["type"] == "m.typing"]

    def begin(self) -> None:
        body = {"typing": True, "timeout": 10_000}
        self.ok("PUT", f"rooms/{self.room_id}/typing/{ALICE}", body)

    def test_told_at_once_and_when_it_ends(self) -> None:
        connection = self.wait()
        self.begin()
        self.assertEqual(self.typing(connection), [[ALICE]])
        connection = self.wait()
        self.master.reactor.advance(10)
        self.assertEqual(self.typing(connection), [[]])

    def test_a_restart_of_the_master_ends_typing(self) -> None:
        connection = self.wait()
        self.begin()
        self.assertEqual(self.typing(connection), [[ALICE]])
        connection = self.wait()
        now(self.master.store.load_positions())
        self.worker.store.start_at(TYPING, self.master.store.current_token(TYPING))
        self.assertEqual(self.typing(connection), [[]])
        self.wait()
