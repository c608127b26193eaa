"""Account data: the same on master and worker before and after each change."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.streams import ACCOUNT_DATA, TAG_ACCOUNT_DATA, AccountDataRow
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

ALICE = "@alice:test"
BOB = "@bob:test"
ROOM = "!a:test"


class AccountDataTests(SameAnswerCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(SYNCHROTRON, self.master)

    @property
    def position(self) -> int:
        return self.master.store.current_token(ACCOUNT_DATA)

    def set(self, room_id: str | None, kind: str, content: Any, user_id: str = ALICE) -> None:
        now(self.master.store.set_account_data(user_id, room_id, kind, content))

    def test_reads_follow_changes(self) -> None:
        self.assertEqual(self.check("get_account_data_for_user", ALICE), ({}, {}))
        self.assertIsNone(self.check("get_global_account_data_by_type", ALICE, "x"))
        self.assertIsNone(self.check("get_room_account_data_by_type", ALICE, ROOM, "x"))
        for content in ({"n": 1}, {}):
            self.set(None, "x", content)
            self.set(ROOM, "x", {"room": content})
            self.assertEqual(
                self.check("get_account_data_for_user", ALICE),
                ({"x": content}, {ROOM: {"x": {"room": content}}}),
            )
            self.assertEqual(self.check("get_global_account_data_by_type", ALICE, "x"), content)
            self.assertEqual(
                self.check("get_room_account_data_by_type", ALICE, ROOM, "x"), {"room": content}
            )
        self.assertEqual(self.check("get_account_data_for_user", BOB), ({}, {}))

    def test_changes(self) -> None:
        start = self.position
        self.set(None, "x", {"n": 1})
        middle = self.position
        self.set(ROOM, "y", {"n": 2})
        end = self.position
        changes = "get_account_data_changes"
        self.assertEqual(self.check(changes, ALICE, start, middle), ({"x": {"n": 1}}, {}))
        self.assertEqual(self.check(changes, ALICE, middle, end), ({}, {ROOM: {"y": {"n": 2}}}))
        before = self.worker.db.counts.transactions
        self.assertEqual(self.check(changes, BOB, start, end), ({}, {}))
        self.assertEqual(self.check(changes, ALICE, end, end), ({}, {}))
        self.assertEqual(self.worker.db.counts.transactions, before)

    def test_missed_rows_are_merged_in_order(self) -> None:
        start = self.position
        self.set(None, "x", {"n": 1})
        self.set(ROOM, "x", {"n": 2})
        now(self.master.store.set_tag(ALICE, ROOM, "u.tag", {}))
        self.set(None, "y", {"n": 3}, BOB)
        store = self.master.store
        rows = now(store.rows_between(ACCOUNT_DATA, start, self.position, 10))
        self.assertEqual(
            [row for _, row in rows],
            [
                AccountDataRow(ALICE, None, "x", {"n": 1}),
                AccountDataRow(ALICE, ROOM, "x", {"n": 2}),
                AccountDataRow(BOB, None, "y", {"n": 3}),
            ],
        )
        tokens = [token for token, _ in rows]
        self.assertEqual(tokens, sorted(tokens))
        self.assertEqual(now(store.rows_between(ACCOUNT_DATA, start, self.position, 2)), rows[:2])
        self.assertEqual(
            now(store.rows_between(ACCOUNT_DATA, tokens[0], self.position, 10)), rows[1:]
        )

    def test_a_stream_that_starts_anew_takes_nothing_from_the_other(self) -> None:
        store = self.worker.store
        changes = store.change_cache("account_data_changed")
        row = AccountDataRow(ALICE, None, "x", {})
        for token in (100, 40):  # 40: as after the database was restored from a copy
            store.start_at(ACCOUNT_DATA, token)
            store.process_rows(ACCOUNT_DATA, token + 1, [row])
            store.start_at(TAG_ACCOUNT_DATA, token)
            self.assertTrue(changes.has_changed(ALICE, token))
            store.process_rows(TAG_ACCOUNT_DATA, token + 1, [])
            self.assertEqual(store.current_token(ACCOUNT_DATA), token + 1)
            self.assertFalse(changes.has_changed(ALICE, token + 1))

    def test_a_change_is_readable_at_the_position_of_either_stream(self) -> None:
        self.set(None, "x", {})
        now(self.master.store.set_tag(ALICE, ROOM, "u.tag", {}))
        for stream in (ACCOUNT_DATA, TAG_ACCOUNT_DATA):
            self.assertEqual(self.worker.store.current_token(stream), self.position)
