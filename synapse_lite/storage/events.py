"""Events by id, the heads of rooms, and the sources of the streams of events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Literal, overload

import attrs

from ..api.errors import NotFoundError
from ..events.event import Event
from ..server import Homeserver
from ..streams import BACKFILL, EVENTS, EventRow, Stream
from ..util.caches.cached import cached, cached_list
from ._base import BaseStore
from ._event_fetcher import EventFetcher
from ._event_rows import (
    EVENT_ROW_COLUMNS,
    auth_chain_ids_txn,
    event_nids_txn,
    event_row,
    event_weight,
)
from .database import DatabasePool
from .transaction import Transaction

__all__ = ["EventsWorkerStore", "Head", "RoomHeads", "event_nids_txn"]


@attrs.frozen
class Head:
    """A forward extremity: an event that no other event of its room follows.

    `state_group` is the state after it.
    """

    event_id: str
    depth: int
    state_group: int


@attrs.frozen
class RoomHeads:
    """The forward extremities of a room; none if this server does not know the room's state."""

    heads: tuple[Head, ...] = ()

    @staticmethod
    def of(heads: Iterable[Head]) -> RoomHeads:
        """The heads in the order in which every process has them."""
        return RoomHeads(tuple(sorted(heads, key=lambda head: head.event_id)))

    @property
    def event_ids(self) -> tuple[str, ...]:
        """The ids of the heads."""
        return tuple(head.event_id for head in self.heads)

    @property
    def depth(self) -> int:
        """Depth of the deepest head; 0 for an empty room."""
        return max((head.depth for head in self.heads), default=0)

    @property
    def state_group(self) -> int | None:
        """The state after all heads, if they agree on a stored one."""
        groups = {head.state_group for head in self.heads}
        return groups.pop() if len(groups) == 1 else None

    def to_row(self) -> list[list[str | int]]:
        """The heads as the streams of events carry them."""
        return [[head.event_id, head.depth, head.state_group] for head in self.heads]

    @staticmethod
    def from_row(rows: list[list[Any]]) -> RoomHeads:
        """The opposite of `to_row`."""
        return RoomHeads(tuple(Head(*row) for row in rows))


