"""Writing the index of messages: behind the streams of events, in batches, with its own position.

What the index holds of a message depends on nothing but the events that are here, so a part of the
streams may be indexed again without harm. A batch and the note of how far it came are one
transaction, and may be lost together in a power cut.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs

from ..api.constants import EventTypes
from ..streams import BACKFILL, EVENTS
from ..util.folding import fold
from ..util.json import JsonDict, decode_stored_json
from ._base import MasterStore
from ._event_rows import chunks
from ._gram_index import Indexed
from .background_updates import BatchResult, queue_update
from .search import INDEXED_KEYS, MESSAGES, SearchWorkerStore, room_label
from .transaction import Transaction

PAST_UPDATE = "search_index"
"""The background update that indexes what was there before the index."""

BATCH_POSITIONS = 200
"""Positions of a stream that one transaction indexes."""

_REPLACE = "m.replace"
_EDITS_TRIED = 3
"""The newest edits of a message of which one must have a form that counts."""


@attrs.frozen
class IndexPosition:
    """How far the index has come in the streams; `past` is how far down it is complete."""

    events: int
    backfill: int
    past: int | None


@attrs.frozen
class _Source:
    """An event as the index sees it."""

    event_id: str
    stream_ordering: int
    room_id: str
    sender: str
    type: str
    state_key: str | None
    rel_type: str | None
    relates_to: str | None
    redacted_by: str | None
    in_timeline: bool
    json: str

    @property
    def is_shown(self) -> bool:
        """Whether it is a message, name or topic of its own that is still there."""
        return (
            bool(self.in_timeline)
            and self.redacted_by is None
            and self.type in INDEXED_KEYS
            and (self.type == EventTypes.MESSAGE or self.state_key == "")
            and not self.is_edit
        )

    @property
    def is_edit(self) -> bool:
        """Whether it takes the place of another event's content (client-server API, "Edits")."""
        return self.rel_type == _REPLACE and self.state_key is None

    @property
    def content(self) -> JsonDict:
        """Its content."""
        content: JsonDict = decode_stored_json(self.json)["content"]
        return content


_SOURCE = ", ".join(field.name for field in attrs.fields(_Source))


class SearchIndexStore(SearchWorkerStore, MasterStore):
    """Writes of the index of messages."""

    async def begin_search_index(self) -> IndexPosition:
        """Where the index stands. If there is none yet it begins with what comes from now on.

        What is older is queued as a background update, unless it is done.
        """
        newest = (self.current_token(EVENTS), self.current_token(BACKFILL))
        return await self.db.run("begin_search_index", self._begin_txn, *newest)

    @classmethod
    def _begin_txn(cls, txn: Transaction, events: int, backfill: int) -> IndexPosition:
        position = cls._position_txn(txn)
        if position is None:
            position = IndexPosition(events, backfill, events + 1)
            txn.insert("search_position", **attrs.asdict(position))
        if position.past is not None:
            queue_update(txn, PAST_UPDATE)
        return position

    async def pause_search_index(self) -> None:
        """Take the background update out of the queue; `begin_search_index` goes on with it."""
        await self.db.run(
            "pause_search_index",
            lambda txn: txn.delete("background_updates", update_name=PAST_UPDATE),
        )

    @staticmethod
    def _position_txn(txn: Transaction) -> IndexPosition | None:
        row = txn.select_one("search_position", ("events", "backfill", "past"))
        return None if row is None else IndexPosition(*row)

    async def index_next(self, position: IndexPosition) -> IndexPosition:
        """Index the next batch of both streams. Returns the new position: the same at the end."""
        events = min(self.current_token(EVENTS), position.events + BATCH_POSITIONS)
        backfill = min(self.current_token(BACKFILL), position.backfill + BATCH_POSITIONS)
        reached = attrs.evolve(position, events=events, backfill=backfill)
        if reached != position:
            await self.db.run_relaxed("index_messages", self._index_next_txn, position, reached)
        return reached

    @classmethod
    def _index_next_txn(
        cls, txn: Transaction, position: IndexPosition, reached: IndexPosition
    ) -> None:
        cls._index_range_txn(txn, position.events, reached.events)
        cls._index_range_txn(txn, -reached.backfill - 1, -position.backfill - 1)
        txn.update("search_position", {}, {"events": reached.events, "backfill": reached.backfill})

    @classmethod
    def index_past_txn(cls, txn: Transaction, progress: JsonDict, size: int) -> BatchResult:
        """A batch of the background update: from the newest events to the oldest."""
        position = cls._position_txn(txn)
        if position is None or position.past is None:
            return BatchResult(0, None)
        row = txn.query_one(
            "SELECT COUNT(*), MIN(stream_ordering) FROM (SELECT stream_ordering FROM events"
            " WHERE stream_ordering < ? ORDER BY stream_ordering DESC LIMIT ?) AS older",
            (position.past, size),
        )
        count, lowest = row or (0, None)
        if count:
            cls._index_range_txn(txn, lowest - 1, position.past - 1)
        txn.update("search_position", {}, {"past": lowest})
        return BatchResult(count, {"below": lowest} if count else None)

    @classmethod
    def _index_range_txn(cls, txn: Transaction, low: int, high: int) -> None:
        """Index what events with low < stream ordering <= high say of themselves and others."""
        if low >= high:
            return
        condition, args = txn.in_clause("type", list(INDEXED_KEYS))
        rows = txn.query(
            "SELECT event_id, state_key, rel_type, relates_to, redacts FROM events"
            " WHERE stream_ordering > ? AND stream_ordering <= ? AND in_timeline"
            f" AND ({condition} OR redacts IS NOT NULL)",
            [low, high, *args],
        )
        concerned: dict[str, None] = {}
        for event_id, state_key, rel_type, relates_to, redacts in rows:
            is_edit = rel_type == _REPLACE and state_key is None
            concerned[redacts or (relates_to if is_edit else event_id)] = None
        sources = _sources_txn(txn, concerned)
        # A redacted edit gives way to the one before it.
        edited = {s.relates_to for s in sources.values() if s.is_edit and s.relates_to is not None}
        sources.update(_sources_txn(txn, edited - sources.keys()))
        cls._write_txn(txn, sources)

    @staticmethod
    def _write_txn(txn: Transaction, sources: Mapping[str, _Source]) -> None:
        """Make the index say of these events what they say now."""
        shown = {event_id: source for event_id, source in sources.items() if source.is_shown}
        edits = _newest_edits_txn(txn, shown)
        wanted = {}
        for event_id, source in shown.items():
            text = _text(source.type, edits.get(event_id, source.content))
            if text:
                wanted[source.stream_ordering] = Indexed(
                    source.stream_ordering, text, (room_label(source.room_id),)
                )
        present = _present_txn(txn, sources.values())
        MESSAGES.delete_txn(txn, [row for key, row in present.items() if wanted.get(key) != row])
        MESSAGES.insert_txn(
            txn, [(row, ()) for key, row in wanted.items() if present.get(key) != row]
        )


