"""Aliases: the same on master and worker, also when they move."""

from __future__ import annotations

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.storage.aliases import RoomAlias
from synapse_lite.storage.errors import ConflictError
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

ALIAS = "#cats:test"
OTHER = "#dogs:test"
ROOM = "!one:test"
NEXT_ROOM = "!two:test"
ALICE = "@alice:test"


class AliasesTests(SameAnswerCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(CLIENT_READER, self.master)
        self.store = self.master.store

    def create(self, alias: str, room_id: str) -> None:
        now(self.store.create_alias(alias, room_id, ["two", "test", "two"], ALICE))

    def assert_aliases(self, room_id: str, *aliases: str) -> None:
        self.assertEqual(self.check("get_aliases_for_room", room_id), aliases)

    def test_created(self) -> None:
        self.assertIsNone(self.check("get_alias", ALIAS))
        self.assertIsNone(self.check("get_room_id_of_alias", ALIAS))
        self.assert_aliases(ROOM)
        self.create(OTHER, ROOM)
        self.create(ALIAS, ROOM)
        self.assertEqual(
            self.check("get_alias", ALIAS), RoomAlias(ALIAS, ROOM, ALICE, ("test", "two"))
        )
        self.assertEqual(self.check("get_room_id_of_alias", ALIAS), ROOM)
        self.assert_aliases(ROOM, ALIAS, OTHER)

    def test_taken(self) -> None:
        self.create(ALIAS, ROOM)
        with self.assertRaises(ConflictError):
            self.create(ALIAS, NEXT_ROOM)
        self.assertEqual(self.check("get_room_id_of_alias", ALIAS), ROOM)
        self.assert_aliases(NEXT_ROOM)

    def test_deleted(self) -> None:
        self.create(ALIAS, ROOM)
        self.check("get_alias", ALIAS)
        self.assert_aliases(ROOM, ALIAS)
        self.assertEqual(now(self.store.delete_alias(ALIAS)), ROOM)
        self.assertIsNone(self.check("get_alias", ALIAS))
        self.assert_aliases(ROOM)
        self.assertIsNone(now(self.store.delete_alias(ALIAS)))
        self.create(ALIAS, NEXT_ROOM)  # nothing of it was left
        self.assertEqual(self.check("get_room_id_of_alias", ALIAS), NEXT_ROOM)

    def test_moved(self) -> None:
        self.create(ALIAS, ROOM)
        self.create(OTHER, NEXT_ROOM)
        self.assert_aliases(ROOM, ALIAS)
        self.assert_aliases(NEXT_ROOM, OTHER)
        self.check("get_alias", ALIAS)
        self.assertEqual(now(self.store.move_aliases(ROOM, NEXT_ROOM)), [ALIAS])
        self.assert_aliases(ROOM)
        self.assert_aliases(NEXT_ROOM, ALIAS, OTHER)
        self.assertEqual(self.check("get_room_id_of_alias", ALIAS), NEXT_ROOM)
        self.assertEqual(now(self.store.move_aliases(ROOM, NEXT_ROOM)), [])

    def test_known_aliases_cost_no_query(self) -> None:
        self.create(ALIAS, ROOM)
        self.check("get_room_id_of_alias", ALIAS)
        self.check("get_aliases_for_room", ROOM)
        counts = (self.master.db.counts, self.worker.db.counts)
        before = [count.transactions for count in counts]
        self.check("get_room_id_of_alias", ALIAS)
        self.check("get_aliases_for_room", ROOM)
        self.assertEqual([count.transactions for count in counts], before)
