"""What every store is made of.

A store is composed of area classes: `<Area>WorkerStore` holds reads and caches and runs in any
process, `<Area>Store` adds writes and runs in the master only. The composed class ends in
`MasterStore`, which hands out positions, or in `FollowerStore`, which follows them. Both apply the
rows of streams by the same `apply()`, so that a change makes the same caches stale everywhere.
"""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from ..server import Homeserver
from ..streams import CACHES, EPOCH_SHIFT, STREAMS, Counter, Live, Query, Stream, Table, Wakes
from ..streams.caches import CacheRow
from ..util.async_helpers import SharedCall
from ..util.caches.changes import StreamChangeCache
from ..util.caches.registry import CacheRegistry
from ..util.json import decode_stored_json, encode_json_text
from ._positions import BLOCK, FollowingPosition, WritingPosition
from .database import DatabasePool
from .transaction import Transaction

logger = logging.getLogger(__name__)

RowListener = Callable[[Stream, int, Sequence[Any]], None]
"""Told that a stream has moved to a token, with the rows at it (none when it moved without)."""

LiveSource = Callable[[int, int], list[tuple[int, Any]]]
"""Rows of a live stream with low < token <= high, in rising order."""

_CHANGE_CACHE_ENTRIES = 10_000

KEPT_CACHE_ROWS = 20_000
"""Rows of the caches stream that are kept: more than are ever sent to a worker one by one."""


def declared(cls: type, name: str) -> Iterator[Any]:
    """The items of a tuple that classes of a composed store declare, each class's own once."""
    for base in cls.__mro__:
        yield from base.__dict__.get(name, ())


