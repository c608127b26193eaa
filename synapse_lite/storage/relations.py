"""Relations between events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal

from ..api.constants import RelationTypes
from ..events.event import Event
from ..server import Homeserver
from ..streams import BACKFILL, EVENTS, EventRow, Stream
from ..types.tokens import RoomToken
from ..util.caches.cached import cached, cached_list
from ..util.caches.changes import StreamChangeCache
from ._base import BaseStore
from ._persist_threads import EVERYBODY
from ._relations_sql import (
    MAX_RECURSION,
    Relations,
    RelationsQuery,
    ThreadActivity,
    newest_related_txn,
    related_txn,
    relations_txn,
    relations_weight,
)
from ._timeline_sql import after, before
from .database import DatabasePool
from .transaction import Transaction

__all__ = [
    "EVERYBODY",
    "MAX_RECURSION",
    "Relations",
    "RelationsQuery",
    "RelationsWorkerStore",
    "ThreadActivity",
]

_MAX_ANNOTATIONS = 200
"""A user hardly gives one event more reactions; more are not compared."""

_CHANGE_CACHE_ENTRIES = 50_000

_MANY_THREADS = 1000
"""With so many threads of their own, users have one on every page or so."""


class RelationsWorkerStore(BaseStore):
    """Reads of relations, in any process."""

    handles: ClassVar[tuple[tuple[Stream, str], ...]] = (
        (EVENTS, "_relation_row_applied"),
        (BACKFILL, "_old_relation_row_applied"),
    )
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = ((EVENTS, "_related_reset"),)

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        # Every relation to an event since `earliest_known` is in it, at the event's position or
        # after it.
        self._related = StreamChangeCache(
            "events_related", 0, _CHANGE_CACHE_ENTRIES, self.caches.budget
        )
        self._newest = 0

    # What changes

    def _related_reset(self, token: int) -> None:
        self._related.reset(token)
        self._newest = token

    def _relation_row_applied(self, token: int, row: EventRow) -> None:
        self._newest = max(self._newest, token)
        self._note(token, row)

    def _old_relation_row_applied(self, token: int, row: EventRow) -> None:
        """History that was fetched later may have a relation to any event that is here."""
        self._note(self._newest, row)

    def _note(self, position: int, row: EventRow) -> None:
        if row.relates_to is not None and row.rel_type in RelationTypes.BUNDLED:
            self._forget_relations(row.relates_to, position)
        if row.frees is not None:
            self._forget_relations(row.frees, position)
        if row.has_relations:
            self._forget_relations(row.event_id, position)

    def _forget_relations(self, event_id: str, position: int) -> None:
        self._related.entity_changed(event_id, position)
        self.get_relations.invalidate((event_id,))

    # What is told with an event

    def may_have_relations(self, event: Event) -> bool:
        """Whether an event may have relations that are told with it.

        Costs nothing, and is exact for events that are newer than this process.
        """
        ordering = event.metadata.stream_ordering
        return ordering is None or self._related.has_changed(event.event_id, ordering - 1)

    @cached(max_entries=50_000, size_of=relations_weight)
    async def get_relations(self, event_id: str) -> Relations | None:
        """The relations of an event that are told with it; None without any."""
        return (await self._read_relations((event_id,))).get(event_id)

    @cached_list(cached_method_name="get_relations", list_name="event_ids")
    async def get_relations_of_events(self, event_ids: Collection[str]) -> Mapping[str, Relations]:
        """The list form of `get_relations`: one statement for all that are not known."""
        return await self._read_relations(event_ids)

    async def _read_relations(self, event_ids: Collection[str]) -> dict[str, Relations]:
        return await self.db.read("get_relations", relations_txn, event_ids)

    async def get_newest_related(
        self, event_ids: Collection[str], limit: int
    ) -> list[tuple[str, str, str]]:
        """The newest relations of some events of the kinds that are told with them, oldest first.

        For each event and kind at most `limit`, valid ones only: parent, kind and id.
        """
        return await self.db.read("get_newest_related", newest_related_txn, event_ids, limit)

    # Pages

    async def get_related_page(
        self,
        query: RelationsQuery,
        start: RoomToken | None,
        end: RoomToken | None,
        *,
        direction: Literal["b", "f"],
        limit: int,
    ) -> tuple[list[str], RoomToken | None]:
        """Ids of relations from a position on, backwards ("b") or forwards, not beyond `end`.

        The token for the next page is None when this was the last. Redacted relations are none.
        """
        backwards = direction == "b"
        positions = []
        if start is not None:
            positions.append(before(start) if backwards else after(start))
        if end is not None:
            positions.append(after(end) if backwards else before(end))
        rows = await self.db.read(
            "get_related_page", related_txn, query, positions, direction, limit + 1
        )
        return [row[0] for row in rows[:limit]], _next(rows, limit, backwards=backwards)

    async def get_threads_page(
        self, room_id: str, start: RoomToken | None, limit: int, *, of_user: str | None = None
    ) -> tuple[list[str], RoomToken | None]:
        """Ids of the roots of a room's threads, those with the newest events first.

        With `of_user` those that the user has started or sent something into. A root may be
        missing here, or be none. The token for the next page is None when this was the last.
        """
        rows = await self.db.read(
            "get_threads_page", self._threads_txn, room_id, start, limit + 1, of_user
        )
        return [row[0] for row in rows[:limit]], _next(rows, limit, backwards=True)

    @staticmethod
    def _threads_txn(
        txn: Transaction, room_id: str, start: RoomToken | None, limit: int, of_user: str | None
    ) -> list[tuple[Any, ...]]:
        condition, args = ("1 = 1", []) if start is None else before(start)
        source = (
            "SELECT root_id, depth, stream_ordering FROM thread_activity"
            " WHERE room_id = ? AND sender = '' AND events > 0"
        )
        source_args = [room_id]
        if of_user is not None:
            source, source_args = _own_threads(txn, room_id, of_user)
        return txn.query(
            f"SELECT root_id, depth, stream_ordering FROM ({source}) AS threads WHERE {condition}"
            " ORDER BY depth DESC, stream_ordering DESC LIMIT ?",
            [*source_args, *args, limit],
        )

    # Reactions

    async def get_annotations_of_user(
        self, event_id: str, event_type: str, user_id: str
    ) -> Sequence[str]:
        """The ids of the annotations of one type that a user has given an event.

        Redacted ones are left out.
        """
        rows = await self.db.read(
            "get_annotations_of_user",
            lambda txn: txn.query(
                "SELECT event_id FROM events WHERE relates_to = ? AND rel_type = ? AND type = ?"
                " AND sender = ? AND redacted_by IS NULL AND in_timeline"
                " ORDER BY stream_ordering LIMIT ?",
                (event_id, RelationTypes.ANNOTATION, event_type, user_id, _MAX_ANNOTATIONS),
            ),
        )
        return [row[0] for row in rows]


_PARTICIPATES = (
    "(mine.events > 0 OR EXISTS (SELECT 1 FROM events e"
    " WHERE e.event_id = mine.root_id AND e.sender = mine.sender))"
)


def _own_threads(txn: Transaction, room_id: str, user_id: str) -> tuple[str, list[str]]:
    """A SELECT of the threads of a user, with their newest events.

    Who has few threads: those are sorted. Who has many: the threads of the room are gone through
    from the newest on, which soon finds enough of them. (CROSS JOIN keeps the order on SQLite.)
    """
    (number,) = txn.query(
        "SELECT COUNT(*) FROM (SELECT 1 FROM thread_activity WHERE room_id = ? AND sender = ?"
        " LIMIT ?) AS found",
        (room_id, user_id, _MANY_THREADS),
    )
    columns = "SELECT whole.root_id, whole.depth, whole.stream_ordering"
    is_whole = "whole.room_id = ? AND whole.sender = '' AND whole.events > 0"
    is_mine = (
        f"mine.root_id = whole.root_id AND mine.sender = ? AND mine.room_id = ? AND {_PARTICIPATES}"
    )
    if number[0] < _MANY_THREADS:
        tables = "thread_activity mine CROSS JOIN thread_activity whole"
        return (
            f"{columns} FROM {tables} WHERE {is_whole} AND {is_mine}",
            [room_id, user_id, room_id],
        )
    return (
        f"{columns} FROM thread_activity whole WHERE {is_whole}"
        f" AND EXISTS (SELECT 1 FROM thread_activity mine WHERE {is_mine})",
        [room_id, user_id, room_id],
    )


def _next(rows: Sequence[tuple[Any, ...]], limit: int, *, backwards: bool) -> RoomToken | None:
    """The position after a page of which one more row than its `limit` was read."""
    if len(rows) <= limit:
        return None
    _, depth, ordering = rows[limit - 1]
    return RoomToken(ordering - 1 if backwards else ordering, depth)
