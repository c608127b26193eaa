"""What threads are made of, kept while events are persisted (client-server API, "Threading")."""

from __future__ import annotations

import attrs

from ..api.constants import RelationTypes
from ._event_rows import chunks, relation_of
from ._persist_rows import PersistWork
from .transaction import Transaction

EVERYBODY = ""
"""The sender of the row of `thread_activity` for a whole thread."""

_Key = tuple[str, str, str]
"""Root, sender, room: the key of `thread_activity`."""

_IS_NEWER = (
    "excluded.depth IS NOT NULL AND (thread_activity.depth IS NULL"
    " OR (excluded.depth, excluded.stream_ordering)"
    " > (thread_activity.depth, thread_activity.stream_ordering))"
)
_NEWER_COLUMNS = ", ".join(
    f"{name} = CASE WHEN {_IS_NEWER} THEN excluded.{name} ELSE thread_activity.{name} END"
    for name in ("depth", "stream_ordering", "event_id")
)
_ADD = (
    "INSERT INTO thread_activity"
    " (root_id, sender, room_id, events, depth, stream_ordering, event_id) VALUES ?"
    " ON CONFLICT (root_id, sender, room_id) DO UPDATE SET"
    f" events = thread_activity.events + excluded.events, {_NEWER_COLUMNS}"
)
_TAKE_AWAY = (
    "UPDATE thread_activity SET events = events - 1, (depth, stream_ordering, event_id) = ("
    "SELECT e.depth, e.stream_ordering, e.event_id FROM events e"
    " WHERE e.relates_to = thread_activity.root_id AND e.room_id = thread_activity.room_id"
    " AND e.rel_type = 'm.thread' AND e.in_timeline AND e.redacted_by IS NULL"
    " AND thread_activity.sender IN ('', e.sender)"
    " ORDER BY e.depth DESC, e.stream_ordering DESC LIMIT 1"
    ") WHERE root_id = ? AND sender IN ('', ?) AND room_id = ?"
)
_ADD_ROOT_SENDERS = (
    "INSERT INTO thread_activity (root_id, sender, room_id, events)"
    " SELECT e.event_id, e.sender, e.room_id, 0"
    " FROM events e CROSS JOIN thread_activity t"
    " WHERE t.root_id = e.event_id AND t.room_id = e.room_id AND t.sender = ''"
    " AND {condition} ON CONFLICT DO NOTHING"
)


@attrs.define
class _Activity:
    """What a batch adds to a row."""

    events: int = 0
    newest: tuple[int, int, str] | tuple[None, None, None] = (None, None, None)

    def add(self, depth: int, ordering: int, event_id: str) -> None:
        self.events += 1
        if self.newest[0] is None or (depth, ordering) > self.newest[:2]:
            self.newest = (depth, ordering, event_id)


def count_threads_txn(txn: Transaction, work: PersistWork) -> None:
    """Add the events of threads among those of a batch: one statement, if there are any."""
    added: dict[_Key, _Activity] = {}
    for write in work.events():
        event, relation = write.event, relation_of(write.event)
        if (
            relation is None
            or relation.rel_type != RelationTypes.THREAD
            or not write.in_timeline
            or work.is_redacted(event.event_id)
        ):
            continue
        root_id = relation.event_id
        for sender in (EVERYBODY, event.sender):
            activity = added.setdefault((root_id, sender, event.room_id), _Activity())
            activity.add(event.depth, write.position, event.event_id)
        starter = work.sender_of(root_id, event.room_id)
        if starter is not None:
            added.setdefault((root_id, starter, event.room_id), _Activity())
    rows = [(*key, activity.events, *activity.newest) for key, activity in sorted(added.items())]
    txn.execute_values(_ADD, rows)


def uncount_redacted_txn(txn: Transaction, work: PersistWork) -> None:
    """Take away the events of threads that a batch has redacted: one statement, if there are any.

    A redacted event has no relation any more.
    """
    gone: dict[str, _Key] = {}
    for write in work.events():
        redaction = write.redaction
        if redaction is None or not redaction.is_here:
            continue
        known = work.known.get(redaction.redacts)
        if (
            known is not None
            and known.relates_to is not None
            and known.rel_type == RelationTypes.THREAD
            and known.in_timeline
            and not known.redacted
        ):
            gone[redaction.redacts] = (known.relates_to, known.sender, known.room_id)
    txn.executemany(_TAKE_AWAY, list(gone.values()))


def find_early_relations_txn(txn: Transaction, work: PersistWork) -> None:
    """Which of the events have relations already, because those came before, or with them.

    Events of ours cannot have any. Roots of threads among them get their sender's row.
    """
    arrived = [
        write.event.event_id for write in work.events() if write.in_timeline and not write.is_local
    ]
    for piece in chunks(arrived):
        condition, args = txn.in_clause("relates_to", piece)
        rows = txn.query(
            f"SELECT DISTINCT relates_to, rel_type FROM events WHERE {condition}", args
        )
        work.with_relations.update(row[0] for row in rows)
        roots = [row[0] for row in rows if row[1] == RelationTypes.THREAD]
        if roots:
            condition, args = txn.in_clause("e.event_id", roots)
            txn.execute(_ADD_ROOT_SENDERS.format(condition=condition), args)