class BaseStore:
    """What master and workers share.

    `streams` names streams that a class reads positions of; `handles` names methods that apply an
    effect of a row which depends on the row: `(EVENTS, "_event_row_applied")`, called with
    (token, row). Both are collected over the classes that make up the store.
    """

    is_store: ClassVar[bool] = True
    streams: ClassVar[tuple[Stream, ...]] = ()
    handles: ClassVar[tuple[tuple[Stream, str], ...]] = ((CACHES, "_cache_row_applied"),)
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = ()

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        self.db = db
        self.clock = hs.clock
        self.server_name = hs.name
        caches = hs.config.caches
        self.caches = CacheRegistry(caches.total_size, caches.global_factor)
        self.caches.build_all(self)
        self.followed = self._followed_streams()
        self._change_caches = {
            name: StreamChangeCache(name, 0, _CHANGE_CACHE_ENTRIES, self.caches.budget)
            for stream in self.followed
            for name in stream.changed
        }
        self._effects = {stream.name: self._effects_of(stream) for stream in self.followed}
        self._listeners: list[RowListener] = []
        self._restart_listeners: list[Callable[[], None]] = []

    def _followed_streams(self) -> tuple[Stream, ...]:
        """The streams whose rows concern this store: computed, never listed."""
        wanted = set(declared(type(self), "streams"))
        wanted.update(stream for stream, _ in declared(type(self), "handles"))
        return tuple(
            stream
            for stream in STREAMS
            if stream in wanted or any(self.caches.get(name) for name in stream.stale)
        )

    def _effects_of(self, stream: Stream) -> tuple[Callable[[int, Any], None], ...]:
        """What a row of the stream does here, as a flat list made once."""
        effects: list[Callable[[int, Any], None]] = []
        for name, fields in stream.stale.items():
            cache = self.caches.get(name)
            if cache is not None:
                effects.append(_invalidation(cache.invalidate, fields))
        for name, field in stream.changed.items():
            effects.append(_change(self._change_caches[name], field))
        for handled, method in dict.fromkeys(declared(type(self), "handles")):
            if handled is stream:
                effects.append(getattr(self, method))
        return tuple(effects)

    def apply(self, stream: Stream, token: int, row: Any) -> None:
        """Make stale what a row changes. The same code on the master and in workers."""
        for effect in self._effects.get(stream.name, ()):
            effect(token, row)

    def _forget(self, stream: Stream, token: int, newest: int) -> None:
        """Drop all caches, and what is known of a stream up to a token.

        `newest` is how far the streams of its counter have come. They may feed the same change
        cache: what it has heard from another one beyond the token is dropped with the rest.
        """
        self.caches.invalidate_all()
        if stream in self.followed:
            for name in stream.changed:
                self._change_caches[name].reset(newest)
        for handled, method in dict.fromkeys(declared(type(self), "resets")):
            if handled is stream:
                getattr(self, method)(token)

    def _cache_row_applied(self, token: int, row: CacheRow) -> None:
        cache = self.caches.get(row.cache_func)
        if cache is None:
            return  # this process does not have that read
        if row.keys is None:
            cache.invalidate_all()
        else:
            cache.invalidate(tuple(row.keys))

    def change_cache(self, name: str) -> StreamChangeCache:
        """The change cache that a stream feeds."""
        return self._change_caches[name]

    def follow(self, listener: RowListener) -> None:
        """Call the listener, in the order of tokens, once rows are applied and readable."""
        self._listeners.append(listener)

    def follow_restarts(self, listener: Callable[[], None]) -> None:
        """Call the listener when a stream went on without the rows in between (in workers only)."""
        self._restart_listeners.append(listener)

    def _tell(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        for listener in self._listeners:
            try:
                listener(stream, token, rows)
            except Exception:
                logger.exception("A listener failed on stream %s at %d", stream.name, token)

    def position(self, counter: Counter) -> int:
        """The position up to which everything of a counter can be read here."""
        raise NotImplementedError

    def current_token(self, stream: Stream) -> int:
        """The position of a stream's counter."""
        return self.position(stream.counter)

    async def newest_token(self, stream: Stream) -> int:
        """A position that is not below that of anything that was acknowledged so far."""
        raise NotImplementedError

    def wakes(self, stream: Stream, rows: Sequence[Any]) -> Wakes:
        """Rooms and users that rows of a stream wake, each once."""
        found = [stream.wakes(row) for row in rows]
        return Wakes(
            rooms=tuple(dict.fromkeys(room for wake in found for room in wake.rooms)),
            users=tuple(dict.fromkeys(user for wake in found for user in wake.users)),
            sharing=tuple(dict.fromkeys(user for wake in found for user in wake.sharing)),
        )


def _invalidation(
    invalidate: Callable[[tuple[Any, ...]], None], fields: tuple[str, ...]
) -> Callable[[int, Any], None]:
    return lambda token, row: invalidate(tuple(getattr(row, field) for field in fields))


def _change(cache: StreamChangeCache, field: str) -> Callable[[int, Any], None]:
    return lambda token, row: cache.entity_changed(getattr(row, field), token)


class MasterStore(BaseStore):
    """The base of the master's store: the only one that writes streams."""

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._positions = {
            stream.counter.name: WritingPosition(stream.counter) for stream in STREAMS
        }
        self._told: dict[str, int] = {}
        self._committed: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        self._live_sources: dict[str, LiveSource] = {}
        self._raising: SharedCall[str, None] = SharedCall()
        db.on_committed = self._apply_committed
        db.write_invalidations = self._write_invalidations_txn

    async def load_positions(self) -> None:
        """Read where each counter stands. Run once, before anything else uses the store."""
        newest = await self.db.run("load_positions", self._load_positions_txn)
        for name, token in newest.items():
            self._positions[name].load(token)
            self._positions[name].limit = token + BLOCK
            self._told[name] = token
        for stream in STREAMS:
            token = newest[stream.counter.name]
            self._forget(stream, token, token)

    async def save_positions(self) -> None:
        """Give back what is reserved beyond the present positions. Run last, before stopping."""
        newest = {
            name: position.newest
            for name, position in self._positions.items()
            if not position.counter.in_memory
        }
        await self.db.run("save_positions", self._reserve_txn, newest)

    @staticmethod
    def _reserve_txn(txn: Transaction, limits: Mapping[str, int]) -> None:
        txn.upsert_many("reserved_positions", ("name",), ("reserved",), list(limits.items()))

    def _load_positions_txn(self, txn: Transaction) -> dict[str, int]:
        txn.execute("UPDATE replication_epoch SET epoch = epoch + 1")
        row = txn.query_one("SELECT epoch FROM replication_epoch")
        assert row is not None, "the schema puts one row into replication_epoch"
        newest: dict[str, int] = {}
        rows = txn.query("SELECT name, reserved FROM reserved_positions")
        reserved: dict[str, int] = {row[0]: row[1] for row in rows}
        for position in self._positions.values():
            counter = position.counter
            if counter.table is None:
                newest[counter.name] = row[0] << EPOCH_SHIFT
                continue
            highest = reserved.get(counter.name, 0)
            for table, column in ((counter.table, counter.column), *counter.also):
                highest = max(highest, _newest_in_txn(txn, counter, table, column))
            newest[counter.name] = highest
        stored = {
            name: token + BLOCK
            for name, token in newest.items()
            if not self._positions[name].counter.in_memory
        }
        self._reserve_txn(txn, stored)
        return newest

    def position(self, counter: Counter) -> int:
        return self._positions[counter.name].current()

    async def newest_token(self, stream: Stream) -> int:
        """What was committed is known here before it is acknowledged."""
        return self.current_token(stream)

    @contextlib.asynccontextmanager
    async def writing(self, stream: Stream) -> AsyncIterator[int]:
        """Reserve the next position of a stream for the body of the `async with`.

        Once the body has ended, well or not, the position is released, and rows noted by
        `txn.changed` in committed transactions go to the listeners.
        """
        async with self.writing_many(stream, 1) as tokens:
            yield tokens[0]

    @contextlib.asynccontextmanager
    async def writing_many(self, stream: Stream, count: int) -> AsyncIterator[list[int]]:
        """As `writing`, for several positions at once."""
        position = self._positions[stream.counter.name]
        # Again, if the call was shared with somebody who needs fewer.
        while position.next_limit(count) is not None:
            await self._raising.get(
                position.counter.name, lambda: self._raise_limit(position, count)
            )
        tokens = position.reserve(count)
        try:
            yield tokens
        finally:
            position.release(tokens)
            self._flush(stream.counter)

    async def _raise_limit(self, position: WritingPosition, count: int) -> None:
        limit = position.next_limit(count)
        if limit is not None:
            name = position.counter.name
            await self.db.run("reserve_positions", self._reserve_txn, {name: limit})
            position.limit = limit

    def _apply_committed(self, changes: Sequence[tuple[Stream, int, Any]]) -> None:
        """Effects of a committed transaction; runs before the writer goes on.

        Workers must hear of every row, also when its effect fails here.
        """
        for stream, token, row in changes:
            self._committed[stream.name].append((token, row))
        for stream, token, row in changes:
            try:
                self.apply(stream, token, row)
            except Exception:
                logger.exception("Cannot apply a row of %s: everything is forgotten", stream.name)
                # Rows at greater tokens may have been applied before.
                newest = self._positions[stream.counter.name].newest
                self._forget(stream, newest, newest)

    def publish_live(self, stream: Stream, rows: Sequence[Any]) -> int:
        """Apply and send rows of a live stream, which is in memory only. Returns their token."""
        position = self._positions[stream.counter.name]
        tokens = position.reserve(1)
        for row in rows:
            self.apply(stream, tokens[0], row)
            self._committed[stream.name].append((tokens[0], row))
        position.release(tokens)
        self._flush(stream.counter)
        return tokens[0]

    def _flush(self, counter: Counter) -> None:
        """Tell the listeners of everything up to the current position that they do not know."""
        current = self._positions[counter.name].current()
        if current <= self._told[counter.name]:
            return
        self._told[counter.name] = current
        for stream in STREAMS:
            if stream.counter is not counter:
                continue
            waiting = self._committed.pop(stream.name, [])
            ready = sorted((item for item in waiting if item[0] <= current), key=_token_of)
            later = [item for item in waiting if item[0] > current]
            if later:
                self._committed[stream.name] = later
            for token, rows in _grouped(ready):
                self._tell(stream, token, rows)
            if not ready or ready[-1][0] < current:
                self._tell(stream, current, ())

    def bind_live(self, stream: Stream, source: LiveSource) -> None:
        """Name what answers for the rows of a live stream."""
        self._live_sources[stream.name] = source

    async def rows_between(
        self, stream: Stream, low: int, high: int, limit: int
    ) -> list[tuple[int, Any]]:
        """Rows of a stream with low < token <= high, rising, at most `limit`: for catching up."""
        if low >= high:
            return []
        if isinstance(stream.rows, Live):
            return self._live_sources[stream.name](low, high)[:limit]
        if isinstance(stream.rows, Query):
            query = getattr(self, stream.rows.method)
            found: list[tuple[int, Any]] = await query(low, high, limit)
            return found
        return await self.db.read(
            "rows_between", self._rows_between_txn, stream, stream.rows, low, high, limit
        )

    @staticmethod
    def _rows_between_txn(
        txn: Transaction, stream: Stream, table: Table, low: int, high: int, limit: int
    ) -> list[tuple[int, Any]]:
        column = stream.counter.column
        txn.execute(
            f"SELECT {column}, {', '.join(stream.fields)} FROM {table.name}"
            f" WHERE {column} > ? AND {column} <= ? ORDER BY {column} LIMIT ?",
            (low, high, limit),
        )
        rows: list[tuple[int, Any]] = []
        for token, *values in txn.fetchall():
            for index, field in enumerate(stream.fields):
                if field in table.json:
                    values[index] = decode_stored_json(values[index])
                elif field in table.booleans:
                    values[index] = bool(values[index])
            rows.append((token, stream.row(*values)))
        return rows

    def _write_invalidations_txn(
        self, txn: Transaction, entries: Sequence[tuple[str, tuple[Any, ...] | None]]
    ) -> None:
        """Send stale entries to the workers: rows written in the transaction that makes them so."""
        position = self._positions[CACHES.counter.name]
        limit = position.next_limit(len(entries))
        if limit is not None:
            self._reserve_txn(txn, {CACHES.counter.name: limit})
            txn.call_after(setattr, position, "limit", limit)
            self._trim_invalidations_txn(txn)
        tokens = position.reserve(len(entries))
        txn.call_finally(self._invalidations_written, tokens)
        now = self.clock.time_ms()
        for token, (name, key) in zip(tokens, entries, strict=True):
            keys = None if key is None else list(key)
            txn.insert(
                "cache_invalidation_stream",
                stream_id=token,
                cache_func=name,
                keys=None if keys is None else encode_json_text(keys),
                invalidation_ts=now,
            )
            txn.changed(CACHES, token, CacheRow(name, keys, now))

    @staticmethod
    def _trim_invalidations_txn(txn: Transaction) -> None:
        """Forget rows that no worker will be sent; done as seldom as the limit is raised."""
        txn.execute(
            "DELETE FROM cache_invalidation_stream WHERE stream_id <="
            " (SELECT stream_id FROM cache_invalidation_stream"
            " ORDER BY stream_id DESC LIMIT 1 OFFSET ?)",
            (KEPT_CACHE_ROWS,),
        )

    def _invalidations_written(self, tokens: Sequence[int]) -> None:
        self._positions[CACHES.counter.name].release(tokens)
        self._flush(CACHES.counter)

    async def get_cache_rows(self, low: int, high: int, limit: int) -> list[tuple[int, CacheRow]]:
        """Rows of the caches stream."""
        rows = await self.db.read(
            "get_cache_rows",
            lambda txn: txn.query(
                "SELECT stream_id, cache_func, keys, invalidation_ts FROM cache_invalidation_stream"
                " WHERE stream_id > ? AND stream_id <= ? ORDER BY stream_id LIMIT ?",
                (low, high, limit),
            ),
        )
        return [
            (token, CacheRow(name, None if keys is None else decode_stored_json(keys), written_ts))
            for token, name, keys, written_ts in rows
        ]


def _newest_in_txn(txn: Transaction, counter: Counter, table: str, column: str) -> int:
    """The newest position of a counter in a column."""
    function = "MAX" if counter.step > 0 else "MIN"
    found = txn.query_one(f"SELECT {function}({column}) FROM {table}")
    return 0 if found is None or found[0] is None else int(found[0]) * counter.step


def _token_of(item: tuple[int, Any]) -> int:
    return item[0]


def _grouped(items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, list[Any]]]:
    """Neighbouring rows of one token, together."""
    group: list[Any] = []
    for index, (token, row) in enumerate(items):
        group.append(row)
        if index + 1 == len(items) or items[index + 1][0] != token:
            yield token, group
            group = []


