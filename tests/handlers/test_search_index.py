"""The index of messages follows the streams, wherever it was interrupted."""

from __future__ import annotations

from typing import Any

from synapse_lite.handlers import search_index
from synapse_lite.handlers.search_index import INDEX_SECONDS, SearchIndexer
from synapse_lite.storage import search_index as index_store
from synapse_lite.storage.background_updates import BackgroundUpdater, get_pending_updates
from tests.harness.homeserver import now
from tests.rest.client.rooms import RoomsCase


class IndexCase(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.indexer: SearchIndexer | None = None

    def start(self, *, enabled: bool = True) -> None:
        """A new process begins with what is in the database."""
        if self.indexer is not None:
            now(self.indexer.stop())
        updater = self.master.hs.part(BackgroundUpdater)
        now(updater.stop())
        self.indexer = SearchIndexer(self.master.hs)
        self.indexer._enabled = enabled
        now(self.indexer.start())

    def rows(self) -> list[tuple[Any, ...]]:
        """Everything in the index, with what its grams lead to."""
        rows = now(
            self.master.db.read(
                "rows",
                lambda txn: txn.query(
                    "SELECT stream_ordering, text FROM search_messages ORDER BY stream_ordering"
                ),
            )
        )
        return [tuple(row) for row in rows]

    def texts(self) -> list[str]:
        return [text for _, text in self.rows()]

    def clear(self) -> None:
        """Forget all that was indexed, as a database from before the index."""
        statements = ["DELETE FROM search_messages", "DELETE FROM search_position"]
        if not self.postgres:
            statements.append(
                "INSERT INTO search_messages_grams (search_messages_grams) VALUES ('delete-all')"
            )
        for statement in statements:
            now(self.master.db.run("clear", lambda txn, sql=statement: txn.execute(sql)))

    def pending(self) -> list[str]:
        return [update.name for update in now(get_pending_updates(self.master.db))]

    def history(self) -> str:
        """A room with messages, edits and redactions."""
        room_id = self.room(name="Garden", topic="Tulips")
        said = [self.master.send(self.alice, room_id, f"word{n}") for n in range(6)]
        for target, text in ((said[1], "pear"), (said[1], "plum"), (said[2], "fig")):
            self.ok(
                "PUT",
                f"rooms/{room_id}/send/m.room.message/{text}",
                {
                    "msgtype": "m.text",
                    "body": f"* {text}",
                    "m.new_content": {"msgtype": "m.text", "body": text},
                    "m.relates_to": {"rel_type": "m.replace", "event_id": target},
                },
            )
        self.ok("PUT", f"rooms/{room_id}/redact/{said[3]}/1", {})
        return room_id


EXPECTED = ["garden", "tulips", "word0", "plum", "fig", "word4", "word5"]


class EveryIndexTest:
    def test_what_is_new_is_indexed_in_a_few_seconds(self: Any) -> None:
        self.start()
        self.history()
        self.assertEqual(self.texts(), [])
        self.master.reactor.advance(INDEX_SECONDS)
        self.assertEqual(self.texts(), EXPECTED)
        self.assertNotIn(index_store.PAST_UPDATE, self.pending())

    def test_no_news_cost_nothing(self: Any) -> None:
        self.start()
        self.history()
        self.master.reactor.pump([INDEX_SECONDS] * 5)
        before = self.master.db.counts.transactions
        self.master.reactor.pump([INDEX_SECONDS] * 5)
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_a_batch_has_a_fixed_number_of_statements(self: Any) -> None:
        self.start()
        self.master.reactor.pump([INDEX_SECONDS] * 5)
        self.history()
        with self.master.db.recording() as statements:
            self.master.reactor.advance(INDEX_SECONDS)
        self.assertLessEqual(len(statements), 12)

    def test_the_past_is_indexed_in_the_background(self: Any) -> None:
        self.patch(search_index, "_MINIMUM_PAST_BATCH", 2)
        self.history()
        self.start()
        self.master.send(self.alice, self.room(), "new")
        self.master.reactor.advance(INDEX_SECONDS)
        # Begun from the newest; what is done already makes no difference.
        self.assertEqual(self.texts()[-1], "new")
        self.assertEqual(self.pending(), [index_store.PAST_UPDATE])
        for _ in range(60):
            self.master.reactor.advance(1)
        self.assertEqual(self.texts(), [*EXPECTED, "new"])
        self.assertEqual(self.pending(), [])
        self.start()
        self.assertEqual(self.pending(), [])

    def test_interrupted_anywhere_it_ends_the_same(self: Any) -> None:
        self.patch(index_store, "BATCH_POSITIONS", 2)
        self.patch(search_index, "_MINIMUM_PAST_BATCH", 3)
        self.history()
        self.start()
        self.history()
        self.master.reactor.advance(INDEX_SECONDS)
        for _ in range(60):
            self.master.reactor.advance(1)
        expected = self.rows()
        self.assertEqual([text for _, text in expected], EXPECTED * 2)
        self.clear()
        self.master.hs.part(BackgroundUpdater)
        for round_number in range(40):
            self.start()  # as after SIGKILL: nothing but the database is left
            if round_number == 3:
                self.history()
            self.master.reactor.advance(1.5)
        self.master.reactor.advance(INDEX_SECONDS)
        self.assertEqual(self.rows()[: len(expected)], expected)
        self.assertEqual(self.texts(), EXPECTED * 3)

    def test_a_failed_batch_is_done_again(self: Any) -> None:
        self.start()
        self.history()
        fail = [True]

        def sources(*args: Any) -> Any:
            if fail:
                raise RuntimeError("the disk is full")
            return real(*args)

        real = index_store._sources_txn
        self.patch(index_store, "_sources_txn", sources)
        with self.assertLogs(level="ERROR"):
            self.master.reactor.advance(INDEX_SECONDS)
        self.assertEqual(self.texts(), [])
        fail.clear()
        self.master.reactor.advance(INDEX_SECONDS)
        self.assertEqual(self.texts(), EXPECTED)

    def test_indexing_again_changes_nothing(self: Any) -> None:
        self.start()
        self.history()
        self.master.reactor.advance(INDEX_SECONDS)
        before = self.rows()
        for position in (0, 3, 7):
            now(
                self.master.db.run(
                    "back",
                    lambda txn, at=position: txn.update("search_position", {}, {"events": at}),
                )
            )
            self.start()
            self.master.reactor.advance(INDEX_SECONDS)
            self.assertEqual(self.rows(), before)

    def test_turned_off_and_on_again(self: Any) -> None:
        self.history()
        self.start()
        self.start(enabled=False)
        self.assertEqual(self.pending(), [])
        self.master.send(self.alice, self.room(), "meanwhile")
        self.master.reactor.pump([1] * 5)
        self.assertEqual(self.texts(), [])
        self.start()
        self.master.reactor.pump([1] * 10)
        self.assertEqual(self.texts(), [*EXPECTED, "meanwhile"])


class IndexTests(EveryIndexTest, IndexCase):
    pass


class PostgresIndexTests(EveryIndexTest, IndexCase):
    postgres = True
