"""The timelines of rooms: what is new, what is newest, and paging through the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs

from ..api.errors import NotFoundError
from ..events.event import Event
from ..server import Homeserver
from ..streams import EVENTS, EventRow, Stream
from ..types.tokens import RoomToken
from ._event_rows import chunks
from ._timeline_rings import TimelineRings
from ._timeline_sql import EventTypeFilter, after, before
from .database import DatabasePool
from .events import EventsWorkerStore
from .transaction import Transaction

__all__ = ["EventTypeFilter", "EventsAround", "TimelineSlice", "TimelineWorkerStore"]

ROOMS_PER_STATEMENT = 100
BEGINNING = -(2**62)
"""Before all events: history that was fetched later has negative positions."""

_EVENTS_PER_ROOM = 100
_EVERYTHING = EventTypeFilter()


@attrs.frozen
class TimelineSlice:
    """The newest events of a range, oldest first.

    `limited`: there are older ones in the range; `prev_batch` is the position before the first.
    """

    events: list[Event]
    limited: bool
    prev_batch: RoomToken


@attrs.frozen
class EventsAround:
    """Events before an event (newest first) and after it (oldest first), and where they end."""

    before: list[Event]
    after: list[Event]
    start: RoomToken
    end: RoomToken


@attrs.frozen
class _Found:
    """Ids of a slice with its bounds, before the events are read."""

    event_ids: Sequence[str]
    limited: bool


class TimelineWorkerStore(EventsWorkerStore):
    """Reads of timelines, in any process. Outliers, rejected and soft-failed events have none."""

    handles: ClassVar[tuple[tuple[Stream, str], ...]] = ((EVENTS, "_timeline_row_applied"),)
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = ((EVENTS, "_timelines_reset"),)

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._rings = TimelineRings(_EVENTS_PER_ROOM, self.caches.budget)

    def _timelines_reset(self, token: int) -> None:
        self._rings.reset(token)

    def _timeline_row_applied(self, token: int, row: EventRow) -> None:
        if not row.outlier:
            self._rings.append(row.room_id, token, row.event_id)

    # In the order of arrival

    async def get_room_events_since(
        self, room_id: str, low: int, high: int, limit: int
    ) -> TimelineSlice:
        """The newest `limit` events of a room with low < position <= high."""
        return (await self.get_rooms_events_since({room_id: low}, high, limit))[room_id]

    async def get_rooms_events_since(
        self, rooms: Mapping[str, int], high: int, limit: int
    ) -> dict[str, TimelineSlice]:
        """As `get_room_events_since` for many rooms, each with its lower bound."""
        return await self.get_events_in_ranges(
            {room_id: (low, high) for room_id, low in rooms.items()}, limit
        )

    async def get_latest_events_for_rooms(
        self, room_ids: Collection[str], high: int, limit: int
    ) -> dict[str, TimelineSlice]:
        """The newest `limit` events of each room up to a position, in a statement per 100 rooms."""
        return await self.get_events_in_ranges(dict.fromkeys(room_ids, (BEGINNING, high)), limit)

    async def get_events_in_ranges(
        self, ranges: Mapping[str, tuple[int, int]], limit: int
    ) -> dict[str, TimelineSlice]:
        """The newest `limit` events of each room with low < position <= high.

        Rooms that are in the rings, and rooms without news, cost no query.
        """
        found: dict[str, _Found] = {}
        unknown: dict[str, tuple[int, int]] = {}
        changes = self.change_cache("room_events_changed")
        for room_id, (low, high) in ranges.items():
            ring = self._rings.since(room_id, low, high, limit)
            if ring is not None:
                found[room_id] = _Found(ring.event_ids, ring.limited)
            elif low >= high or not changes.has_changed(room_id, low):
                found[room_id] = _Found((), limited=False)
            else:
                unknown[room_id] = (low, high)
        if unknown:
            read = self._get_newest_txn
            found.update(await self.db.read("get_events_since", read, unknown, limit))
        # An empty slice lies at the lower bound, or at the end where there is no such bound.
        bounds = {
            room_id: high if low == BEGINNING else low for room_id, (low, high) in ranges.items()
        }
        return await self._slices(bounds, found)

    @staticmethod
    def _get_newest_txn(
        txn: Transaction, ranges: Mapping[str, tuple[int, int]], limit: int
    ) -> dict[str, _Found]:
        found: dict[str, list[tuple[int, str]]] = {room_id: [] for room_id in ranges}
        one_room = (
            "SELECT * FROM (SELECT room_id, stream_ordering, event_id FROM events"
            " WHERE room_id = ? AND in_timeline AND stream_ordering > ? AND stream_ordering <= ?"
            " ORDER BY stream_ordering DESC LIMIT ?) AS newest"
        )
        for piece in chunks(ranges, ROOMS_PER_STATEMENT):
            args: list[Any] = []
            for room_id in piece:
                args += (room_id, *ranges[room_id], limit + 1)
            rows = txn.query(" UNION ALL ".join([one_room] * len(piece)), args)
            for room_id, ordering, event_id in rows:
                found[room_id].append((ordering, event_id))
        return {
            room_id: _Found(
                [event_id for _, event_id in sorted(events)[max(0, len(events) - limit) :]],
                len(events) > limit,
            )
            for room_id, events in found.items()
        }

    async def _slices(
        self, bounds: Mapping[str, int], found: Mapping[str, _Found]
    ) -> dict[str, TimelineSlice]:
        """The slices, read at once. `bounds` say where an empty slice is."""
        wanted = [event_id for room in found.values() for event_id in room.event_ids]
        events = await self.get_events(wanted)
        return {
            room_id: _slice(
                [events[event_id] for event_id in found[room_id].event_ids if event_id in events],
                found[room_id].limited,
                bound,
            )
            for room_id, bound in bounds.items()
        }

    # In the order of the graph

    async def paginate(
        self,
        room_id: str,
        from_token: RoomToken,
        to_token: RoomToken | None = None,
        *,
        direction: Literal["b", "f"],
        limit: int,
        event_filter: EventTypeFilter = _EVERYTHING,
    ) -> tuple[list[Event], RoomToken | None]:
        """A page of a room's events from a position, by depth and then by arrival.

        Backwards ("b") or forwards ("f"), nearest first, not beyond `to_token`. The token for the
        next page is None when this was the last that is here.
        """
        rows = await self.db.read(
            "paginate",
            self._paginate_txn,
            room_id,
            from_token,
            to_token,
            direction,
            limit,
            event_filter,
        )
        events = await self.get_events([row[0] for row in rows[:limit]])
        if len(rows) <= limit:
            return list(events.values()), None
        _, depth, ordering = rows[limit - 1]
        end = RoomToken(ordering - 1 if direction == "b" else ordering, depth)
        return list(events.values()), end

    @staticmethod
    def _paginate_txn(
        txn: Transaction,
        room_id: str,
        start: RoomToken,
        end: RoomToken | None,
        direction: str,
        limit: int,
        event_filter: EventTypeFilter,
    ) -> list[tuple[Any, ...]]:
        backwards = direction == "b"
        conditions = [before(start) if backwards else after(start)]
        if end is not None:
            conditions.append(after(end) if backwards else before(end))
        filter_sql, filter_args = event_filter.condition(txn)
        order = "DESC" if backwards else "ASC"
        return txn.query(
            "SELECT event_id, depth, stream_ordering FROM events"
            f" WHERE room_id = ? AND in_timeline AND {' AND '.join(sql for sql, _ in conditions)}"
            f"{filter_sql} ORDER BY depth {order}, stream_ordering {order} LIMIT ?",
            [room_id, *(arg for _, args in conditions for arg in args), *filter_args, limit + 1],
        )

    async def get_token_before_event(self, room_id: str, event_id: str) -> RoomToken:
        """The position directly before an event of a room. Raises NotFoundError."""
        event = await self.get_event(event_id)
        ordering = event.metadata.stream_ordering
        if event.room_id != room_id or event.metadata.outlier or ordering is None:
            raise NotFoundError(f"There is no event {event_id} in this room")
        return RoomToken(ordering - 1, event.depth)

    async def get_events_around(
        self,
        room_id: str,
        event_id: str,
        *,
        limit_before: int,
        limit_after: int,
        event_filter: EventTypeFilter = _EVERYTHING,
    ) -> EventsAround:
        """What surrounds an event in the order of the graph. Raises NotFoundError."""
        start = await self.get_token_before_event(room_id, event_id)
        end = RoomToken(start.stream_ordering + 1, start.depth)
        earlier, _ = await self.paginate(
            room_id, start, direction="b", limit=limit_before, event_filter=event_filter
        )
        later, _ = await self.paginate(
            room_id, end, direction="f", limit=limit_after, event_filter=event_filter
        )
        return EventsAround(
            earlier,
            later,
            _token_before(earlier[-1]) if earlier else start,
            _token_after(later[-1]) if later else end,
        )

    async def get_event_at_time(
        self, room_id: str, timestamp_ms: int, direction: Literal["b", "f"]
    ) -> Event | None:
        """The event of the room nearest to a time, at or before it ("b") or at or after it."""
        comparison, order = ("<=", "DESC") if direction == "b" else (">=", "ASC")
        row = await self.db.read(
            "get_event_at_time",
            lambda txn: txn.query_one(
                "SELECT event_id FROM events WHERE room_id = ? AND in_timeline"
                f" AND origin_server_ts {comparison} ?"
                f" ORDER BY origin_server_ts {order}, depth {order}, stream_ordering {order}"
                " LIMIT 1",
                (room_id, timestamp_ms),
            ),
        )
        return None if row is None else await self.get_event(row[0], allow_none=True)


def _ordering(event: Event) -> int:
    ordering = event.metadata.stream_ordering
    assert ordering is not None, "an event that was read has a position"
    return ordering


def _token_before(event: Event) -> RoomToken:
    return RoomToken(_ordering(event) - 1, event.depth)


def _token_after(event: Event) -> RoomToken:
    return RoomToken(_ordering(event), event.depth)


def _slice(events: list[Event], limited: bool, bound: int) -> TimelineSlice:
    return TimelineSlice(events, limited, _token_before(events[0]) if events else RoomToken(bound))
