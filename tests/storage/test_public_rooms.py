"""Which rooms are on the public list: the same on master and worker."""

from __future__ import annotations

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.streams import PUBLIC_ROOMS, PublicRoomRow
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

ROOM = "!one:test"
OTHER = "!two:test"


class PublicRoomsTests(SameAnswerCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(CLIENT_READER, self.master)

    def publish(self, room_id: str, published: bool) -> bool:
        changed: bool = now(self.master.store.set_published(room_id, published))
        return changed

    def test_rooms_come_and_go(self) -> None:
        self.assertEqual(self.check("get_public_room_ids"), set())
        self.assertTrue(self.publish(ROOM, True))
        self.assertTrue(self.publish(OTHER, True))
        self.assertEqual(self.check("get_public_room_ids"), {ROOM, OTHER})
        self.assertTrue(self.check("is_published", ROOM))
        self.assertTrue(self.publish(ROOM, False))
        self.assertEqual(self.check("get_public_room_ids"), {OTHER})
        self.assertFalse(self.check("is_published", ROOM))

    def test_rows_are_those_of_changes(self) -> None:
        start = self.master.store.current_token(PUBLIC_ROOMS)
        self.publish(ROOM, True)
        self.assertFalse(self.publish(ROOM, True))
        self.publish(ROOM, False)
        self.assertFalse(self.publish(ROOM, False))
        end = self.master.store.current_token(PUBLIC_ROOMS)
        rows = now(self.master.store.rows_between(PUBLIC_ROOMS, start, end, 10))
        expected = [PublicRoomRow(ROOM, True, None, None), PublicRoomRow(ROOM, False, None, None)]
        self.assertEqual([row for _, row in rows], expected)
        first = rows[0][0]
        self.assertEqual(
            now(self.master.store.rows_between(PUBLIC_ROOMS, first, end, 10)), rows[1:]
        )
        self.assertEqual(now(self.master.store.rows_between(PUBLIC_ROOMS, start, end, 1)), rows[:1])
