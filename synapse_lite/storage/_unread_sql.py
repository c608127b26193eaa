"""The statements behind counts of unread notifications, each for many rooms at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from ..api.constants import EventTypes
from ..types.unread import MAIN_THREAD
from ._event_rows import chunks
from ._notices import EVERYBODY
from .transaction import Transaction

_ROOMS_PER_STATEMENT = 100

Range = tuple[int, int]
"""Positions with low < position <= high."""


@attrs.define
class ReadPositions:
    """How far a user has read a room: all of it up to `floor`, threads further than that."""

    floor: int = 0
    threads: dict[str, int] = attrs.field(factory=dict)

    def of(self, thread_id: str) -> int:
        """How far a thread has been read."""
        return max(self.floor, self.threads.get(thread_id, 0))

    def note(self, thread_id: str, position: int) -> None:
        """The user has read a thread up to a position, or everything (thread id empty)."""
        if thread_id:
            if position > self.of(thread_id):
                self.threads[thread_id] = position
        elif position > self.floor:
            self.floor = position
            self.threads = {
                thread: reached for thread, reached in self.threads.items() if reached > position
            }


@attrs.frozen
class Highlight:
    """An event that asks for the user's attention; `is_counted`: the totals have it."""

    thread_id: str
    stream_ordering: int
    sender: str
    is_counted: bool


@attrs.frozen
class RecentEvent:
    """An unread event that has to be looked at."""

    event_id: str
    stream_ordering: int
    thread_id: str
    sender: str


@attrs.define
class UnreadRoom:
    """What a user has not read of a room.

    `main` and `threads` count what notifies everybody. `recent` are the newest events, oldest
    first, of a room whose events have to be looked at; then the rest is about what is older.
    """

    reads: ReadPositions
    main: int = 0
    threads: dict[str, int] = attrs.field(factory=dict)
    highlights: list[Highlight] = attrs.field(factory=list)
    recent: list[RecentEvent] = attrs.field(factory=list)


def read_positions_txn(
    txn: Transaction, user_id: str, room_ids: Collection[str]
) -> dict[str, ReadPositions]:
    """How far the user has read each room, by receipts and by what they sent."""
    found = {room_id: ReadPositions() for room_id in room_ids}
    for piece in chunks(room_ids):
        condition, args = txn.in_clause("room_id", piece)
        rows = txn.query(
            "SELECT room_id, thread_id, event_stream_ordering FROM receipts"
            f" WHERE user_id = ? AND {condition}"
            " UNION ALL SELECT room_id, thread_id, stream_ordering FROM implied_reads"
            f" WHERE user_id = ? AND {condition}",
            (user_id, *args, user_id, *args),
        )
        for room_id, thread_id, position in rows:
            found[room_id].note(thread_id, position)
    return found


def rooms_of_users_txn(
    txn: Transaction, room_ids: Collection[str], user_ids: Collection[str]
) -> set[str]:
    """Those of the rooms in which one of the users is or has been."""
    found: set[str] = set()
    for piece in chunks(room_ids):
        rooms, room_args = txn.in_clause("room_id", piece)
        users, user_args = txn.in_clause("state_key", list(user_ids))
        rows = txn.query(
            f"SELECT DISTINCT room_id FROM current_state_events WHERE {rooms} AND type = ?"
            f" AND {users}",
            (*room_args, EventTypes.MEMBER, *user_args),
        )
        found.update(room_id for (room_id,) in rows)
    return found


def recent_events_txn(
    txn: Transaction, ranges: Mapping[str, Range], limit: int
) -> dict[str, list[RecentEvent]]:
    """The newest events of each range, oldest first; redacted ones are left out."""
    found: dict[str, list[RecentEvent]] = defaultdict(list)
    one_room = (
        "SELECT * FROM (SELECT room_id, stream_ordering, event_id, thread_id, sender FROM events"
        " WHERE room_id = ? AND in_timeline AND stream_ordering > ? AND stream_ordering <= ?"
        " AND redacted_by IS NULL ORDER BY stream_ordering DESC LIMIT ?) AS newest"
    )
    for piece in chunks(ranges, _ROOMS_PER_STATEMENT):
        args = [arg for room_id in piece for arg in (room_id, *ranges[room_id], limit)]
        rows = txn.query(" UNION ALL ".join([one_room] * len(piece)), args)
        for room_id, ordering, event_id, thread_id, sender in rows:
            found[room_id].append(RecentEvent(event_id, ordering, thread_id or MAIN_THREAD, sender))
    for events in found.values():
        events.sort(key=lambda event: event.stream_ordering)
    return found


def count_main_txn(txn: Transaction, ranges: Mapping[str, Range]) -> dict[str, int]:
    """Events of main timelines in a range that notify everybody: differences of totals."""
    totals = _totals_txn(txn, "main_total", ranges)
    counts = {
        room_id: totals[room_id, high] - totals[room_id, low]
        for room_id, (low, high) in ranges.items()
    }
    rows = txn.execute_values(
        "WITH wanted (room_id, low, high) AS (VALUES ?)"
        " SELECT w.room_id, COUNT(*) FROM wanted w JOIN events e ON e.room_id = w.room_id"
        " AND e.stream_ordering > w.low AND e.stream_ordering <= w.high"
        " WHERE e.notifies AND e.thread_id IS NULL AND e.redacted_by IS NOT NULL"
        " GROUP BY w.room_id",
        [(room_id, *ranges[room_id]) for room_id, count in counts.items() if count],
        fetch=True,
    )
    for room_id, redacted in rows:
        counts[room_id] -= redacted
    return counts


