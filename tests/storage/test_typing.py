"""Who is typing, as workers know it: along the way, after a gap, after the master was restarted."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.storage import typing
from synapse_lite.streams import EPOCH_SHIFT, TYPING, TypingRow
from tests.harness.homeserver import make_master, make_worker, now

ROOM = "!a:test"
OTHER = "!b:test"
ALICE = "@alice:test"


class TypingTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(SYNCHROTRON, self.master)

    @property
    def position(self) -> int:
        position: int = self.master.store.current_token(TYPING)
        return position

    def set(self, *users: str, room_id: str = ROOM) -> None:
        self.master.store.set_typing(room_id, users)

    def typing(self, room_id: str = ROOM) -> Any:
        users = self.worker.store.get_typing_users(room_id)
        self.assertEqual(self.master.store.get_typing_users(room_id), users)
        return users

    def changed(self, since: int) -> set[str]:
        found: set[str] = self.worker.store.rooms_with_typing_since([ROOM, OTHER], since)
        return found

    def restart_master(self) -> None:
        now(self.master.store.load_positions())
        self.worker.store.start_at(TYPING, self.position)

    def test_rows(self) -> None:
        start = self.position
        self.assertEqual(self.typing(), ())
        self.set(ALICE, "@bob:test")
        self.assertEqual(self.typing(), (ALICE, "@bob:test"))
        self.assertEqual(self.changed(start), {ROOM})
        middle = self.position
        self.set()
        self.assertEqual(self.typing(), ())
        self.assertEqual(self.changed(middle), {ROOM})
        self.assertEqual(self.changed(self.position), set())

    def test_missed_rows_tell_also_who_has_stopped(self) -> None:
        self.set(ALICE)
        since = self.position
        self.set(ALICE, room_id=OTHER)
        self.set()
        rows = now(self.master.store.rows_between(TYPING, since, self.position, 10))
        self.assertEqual(
            rows,
            [
                (since + 1, TypingRow(OTHER, [ALICE])),
                (since + 2, TypingRow(ROOM, [])),
            ],
        )

    def test_memory_is_bounded(self) -> None:
        self.patch(typing, "_ROOMS_KEPT", 2)
        start = self.position
        self.set(ALICE)
        for room_id in (OTHER, "!c:test", OTHER, "!d:test"):
            self.set(room_id=room_id)
        # What is forgotten is the oldest room where nobody types.
        rows = now(self.master.store.rows_between(TYPING, start, self.position, 10))
        self.assertEqual([row.room_id for _, row in rows], [ROOM, "!d:test"])
        # Who was told before that may have to be told of the forgotten rooms.
        self.restart_master()
        self.assertEqual(self.changed(start), {ROOM, OTHER})
        self.assertEqual(self.changed(start + 5), {ROOM})

    def test_each_start_of_the_master_is_a_new_epoch(self) -> None:
        self.set(ALICE)
        before = self.position
        now(self.master.store.load_positions())
        self.assertEqual(self.position >> EPOCH_SHIFT, (before >> EPOCH_SHIFT) + 1)
        self.assertEqual(self.master.store.get_typing_users(ROOM), ())

    def test_a_restart_of_the_master_changes_the_rooms_where_somebody_typed(self) -> None:
        self.set(ALICE, room_id=OTHER)
        typed = self.position
        self.set(room_id=OTHER)
        quiet = self.position
        self.set(ALICE)
        before = self.position
        self.restart_master()
        self.assertEqual(self.typing(), ())
        # A client that was told that somebody typed there, at whatever position.
        self.assertEqual(self.changed(typed), {ROOM, OTHER})
        self.assertEqual(self.changed(quiet), {ROOM})
        self.assertEqual(self.changed(before), {ROOM})
        self.assertEqual(self.changed(self.position), set())
        self.set(ALICE, room_id=OTHER)
        self.assertEqual(self.changed(before), {ROOM, OTHER})
        self.assertEqual(self.changed(self.position - 1), {OTHER})

    def test_what_the_worker_has_missed_may_have_changed_anything(self) -> None:
        self.set(ALICE)
        before = self.position
        self.restart_master()
        # Other workers have told of more, before the master went away.
        self.assertEqual(self.changed(before + 1), {ROOM, OTHER})
        # Of the epoch before that nothing is left.
        self.restart_master()
        self.assertEqual(self.changed(before), {ROOM, OTHER})
        self.assertEqual(self.changed(self.position), set())

    def test_a_worker_that_was_restarted_tells_of_every_room(self) -> None:
        self.set(ALICE)
        before = self.position
        now(self.master.store.load_positions())
        self.worker = make_worker(SYNCHROTRON, self.master)
        self.assertEqual(self.changed(before), {ROOM, OTHER})
        self.assertEqual(self.changed(self.position), set())

    def test_a_worker_that_fell_behind_does_not_know_where_somebody_types(self) -> None:
        self.set(ALICE)
        self.worker.store.start_at(TYPING, self.position)
        told_by_another = self.position
        self.restart_master()
        self.assertEqual(self.changed(told_by_another), {ROOM, OTHER})