def _sources_txn(txn: Transaction, event_ids: Collection[str]) -> dict[str, _Source]:
    found = {}
    for piece in chunks(event_ids):
        condition, args = txn.in_clause("event_id", piece)
        for row in txn.query(f"SELECT {_SOURCE} FROM events WHERE {condition}", args):
            found[row[0]] = _Source(*row)
    return found


def _present_txn(txn: Transaction, sources: Iterable[_Source]) -> dict[int, Indexed]:
    """What the index holds of these events."""
    labels = {source.stream_ordering: (room_label(source.room_id),) for source in sources}
    if not labels:
        return {}
    condition, args = txn.in_clause("stream_ordering", list(labels))
    rows = txn.query(f"SELECT stream_ordering, text FROM search_messages WHERE {condition}", args)
    return {key: Indexed(key, text, labels[key]) for key, text in rows}


def _newest_edits_txn(txn: Transaction, shown: Mapping[str, _Source]) -> dict[str, JsonDict]:
    """The content that the newest valid edit gives each event, for those that have one."""
    messages = [key for key, source in shown.items() if source.type == EventTypes.MESSAGE]
    candidates: dict[str, list[tuple[Any, ...]]] = {}
    for piece in chunks(messages):
        condition, args = txn.in_clause("relates_to", piece)
        rows = txn.query(
            "SELECT relates_to, origin_server_ts, event_id, room_id, sender FROM events"
            f" WHERE {condition} AND rel_type = ? AND type = ? AND state_key IS NULL"
            " AND in_timeline AND redacted_by IS NULL",
            [*args, _REPLACE, EventTypes.MESSAGE],
        )
        for target, *order, room_id, sender in rows:
            if (room_id, sender) == (shown[target].room_id, shown[target].sender):
                candidates.setdefault(target, []).append(tuple(order))
    tried = {key: sorted(found, reverse=True)[:_EDITS_TRIED] for key, found in candidates.items()}
    edits = _sources_txn(txn, [event_id for found in tried.values() for _, event_id in found])
    contents: dict[str, JsonDict] = {}
    for target, found in tried.items():
        for _, event_id in found:
            content = edits[event_id].content.get("m.new_content")
            if isinstance(content, dict):
                contents.setdefault(target, content)
    return contents


def _text(event_type: str, content: JsonDict) -> str:
    value = content.get(INDEXED_KEYS[event_type])
    return fold(value) if isinstance(value, str) else ""
