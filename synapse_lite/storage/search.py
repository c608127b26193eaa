"""Finding messages by their words, in any process."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from ..api.constants import EventTypes
from ..types.tokens import RoomToken
from ._event_rows import chunks
from ._gram_index import GramIndex, Sought, label
from ._timeline_sql import EventTypeFilter
from .events import EventsWorkerStore
from .transaction import Transaction

MESSAGES = GramIndex("search_messages", "stream_ordering")

INDEXED_KEYS: Mapping[str, str] = {
    EventTypes.MESSAGE: "body",
    EventTypes.NAME: "name",
    EventTypes.TOPIC: "topic",
}
"""Types of events that can be found, and the key of the content that is searched."""

MAX_FOUND = 500
"""Most messages that one look into the index gives."""

MAX_EXAMINED = 2000
"""Most messages that one look into the index compares with the words."""

MAX_LABELS = 200
"""Somebody in more rooms than this searches the index of all rooms."""

RANKED_CHARACTERS = 2000
"""So much of the beginning of a text counts for its rank."""

_RESULTS_PER_STATEMENT = 50
"""SQLite takes 500 parts in one UNION; each result has two."""


@attrs.frozen
class FoundMessage:
    """A message that has the words. `text` is the beginning of its folded text."""

    stream_ordering: int
    event_id: str
    room_id: str
    sender: str
    text: str


@attrs.frozen
class Found:
    """Newest first. Below `reached` there may be more; None: that was all."""

    messages: Sequence[FoundMessage]
    reached: int | None


@attrs.frozen
class Surroundings:
    """Ids of the events before a message (newest first) and after it, and where they end."""

    before: Sequence[str]
    after: Sequence[str]
    start: RoomToken
    end: RoomToken


def room_label(room_id: str) -> str:
    """What stands for a room in the index. That two rooms have the same one does no harm."""
    return label(hashlib.blake2b(room_id.encode(), digest_size=5).hexdigest())


class SearchWorkerStore(EventsWorkerStore):
    """Reads of the index of messages."""

    async def search_messages(
        self,
        words: Sequence[str],
        room_ids: Collection[str],
        *,
        below: int,
        event_filter: EventTypeFilter,
    ) -> Found:
        """The newest messages of some rooms that have all the words, in folded form.

        Only those with a position lower than `below`. Costs the same however many there are: at
        most `MAX_EXAMINED` are looked at, and `MAX_FOUND` returned.
        """
        if not words or not room_ids:
            return Found((), None)
        labels = tuple(map(room_label, room_ids)) if len(room_ids) <= MAX_LABELS else ()
        return await self.db.read(
            "search_messages",
            self._search_txn,
            Sought(tuple(words), labels),
            room_ids,
            below,
            event_filter,
        )

    @staticmethod
    def _search_txn(
        txn: Transaction,
        sought: Sought,
        room_ids: Collection[str],
        below: int,
        event_filter: EventTypeFilter,
    ) -> Found:
        source, key = MESSAGES.source(txn)
        condition, args = MESSAGES.keys_sql(txn, sought)
        rows = txn.query(
            f"SELECT {key} FROM {source} WHERE {condition} AND {key} < ?"
            f" ORDER BY {key} DESC LIMIT ?",
            [*args, below, MAX_EXAMINED],
        )
        keys = [row[0] for row in rows]
        in_text, text_args = sought.in_text(txn, "text")
        in_keys, key_args = txn.in_clause("m.stream_ordering", keys)
        in_rooms, room_args = txn.in_clause("room_id", room_ids)
        filter_sql, filter_args = event_filter.condition(txn)
        found = txn.query(
            f"SELECT m.stream_ordering, event_id, room_id, sender, substr(text, 1, ?)"
            " FROM search_messages m JOIN events e ON e.stream_ordering = m.stream_ordering"
            f" WHERE {in_keys} AND {in_text} AND {in_rooms} AND redacted_by IS NULL{filter_sql}"
            " ORDER BY m.stream_ordering DESC LIMIT ?",
            [RANKED_CHARACTERS, *key_args, *text_args, *room_args, *filter_args, MAX_FOUND],
        )
        messages = [FoundMessage(*row) for row in found]
        if len(messages) == MAX_FOUND:
            return Found(messages, messages[-1].stream_ordering)
        return Found(messages, keys[-1] if len(keys) == MAX_EXAMINED else None)

    async def get_surroundings(
        self, positions: Mapping[str, tuple[str, int, int]], before: int, after: int
    ) -> dict[str, Surroundings]:
        """The events around messages, in the order of the graph, as many as are asked for.

        `positions` are room id, depth and stream ordering by event id. A statement for each
        `_RESULTS_PER_STATEMENT` messages.
        """
        return await self.db.read(
            "get_surroundings", self._surroundings_txn, positions, before, after
        )

    @staticmethod
    def _surroundings_txn(
        txn: Transaction, positions: Mapping[str, tuple[str, int, int]], before: int, after: int
    ) -> dict[str, Surroundings]:
        rows: dict[tuple[str, bool], list[tuple[int, int, str]]] = {}
        for piece in chunks(positions, _RESULTS_PER_STATEMENT):
            args: list[Any] = []
            for event_id in piece:
                room_id, depth, ordering = positions[event_id]
                args += (event_id, room_id, depth, ordering, before)
                args += (event_id, room_id, depth, ordering, after)
            sql = " UNION ALL ".join([_ONE_SIDE_BEFORE, _ONE_SIDE_AFTER] * len(piece))
            for of_event, side, *found in txn.query(sql, args):
                rows.setdefault((of_event, bool(side)), []).append(tuple(found))
        return {
            event_id: _surroundings(
                position,
                sorted(rows.get((event_id, False), ()), reverse=True),
                sorted(rows.get((event_id, True), ())),
            )
            for event_id, position in positions.items()
        }


_ONE_SIDE = (
    "SELECT * FROM (SELECT ? AS of_event, {side} AS side, depth, stream_ordering, event_id"
    " FROM events WHERE room_id = ? AND in_timeline AND (depth, stream_ordering) {comparison}"
    " (?, ?) ORDER BY depth {order}, stream_ordering {order} LIMIT ?) AS s"
)
_ONE_SIDE_BEFORE = _ONE_SIDE.format(side=0, comparison="<", order="DESC")
_ONE_SIDE_AFTER = _ONE_SIDE.format(side=1, comparison=">", order="ASC")


def _surroundings(
    position: tuple[str, int, int],
    before: list[tuple[int, int, str]],
    after: list[tuple[int, int, str]],
) -> Surroundings:
    _, depth, ordering = position
    first_depth, first_ordering = before[-1][:2] if before else (depth, ordering)
    last_depth, last_ordering = after[-1][:2] if after else (depth, ordering)
    return Surroundings(
        [event_id for _, _, event_id in before],
        [event_id for _, _, event_id in after],
        RoomToken(first_ordering - 1, first_depth),
        RoomToken(last_ordering, last_depth),
    )
