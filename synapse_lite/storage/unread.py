"""What users have not read: running totals of rooms, highlights, and how far users have read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from ..types.ids import domain_of
from ..types.unread import MAIN_THREAD
from ..util.caches.cached import cached
from ._base import BaseStore, MasterStore
from ._event_rows import chunks
from ._notices import EVERYBODY, NO_NOTICE, Notice, Totals, notice_to_row
from ._persist_batch import RoomWrite
from ._unread_sql import (
    Highlight,
    ReadPositions,
    RecentEvent,
    UnreadRoom,
    count_main_txn,
    count_threads_txn,
    highlights_txn,
    read_positions_txn,
    recent_events_txn,
    rooms_of_users_txn,
)
from .transaction import Transaction

__all__ = [
    "EVERYBODY",
    "EXACT_EVENTS",
    "NO_NOTICE",
    "Highlight",
    "Notice",
    "NotifyingEvent",
    "ReadPositions",
    "RecentEvent",
    "Totals",
    "UnreadRoom",
    "UnreadStore",
    "UnreadWorkerStore",
    "notice_to_row",
]

EXACT_EVENTS = 200
"""So many unread events of a room are looked at for a user with push rules of their own."""

_ROOMS_PER_STATEMENT = 100


@attrs.frozen
class NotifyingEvent:
    """An event that may notify; `received_ts` in ms."""

    event_id: str
    room_id: str
    stream_ordering: int
    thread_id: str
    received_ts: int


class UnreadWorkerStore(BaseStore):
    """Reads of what is unread, in any process."""

    @cached(max_entries=20_000)
    async def get_notify_totals(self, room_id: str) -> Totals:
        """The totals of a room after its newest event. Only the master keeps them current."""
        row = await self.db.read(
            "get_notify_totals",
            lambda txn: txn.query_one(
                "SELECT main_total, thread_total FROM events WHERE room_id = ? AND in_timeline"
                " ORDER BY stream_ordering DESC LIMIT 1",
                (room_id,),
            ),
        )
        return Totals() if row is None else Totals(row[0], row[1])

    async def get_unread(
        self, user_id: str, rooms: Mapping[str, bool], high: int, ignored: Collection[str]
    ) -> dict[str, UnreadRoom]:
        """What a user has not read of rooms up to a position.

        The rooms' values say whether their newest events have to be looked at one by one. They are
        also looked at where one of the ignored users is or has been.
        """
        if not rooms:
            return {}
        return await self.db.read("get_unread", self._unread_txn, user_id, rooms, high, ignored)

    @staticmethod
    def _unread_txn(
        txn: Transaction,
        user_id: str,
        rooms: Mapping[str, bool],
        high: int,
        ignored: Collection[str],
    ) -> dict[str, UnreadRoom]:
        reads = read_positions_txn(txn, user_id, rooms)
        looked_at = {room_id for room_id, look in rooms.items() if look}
        if ignored:
            looked_at |= rooms_of_users_txn(txn, rooms, ignored)
        ranges = {room_id: (reads[room_id].floor, high) for room_id in rooms}
        recent = recent_events_txn(
            txn, {room_id: ranges[room_id] for room_id in looked_at}, EXACT_EVENTS
        )
        for room_id in looked_at:
            # The totals stand for what is older than the events that are looked at.
            events = recent.get(room_id, [])
            end = events[0].stream_ordering - 1 if len(events) == EXACT_EVENTS else 0
            ranges[room_id] = (reads[room_id].floor, end)
        ranges = {room_id: bounds for room_id, bounds in ranges.items() if bounds[0] < bounds[1]}
        main = count_main_txn(
            txn,
            {
                room_id: (min(reads[room_id].of(MAIN_THREAD), end), end)
                for room_id, (_, end) in ranges.items()
            },
        )
        threads = count_threads_txn(txn, ranges, reads)
        highlights = highlights_txn(txn, user_id, ranges, reads)
        return {
            room_id: UnreadRoom(
                reads[room_id],
                main.get(room_id, 0),
                threads.get(room_id, {}),
                highlights.get(room_id, []),
                recent.get(room_id, []),
            )
            for room_id in rooms
        }

    async def get_read_positions(
        self, user_id: str, room_ids: Collection[str]
    ) -> dict[str, ReadPositions]:
        """How far the user has read each room."""
        if not room_ids:
            return {}
        return await self.db.read("get_read_positions", read_positions_txn, user_id, room_ids)

    async def get_newest_events(
        self, room_ids: Collection[str], below: int, limit: int
    ) -> list[NotifyingEvent]:
        """The newest events below a position of rooms, `limit` of each room, newest first.

        Redacted events and those of the time before this server was in a room are left out.
        """
        return await self.db.read(
            "get_newest_events", self._newest_txn, list(room_ids), below, limit
        )

    @staticmethod
    def _newest_txn(
        txn: Transaction, room_ids: Sequence[str], below: int, limit: int
    ) -> list[NotifyingEvent]:
        one_room = (
            "SELECT * FROM (SELECT event_id, room_id, stream_ordering, thread_id, received_ts"
            " FROM events WHERE room_id = ? AND in_timeline AND stream_ordering < ?"
            " AND stream_ordering > 0 AND redacted_by IS NULL"
            " ORDER BY stream_ordering DESC LIMIT ?) AS newest"
        )
        rows: list[Any] = []
        for piece in chunks(room_ids, _ROOMS_PER_STATEMENT):
            args = [arg for room_id in piece for arg in (room_id, below, limit)]
            rows += txn.query(" UNION ALL ".join([one_room] * len(piece)), args)
        events = [
            NotifyingEvent(event_id, room_id, ordering, thread_id or MAIN_THREAD, received_ts)
            for event_id, room_id, ordering, thread_id, received_ts in rows
        ]
        return sorted(events, key=lambda event: -event.stream_ordering)


class UnreadStore(UnreadWorkerStore, MasterStore):
    """Writes of what is unread: steps of the transaction that persists events."""

    persist_steps: ClassVar[tuple[str, ...]] = ("_insert_highlights_txn", "_imply_reads_txn")

    @staticmethod
    def _insert_highlights_txn(txn: Transaction, rooms: Sequence[RoomWrite]) -> None:
        txn.insert_many(
            "event_highlights",
            ("user_id", "room_id", "stream_ordering", "thread_id", "is_counted"),
            [
                (
                    user_id,
                    room.room_id,
                    write.position,
                    write.notice.thread_id,
                    write.notice.notifies,
                )
                for room in rooms
                for write in room.events
                for user_id in write.notice.highlights
            ],
        )

    def _imply_reads_txn(self, txn: Transaction, rooms: Sequence[RoomWrite]) -> None:
        """Who sends something has read what was there before; who joins starts there."""
        reads: list[tuple[str, str, str, int]] = []
        for room in rooms:
            for write in room.events:
                event = write.event
                for user_id in write.notice.joined:
                    reads.append((user_id, room.room_id, "", write.position))
                if write.notice.is_read and domain_of(event.sender) == self.server_name:
                    reads.append(
                        (event.sender, room.room_id, write.notice.thread_id, write.position)
                    )
        txn.upsert_many(
            "implied_reads", ("user_id", "room_id", "thread_id"), ("stream_ordering",), reads
        )