class EventsWorkerStore(BaseStore):
    """Reads of events, in any process."""

    streams: ClassVar[tuple[Stream, ...]] = (EVENTS, BACKFILL)
    handles: ClassVar[tuple[tuple[Stream, str], ...]] = (
        (EVENTS, "_event_row_applied"),
        (BACKFILL, "_backfill_row_applied"),
    )

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._fetcher = EventFetcher(db)

    def _event_row_applied(self, token: int, row: EventRow) -> None:
        self._backfill_row_applied(token, row)
        if row.heads is None:
            self.get_room_heads.invalidate((row.room_id,))
        else:
            heads = RoomHeads.from_row(row.heads)
            self.get_room_heads.update((row.room_id,), lambda old: heads)

    def _backfill_row_applied(self, token: int, row: EventRow) -> None:
        self.get_stored_event.invalidate((row.event_id,))
        if row.redacts is not None:
            self.get_stored_event.invalidate((row.redacts,))

    # Events by id

    @overload
    async def get_event(
        self, event_id: str, *, allow_none: Literal[False] = False, allow_rejected: bool = False
    ) -> Event: ...

    @overload
    async def get_event(
        self, event_id: str, *, allow_none: bool, allow_rejected: bool = False
    ) -> Event | None: ...

    async def get_event(
        self, event_id: str, *, allow_none: bool = False, allow_rejected: bool = False
    ) -> Event | None:
        """An event; a redacted one in its pruned form, with `metadata.redacted_by`.

        Outliers and soft-failed events are returned, rejected ones if they are allowed. Raises
        NotFoundError unless `allow_none`.
        """
        event = await self.get_stored_event(event_id)
        if event is None:
            self._forget_missing(event_id)
        if event is not None and (allow_rejected or event.metadata.rejected_reason is None):
            return event
        if not allow_none:
            raise NotFoundError(f"There is no event {event_id} here")
        return None

    async def get_events(
        self, event_ids: Collection[str], *, allow_rejected: bool = False
    ) -> dict[str, Event]:
        """Those of the events that are here, by id in the given order; see `get_event`."""
        if not event_ids:
            return {}
        wanted = list(dict.fromkeys(event_ids))
        found = await self.get_stored_events(wanted)
        for event_id in wanted:
            if event_id not in found:
                self._forget_missing(event_id)
        return {
            event_id: found[event_id]
            for event_id in wanted
            if event_id in found
            and (allow_rejected or found[event_id].metadata.rejected_reason is None)
        }

    @cached(key=("event_id",), max_entries=200_000, size_of=event_weight)
    async def get_stored_event(self, event_id: str) -> Event | None:
        """The cached read below `get_event`, which also gives rejected events."""
        return (await self._fetcher.fetch((event_id,))).get(event_id)

    @cached_list(cached_method_name="get_stored_event", list_name="event_ids")
    async def get_stored_events(self, event_ids: Collection[str]) -> Mapping[str, Event]:
        """The list form of `get_stored_event`."""
        return await self._fetcher.fetch(event_ids)

    def _forget_missing(self, event_id: str) -> None:
        """An event may come as an outlier, of which no row tells: its absence is not kept."""
        if self.get_stored_event.peek((event_id,)) is None:
            self.get_stored_event.invalidate((event_id,))

    async def have_events(self, event_ids: Collection[str]) -> set[str]:
        """Those of the ids that are here, also as outliers and rejected events."""
        return set(await self.get_events(event_ids, allow_rejected=True))

    async def get_event_state_group(self, event_id: str) -> int | None:
        """The state group after an event; None for an outlier or an unknown event."""
        event = await self.get_event(event_id, allow_none=True, allow_rejected=True)
        return None if event is None else event.metadata.state_group

    async def get_event_state_groups(self, event_ids: Collection[str]) -> dict[str, int]:
        """The state groups after those of the events that have one."""
        events = await self.get_events(event_ids, allow_rejected=True)
        return {
            event_id: event.metadata.state_group
            for event_id, event in events.items()
            if event.metadata.state_group is not None
        }

    async def get_auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        """The auth events of the events, theirs, and so on, as far as they are here.

        An event given is in the answer only if it is in the chain of another.
        """
        events = await self.get_events(event_ids, allow_rejected=True)
        direct = {auth_id for event in events.values() for auth_id in event.auth_event_ids}
        if not direct:
            return set()
        chain = await self.db.read("get_auth_chain_ids", auth_chain_ids_txn, direct)
        return chain | await self.have_events(direct)

    async def get_state_auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        """As `get_auth_chain_ids`, for state events alone: needs none of the events themselves."""
        if not event_ids:
            return set()
        return await self.db.read("get_auth_chain_ids", auth_chain_ids_txn, event_ids)

    # Rooms

    @cached(max_entries=5_000)
    async def get_backward_extremities(self, room_id: str) -> Mapping[str, int]:
        """Events that others of the room follow and that are not here, with a depth nearby."""
        rows = await self.db.read(
            "get_backward_extremities",
            lambda txn: txn.select(
                "event_backward_extremities", ("event_id", "depth"), room_id=room_id
            ),
        )
        return dict(rows)

    @cached(max_entries=20_000)
    async def get_room_heads(self, room_id: str) -> RoomHeads:
        """The forward extremities of a room; rows of the stream bring it up to date in place."""
        return await self.db.read("get_room_heads", self._get_room_heads_txn, room_id)

    @staticmethod
    def _get_room_heads_txn(txn: Transaction, room_id: str) -> RoomHeads:
        rows = txn.query(
            "SELECT event_id, depth, state_group FROM event_forward_extremities"
            " JOIN events USING (event_id) WHERE event_forward_extremities.room_id = ?",
            (room_id,),
        )
        return RoomHeads.of(Head(*row) for row in rows)

    # Transaction ids of clients

    async def get_event_id_for_txn(
        self, user_id: str, device_id: str | None, room_id: str, txn_id: str
    ) -> str | None:
        """The event that a request of a client with this transaction id has made."""
        row = await self.db.read(
            "get_event_id_for_txn",
            lambda txn: txn.select_one(
                "event_txn_ids",
                ("event_id",),
                user_id=user_id,
                device_id=device_id or "",
                room_id=room_id,
                txn_id=txn_id,
            ),
        )
        return None if row is None else row[0]

    async def get_txn_ids_for_events(
        self, event_ids: Collection[str], user_id: str, device_id: str | None
    ) -> dict[str, str]:
        """Transaction ids of those events which this device sent, for `unsigned.transaction_id`."""
        return {
            event_id: event.metadata.txn_id
            for event_id, event in (await self.get_events(event_ids)).items()
            if event.metadata.txn_id is not None
            and event.sender == user_id
            and event.metadata.device_id == device_id
        }

    # Sources of streams

    async def get_event_rows(self, low: int, high: int, limit: int) -> list[tuple[int, EventRow]]:
        """Rows of the stream `events` with low < token <= high."""
        return await self.db.read("get_event_rows", self._get_event_rows_txn, low, high, limit)

    @staticmethod
    def _get_event_rows_txn(
        txn: Transaction, low: int, high: int, limit: int
    ) -> list[tuple[int, EventRow]]:
        rows = txn.query(
            f"SELECT stream_ordering, {EVENT_ROW_COLUMNS} FROM events"
            " WHERE stream_ordering > ? AND stream_ordering <= ? AND (in_timeline OR out_of_band)"
            " ORDER BY stream_ordering LIMIT ?",
            (low, high, limit),
        )
        return [(row[0], event_row(row[1:])) for row in rows]

    async def get_backfill_rows(
        self, low: int, high: int, limit: int
    ) -> list[tuple[int, EventRow]]:
        """Rows of the stream `backfill` with low < token <= high; tokens count up."""
        return await self.db.read(
            "get_backfill_rows", self._get_backfill_rows_txn, low, high, limit
        )

    @staticmethod
    def _get_backfill_rows_txn(
        txn: Transaction, low: int, high: int, limit: int
    ) -> list[tuple[int, EventRow]]:
        rows = txn.query(
            f"SELECT stream_ordering, {EVENT_ROW_COLUMNS} FROM events"
            " WHERE stream_ordering < ? AND stream_ordering >= ? AND in_timeline"
            " ORDER BY stream_ordering DESC LIMIT ?",
            (-low, -high, limit),
        )
        return [(-row[0], event_row(row[1:])) for row in rows]
