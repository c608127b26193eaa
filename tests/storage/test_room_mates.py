"""Who shares a room with whom."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import SYNCHROTRON
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

ALICE, BOB, CAROL = "@alice:test", "@bob:test", "@carol:test"


class RoomMatesTests(SameAnswerCase, TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.tokens = {name: self.master.register(name) for name in ("alice", "bob", "carol")}
        self.worker = make_worker(SYNCHROTRON, self.master)
        self.room_id = self.master.create_room(self.tokens["alice"], preset="public_chat")

    def act(self, name: str, action: str, **body: str) -> None:
        self.master.ok("POST", f"rooms/{self.room_id}/{action}", body, self.tokens[name])

    def mates(self, user_id: str) -> set[str]:
        found: set[str] = self.check("get_room_mates", user_id, [ALICE, BOB, CAROL])
        return found

    def test_they_follow_memberships(self) -> None:
        self.assertEqual(self.mates(ALICE), {ALICE})
        self.act("bob", "join")
        self.assertEqual(self.mates(ALICE), {ALICE, BOB})
        self.assertEqual(self.mates(BOB), {ALICE, BOB})
        self.act("alice", "invite", user_id=CAROL)
        self.assertEqual(self.mates(ALICE), {ALICE, BOB})
        self.assertEqual(self.mates(CAROL), {CAROL})
        self.act("bob", "leave")
        self.assertEqual(self.mates(ALICE), {ALICE})

    def test_only_those_asked_for(self) -> None:
        self.act("bob", "join")
        self.assertEqual(self.check("get_room_mates", ALICE, [BOB]), {BOB})
        self.assertEqual(self.check("get_room_mates", ALICE, []), set())

    def test_unknown_users_are_read_at_once_and_then_kept(self) -> None:
        self.act("bob", "join")
        self.worker.store.get_rooms_for_user.invalidate_all()
        with self.worker.db.recording() as statements:
            now(self.worker.store.get_room_mates(ALICE, [BOB, CAROL]))
        self.assertEqual(len(statements), 2)
        with self.worker.db.recording() as statements:
            now(self.worker.store.get_room_mates(ALICE, [BOB, CAROL]))
            now(self.worker.store.get_joined_rooms_of_users([ALICE, BOB]))
        self.assertEqual(statements, [])

    def test_many_answers_as_one(self) -> None:
        self.act("bob", "join")
        found = self.check("get_rooms_for_users", [ALICE, BOB, CAROL])
        self.assertEqual(set(found[BOB]), {self.room_id})
        self.assertEqual(found[CAROL], {})
        for user_id in (ALICE, BOB, CAROL):
            self.assertEqual(self.check("get_rooms_for_user", user_id), found[user_id])
        self.assertEqual(self.check("get_joined_rooms_of_users", [CAROL]), set())