def _totals_txn(
    txn: Transaction, column: str, ranges: Mapping[str, Range]
) -> dict[tuple[str, int], int]:
    """A running total at both ends of each range."""
    wanted = {(room_id, end) for room_id, ends in ranges.items() for end in ends}
    rows = txn.execute_values(
        "WITH wanted (room_id, position) AS (VALUES ?)"
        " SELECT w.room_id, w.position, ("
        f"SELECT e.{column} FROM events e WHERE e.room_id = w.room_id AND e.in_timeline"
        " AND e.stream_ordering <= w.position ORDER BY e.stream_ordering DESC LIMIT 1"
        ") FROM wanted w",
        list(wanted),
        fetch=True,
    )
    return {(room_id, position): total or 0 for room_id, position, total in rows}


def count_threads_txn(
    txn: Transaction, ranges: Mapping[str, Range], reads: Mapping[str, ReadPositions]
) -> dict[str, dict[str, int]]:
    """Events of threads in a range that notify everybody and have not been read, by thread."""
    totals = _totals_txn(txn, "thread_total", ranges)
    busy = [
        (room_id, low, high)
        for room_id, (low, high) in ranges.items()
        if totals[room_id, high] != totals[room_id, low]
    ]
    found: dict[str, dict[str, int]] = defaultdict(dict)
    # `+ 0` keeps SQLite from going through the events of all rooms in that range.
    for room_id, thread_id, count in txn.execute_values(
        "WITH wanted (room_id, low, high) AS (VALUES ?)"
        " SELECT w.room_id, e.thread_id, COUNT(*) FROM wanted w JOIN events e"
        " ON e.room_id = w.room_id"
        " AND e.stream_ordering + 0 > w.low AND e.stream_ordering + 0 <= w.high"
        " WHERE e.notifies AND e.thread_id IS NOT NULL AND e.redacted_by IS NULL"
        " GROUP BY w.room_id, e.thread_id",
        busy,
        fetch=True,
    ):
        found[room_id][thread_id] = count
    read = [
        (room_id, thread_id, ranges[room_id][0], min(position, ranges[room_id][1]))
        for room_id, threads in found.items()
        for thread_id, position in reads[room_id].threads.items()
        if thread_id in threads and position > ranges[room_id][0]
    ]
    for room_id, thread_id, count in _count_read_txn(txn, read):
        found[room_id][thread_id] -= count
    return {
        room_id: {thread_id: count for thread_id, count in threads.items() if count}
        for room_id, threads in found.items()
    }


def _count_read_txn(
    txn: Transaction, threads: Sequence[tuple[str, str, int, int]]
) -> Iterable[tuple[str, str, int]]:
    rows: list[tuple[str, str, int]] = txn.execute_values(
        "WITH wanted (room_id, thread_id, low, high) AS (VALUES ?)"
        " SELECT w.room_id, w.thread_id, COUNT(*) FROM wanted w JOIN events e"
        " ON e.room_id = w.room_id AND e.thread_id = w.thread_id"
        " AND e.stream_ordering > w.low AND e.stream_ordering <= w.high"
        " WHERE e.notifies AND e.thread_id IS NOT NULL AND e.redacted_by IS NULL"
        " GROUP BY w.room_id, w.thread_id",
        list(threads),
        fetch=True,
    )
    return rows


def highlights_txn(
    txn: Transaction,
    user_id: str,
    ranges: Mapping[str, Range],
    reads: Mapping[str, ReadPositions],
) -> dict[str, list[Highlight]]:
    """Unread events of the ranges that ask for the user's attention, or for everybody's."""
    rows = txn.execute_values(
        "WITH wanted (user_id, room_id, low, high) AS (VALUES ?)"
        " SELECT h.room_id, h.thread_id, h.stream_ordering, e.sender, h.is_counted FROM wanted w"
        " JOIN event_highlights h ON h.user_id = w.user_id AND h.room_id = w.room_id"
        " AND h.stream_ordering > w.low AND h.stream_ordering <= w.high"
        " JOIN events e ON e.stream_ordering = h.stream_ordering"
        " WHERE e.redacted_by IS NULL ORDER BY h.stream_ordering, h.user_id",
        [
            (whom, room_id, *bounds)
            for room_id, bounds in ranges.items()
            for whom in (EVERYBODY, user_id)
        ],
        fetch=True,
    )
    found: dict[str, dict[int, Highlight]] = defaultdict(dict)
    for room_id, thread_id, ordering, sender, is_counted in rows:
        if ordering > reads[room_id].of(thread_id):
            found[room_id][ordering] = Highlight(thread_id, ordering, sender, bool(is_counted))
    return {room_id: list(of_room.values()) for room_id, of_room in found.items()}
