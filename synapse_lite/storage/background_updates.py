"""Slow changes of existing data, in small batches while the server runs. On the master only.

A batch and the note of how far it came are one transaction, so an update that was killed goes on
exactly where it stood. Batches are sized to take about `TARGET_MS`, because on SQLite nobody else
can write meanwhile. Deltas queue updates with `queue_update`; code registers what they do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from ..util.clock import Clock, Repeating
from ..util.json import JsonDict, decode_stored_json, encode_json_text
from .database import DatabasePool
from .transaction import Transaction

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
TARGET_MS = 100
FIRST_BATCH = 100
MINIMUM_BATCH = 100
_GROWTH = 4
"""A batch is at most this much larger than the one before: one quick batch proves little."""

_LONGEST_PAUSE_SECONDS = 300.0


@attrs.frozen
class BatchResult:
    """What a batch did: how many items, and where the next one starts (None: finished)."""

    items: int
    progress: JsonDict | None


Handler = Callable[[Transaction, JsonDict, int], BatchResult]
"""`(txn, progress, batch_size)`; the first progress is what was queued, mostly `{}`."""


@attrs.frozen
class PendingUpdate:
    """A row of `background_updates`."""

    name: str
    progress: JsonDict
    depends_on: str | None
    items_done: int
    spent_ms: int


@attrs.define
class _Registered:
    handler: Handler | None
    index: tuple[str, str] | None
    minimum: int
    batch: int
    failures: int = 0
    not_before: float = 0.0


def queue_update(
    txn: Transaction,
    name: str,
    *,
    progress: JsonDict | None = None,
    depends_on: str | None = None,
    ordering: int = 0,
) -> None:
    """Queue an update unless it is queued already; for schema deltas."""
    txn.insert_ignore(
        "background_updates",
        update_name=name,
        progress_json=encode_json_text(progress or {}),
        depends_on=depends_on,
        ordering=ordering,
    )


async def get_pending_updates(db: DatabasePool) -> list[PendingUpdate]:
    """The updates that are not finished, in their order. Any process may ask."""
    return await db.read("get_pending_updates", _pending_txn)


def _pending_txn(txn: Transaction) -> list[PendingUpdate]:
    rows = txn.query(
        "SELECT update_name, progress_json, depends_on, items_done, spent_ms"
        " FROM background_updates ORDER BY ordering, update_name"
    )
    return [PendingUpdate(row[0], decode_stored_json(row[1]), *row[2:]) for row in rows]


class BackgroundUpdater:
    """Runs the queued updates in turn, one batch a second, until none is left."""

    def __init__(self, db: DatabasePool, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._registered: dict[str, _Registered] = {}
        self._last = ""
        self._unknown_said: set[str] = set()
        self._repeating: Repeating | None = None

    def register(self, name: str, handler: Handler, *, minimum: int = MINIMUM_BATCH) -> None:
        """Say what an update does. `minimum` is its smallest batch (fewer for costly items)."""
        first = max(minimum, FIRST_BATCH) if minimum >= MINIMUM_BATCH else minimum
        self._registered[name] = _Registered(handler, None, minimum, first)

    def register_index(self, name: str, index: str, statement: str) -> None:
        """An update that builds an index: `statement` is its `CREATE [UNIQUE] INDEX index …`."""
        self._registered[name] = _Registered(None, (index, statement), 1, 1)

    def register_retired(self, name: str) -> None:
        """An update that older code queued and that nothing needs any more."""
        self.register(name, lambda txn, progress, size: BatchResult(0, None))

    @property
    def is_running(self) -> bool:
        """Whether there is something left to do and nobody has stopped it."""
        return self._repeating is not None

    def start(self) -> None:
        """Begin, or go on after `stop`."""
        if self._repeating is None:
            self._repeating = self._clock.every(
                INTERVAL_SECONDS, self._round, name="background updates"
            )

    async def stop(self) -> None:
        """Stop after the batch that is running."""
        if self._repeating is not None:
            self._repeating.stop()
            self._repeating = None

    def batch_size(self, name: str) -> int:
        """How many items the next batch of a registered update will have."""
        return self._registered[name].batch

    async def _round(self) -> None:
        if not await self.run_batch():
            await self.stop()

    async def run_batch(self) -> bool:
        """Run one batch of the next update in turn. Returns False if none is left to be run."""
        pending = await get_pending_updates(self._db)
        waiting = {update.name for update in pending}
        able = [update for update in pending if self._is_able(update, waiting)]
        if not able:
            return False
        ready = [u for u in able if self._registered[u.name].not_before <= self._clock.time()]
        if ready:
            names = [update.name for update in ready]
            after = names.index(self._last) + 1 if self._last in names else 0
            update = ready[after % len(ready)]
            self._last = update.name
            await self._run(update, self._registered[update.name])
        return True

    def _is_able(self, update: PendingUpdate, waiting: set[str]) -> bool:
        if update.name not in self._registered:
            if update.name not in self._unknown_said:
                self._unknown_said.add(update.name)
                logger.error("No code for the background update %s; it stays", update.name)
            return False
        return update.depends_on not in waiting

    async def _run(self, update: PendingUpdate, registered: _Registered) -> None:
        try:
            if registered.index is not None:
                await self._build_index(update, *registered.index)
            else:
                await self._run_handler(update, registered)
        except Exception:
            registered.failures += 1
            pause = min(2.0**registered.failures, _LONGEST_PAUSE_SECONDS)
            registered.not_before = self._clock.time() + pause
            logger.exception("Background update %s failed, again in %d s", update.name, pause)
        else:
            registered.failures = 0

    async def _run_handler(self, update: PendingUpdate, registered: _Registered) -> None:
        size = registered.batch
        result, spent_ms = await self._db.run(
            f"background_update {update.name}", self._batch_txn, update.name, registered, size
        )
        done = update.items_done + result.items
        logger.info("Background update %s: %d items in %d ms", update.name, done, spent_ms)
        if result.items:
            wanted = int(result.items * TARGET_MS / max(spent_ms, 1))
            registered.batch = max(registered.minimum, min(wanted, size * _GROWTH))

    def _batch_txn(
        self, txn: Transaction, name: str, registered: _Registered, size: int
    ) -> tuple[BatchResult, int]:
        """A batch, and the note of how far it came."""
        assert registered.handler is not None, "indexes are built elsewhere"
        row = txn.select_one("background_updates", ("progress_json",), update_name=name)
        if row is None:
            return BatchResult(0, None), 0
        began = self._clock.time()
        result = registered.handler(txn, decode_stored_json(row[0]), size)
        spent_ms = int((self._clock.time() - began) * 1000)
        if result.progress is None:
            txn.delete("background_updates", update_name=name)
        else:
            txn.execute(
                "UPDATE background_updates SET progress_json = ?, items_done = items_done + ?,"
                " spent_ms = spent_ms + ? WHERE update_name = ?",
                (encode_json_text(result.progress), result.items, spent_ms, name),
            )
        return result, spent_ms

    async def _build_index(self, update: PendingUpdate, index: str, statement: str) -> None:
        """Build an index without hindering writers where the database can do that."""

        def build(txn: Transaction) -> None:
            # What an interrupted attempt left behind is of no use.
            txn.execute(f"DROP INDEX IF EXISTS {index}")
            txn.execute(txn.engine.create_index_sql(statement))

        await self._db.run_outside_transaction(f"background_update {update.name}", build)
        await self._db.run(
            "finish_background_update",
            lambda txn: txn.delete("background_updates", update_name=update.name),
        )