class FollowerStore(BaseStore):
    """The base of a worker's store: follows the positions that the master reports."""

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        counters = {stream.counter.name: stream.counter for stream in self.followed}
        self._positions = {
            name: FollowingPosition(
                counter, [stream.name for stream in self.followed if stream.counter is counter]
            )
            for name, counter in counters.items()
        }

    def position(self, counter: Counter) -> int:
        return self._positions[counter.name].current()

    async def newest_token(self, stream: Stream) -> int:
        """Ask the database, which has what the master may not have told us yet."""
        counter = stream.counter
        assert counter.table is not None, "positions in memory are known to the master only"
        return await self.db.read(
            "newest_token", _newest_in_txn, counter, counter.table, counter.column
        )

    def token_of(self, stream: Stream) -> int:
        """How far this process has come in one stream: where it asks the master to go on."""
        return self._positions[stream.counter.name].token_of(stream.name)

    def process_rows(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        """Apply all rows of one token, move the position, then tell the listeners."""
        for row in rows:
            self.apply(stream, token, row)
        self._positions[stream.counter.name].advance(stream.name, token)
        self._tell(stream, token, rows)

    def start_at(self, stream: Stream, token: int) -> None:
        """Begin to follow a stream from a token: nothing cached here may be older.

        Used at the first connection, after falling too far behind, and when the master says that
        it has not come so far: its database was restored from a copy.
        """
        position = self._positions[stream.counter.name]
        position.begin(stream.name, token)
        self._forget(stream, token, position.newest())
        self._tell(stream, token, ())
        for listener in self._restart_listeners:
            listener()
