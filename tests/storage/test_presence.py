"""Presence as master and workers know it: along the way, after a restart, from the table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.storage import presence
from synapse_lite.storage.presence import PresenceStore, offline, presence_content
from synapse_lite.storage.schema.prepare import prepare_database
from synapse_lite.streams import EPOCH_SHIFT, PRESENCE, PresenceRow
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

ALICE, BOB, CAROL = "@alice:test", "@bob:test", "@carol:test"


def online(user_id: str, at: int = 5) -> PresenceRow:
    return PresenceRow(user_id, "online", at, 0, at, "hi", True)


class PresenceTests(SameAnswerCase, TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(SYNCHROTRON, self.master)

    @property
    def position(self) -> int:
        position: int = self.master.store.current_token(PRESENCE)
        return position

    def tell(self, *rows: PresenceRow) -> None:
        self.master.store.tell_presence(rows)

    def present(self) -> set[str]:
        """Who is not offline, as master and worker agree."""
        users = set(self.worker.store.present_users())
        self.assertEqual(self.master.store.present_users(), users)
        return users

    def test_rows(self) -> None:
        start = self.position
        self.assertEqual(self.present(), set())
        self.tell(online(ALICE), online(BOB))
        self.assertEqual(self.present(), {ALICE, BOB})
        middle = self.position
        self.tell(offline(ALICE))
        self.assertEqual(self.present(), {BOB})
        self.assertEqual(self.check("get_presence", ALICE), offline(ALICE))
        self.assertEqual(self.check("get_presence", BOB), online(BOB))
        for store in (self.master.store, self.worker.store):
            self.assertEqual(set(store.presence_changed_since(start)), {ALICE, BOB})
            self.assertEqual(list(store.presence_changed_since(middle)), [ALICE])
            self.assertEqual(list(store.presence_changed_since(self.position)), [])

    def test_a_change_costs_no_query(self) -> None:
        before = self.master.db.counts.transactions
        self.tell(online(ALICE))
        self.master.store.known_presence(ALICE)
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_missed_rows_tell_also_who_has_gone(self) -> None:
        self.tell(online(ALICE))
        since = self.position
        self.tell(online(BOB))
        self.tell(offline(ALICE))
        self.tell(online(BOB, 6))
        rows = now(self.master.store.rows_between(PRESENCE, since, self.position, 10))
        self.assertEqual(rows, [(since + 2, offline(ALICE)), (since + 3, online(BOB, 6))])

    def test_memory_is_bounded(self) -> None:
        self.patch(presence, "_OFFLINE_KEPT", 2)
        start = self.position
        self.tell(online(ALICE))
        for name in ("@a:test", "@b:test", "@c:test"):
            self.tell(offline(name))
        rows = now(self.master.store.rows_between(PRESENCE, start, self.position, 10))
        self.assertEqual([row.user_id for _, row in rows], [ALICE, "@b:test", "@c:test"])

    def test_a_new_master_begins_with_those_who_were_online(self) -> None:
        long_ago = PresenceRow(CAROL, "offline", 1, 0, 1, None, False)
        lately = self.master.hs.clock.time_ms() - 1000
        gone = PresenceRow("@dave:test", "offline", lately, 0, lately, None, False)
        now(self.master.store.write_presence([online(ALICE), long_ago, gone]))
        self.tell(online(BOB))
        before = self.position
        now(self.master.store.load_positions())
        self.assertEqual(self.position >> EPOCH_SHIFT, (before >> EPOCH_SHIFT) + 1)
        self.assertEqual(set(self.master.store.present_users()), {ALICE})
        begin = self.position >> EPOCH_SHIFT << EPOCH_SHIFT
        rows = now(self.master.store.rows_between(PRESENCE, begin, self.position, 10))
        self.assertEqual({row for _, row in rows}, {online(ALICE), gone})
        # A worker that has followed the old master.
        self.worker.store.start_at(PRESENCE, begin)
        for token, row in rows:
            self.worker.store.process_rows(PRESENCE, token, [row])
        self.assertEqual(self.worker.store.present_users(), {ALICE})
        known = self.worker.store.known_presence(BOB)
        self.assertEqual((known.state, known.status_msg), ("offline", None))
        # Whoever was told of them before may have to be told again.
        changed = self.worker.store.presence_changed_since(before)
        self.assertEqual(set(changed), {ALICE, BOB, "@dave:test"})

    def test_until_a_new_master_tells_everybody_stays_as_they_were(self) -> None:
        self.tell(online(ALICE), online(BOB))
        before = self.position
        store = self.worker.store
        begin = self.next_epoch()
        store.start_at(PRESENCE, begin)
        self.assertEqual(store.present_users(), {ALICE, BOB})
        self.assertEqual(store.presence_position(), before)
        self.assertEqual(list(store.presence_changed_since(before)), [])
        store.process_rows(PRESENCE, begin + 1, [online(BOB, 9)])
        self.assertEqual(store.present_users(), {BOB})
        self.assertEqual(store.presence_position(), begin + 1)
        # Bob is as he was, Alice is not there any more.
        self.assertEqual(list(store.presence_changed_since(before)), [ALICE])
        self.assertEqual(list(store.presence_changed_since(begin + 1)), [])
        # What happens afterwards is news to all.
        store.process_rows(PRESENCE, begin + 2, [offline(BOB)])
        self.assertEqual(set(store.presence_changed_since(before)), {ALICE, BOB})
        self.assertEqual(list(store.presence_changed_since(begin + 1)), [BOB])

    def test_changes_at_the_end_of_an_epoch_are_told_after_it(self) -> None:
        self.tell(online(ALICE), online(BOB))
        before = self.position
        self.tell(online(BOB, 7))
        store = self.worker.store
        begin = self.next_epoch()
        store.start_at(PRESENCE, begin)
        self.assertEqual(list(store.presence_changed_since(before)), [BOB])
        store.process_rows(PRESENCE, begin + 1, [online(ALICE), online(BOB, 7)])
        self.assertEqual(list(store.presence_changed_since(before)), [BOB])

    def test_a_new_master_that_tells_of_nobody(self) -> None:
        self.tell(online(ALICE))
        before = self.position
        store = self.worker.store
        begin = self.next_epoch()
        store.start_at(PRESENCE, begin)
        store.process_rows(PRESENCE, begin + 1, [])
        self.assertEqual(store.present_users(), set())
        self.assertEqual(list(store.presence_changed_since(before)), [ALICE])

    def test_of_epochs_that_were_not_followed_anything_may_have_been_missed(self) -> None:
        self.tell(online(ALICE))
        store = self.worker.store
        begin = self.next_epoch()
        store.start_at(PRESENCE, begin)
        store.process_rows(PRESENCE, begin + 1, [online(ALICE)])
        for since in (0, self.position - (1 << EPOCH_SHIFT), self.position + 5):
            self.assertEqual(list(store.presence_changed_since(since)), [ALICE])

    def next_epoch(self) -> int:
        return (self.position >> EPOCH_SHIFT) + 1 << EPOCH_SHIFT

    def test_who_was_offline_for_long_is_read_from_the_table(self) -> None:
        self.assertEqual(self.check("get_presence", ALICE), offline(ALICE))
        now(self.master.store.write_presence([online(ALICE)]))
        found = self.check("get_presence", ALICE)
        self.assertEqual(found, PresenceRow(ALICE, "offline", 5, 0, 5, None, False))


class ContentTests(TestCase):
    def test_online(self) -> None:
        self.assertEqual(
            presence_content(online(ALICE, 1000), 1500),
            {
                "presence": "online",
                "last_active_ago": 500,
                "status_msg": "hi",
                "currently_active": True,
            },
        )

    def test_active_now_means_within_a_minute(self) -> None:
        content = presence_content(online(ALICE, 1000), 10**9)
        self.assertEqual(content["last_active_ago"], 60_000)

    def test_others(self) -> None:
        self.assertEqual(presence_content(offline(ALICE), 5), {"presence": "offline"})
        row = PresenceRow(ALICE, "unavailable", 1000, 0, 0, None, False)
        content = {"presence": "unavailable", "last_active_ago": 10**6 - 1000}
        self.assertEqual(presence_content(row, 10**6), content)


class EveryPresenceTable(DatabaseCase):
    async def test_there_and_back(self) -> None:
        await prepare_database(self.db)
        hs: Any = SimpleNamespace(
            name="test",
            clock=self.clock,
            config=SimpleNamespace(
                caches=SimpleNamespace(total_size=1024 * 1024, global_factor=1.0),
                presence=SimpleNamespace(enabled=True),
            ),
        )
        store = PresenceStore(hs, self.db)
        away = PresenceRow(BOB, "unavailable", 1, 2, 3, "⛵", False)
        await store.write_presence([online(ALICE), online(BOB)])
        await store.write_presence([away])
        await store.load_positions()
        self.assertEqual(store.known_presence(ALICE), online(ALICE))
        self.assertEqual(store.known_presence(BOB), away)
        self.assertEqual(await store.get_presence(CAROL), offline(CAROL))


class MemoryPresenceTableTests(EveryPresenceTable, MemoryDatabase):
    pass


class PostgresPresenceTableTests(EveryPresenceTable, PostgresDatabase):
    pass


del EveryPresenceTable
