"""Relations of events in SQL: what is bundled with them, and pages of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from ..api.constants import RelationTypes
from ._event_rows import chunks
from ._persist_threads import EVERYBODY
from .transaction import Transaction

MAX_REFERENCES = 1000
"""Of the references to an event, so many of the newest are told with it."""

MAX_RECURSION = 3
"""Over how many relations one event after the other is followed."""


@attrs.frozen
class ThreadActivity:
    """What a sender, or everybody, has sent into a thread. `newest` has no id if it is nothing."""

    events: int
    depth: int | None
    stream_ordering: int | None
    event_id: str | None


@attrs.frozen
class Relations:
    """The relations of an event that are told with it, whoever asks.

    `edit` is the newest valid edit. `references` are ids with their senders, oldest first. `thread`
    is the activity by sender, that of everybody under `EVERYBODY`.
    """

    edit: str | None = None
    references: tuple[tuple[str, str], ...] = ()
    thread: Mapping[str, ThreadActivity] = attrs.field(factory=dict)

    @property
    def has_thread(self) -> bool:
        """Whether a thread starts from the event."""
        whole = self.thread.get(EVERYBODY)
        return whole is not None and whole.events > 0


def relations_weight(relations: Relations | None) -> int:
    """About how many bytes of memory they take."""
    if relations is None:
        return 100
    return 500 + 250 * len(relations.references) + 400 * len(relations.thread)


# An edit is valid by the same sender, of the same type, of no state and of no edit. A thread starts
# from an event without relation. Whether an edit has a new content was asked when it came.
_VALID = (
    "c.room_id = p.room_id AND c.in_timeline AND c.redacted_by IS NULL"
    " AND (c.rel_type <> 'm.replace' OR (c.sender = p.sender AND c.type = p.type"
    " AND p.state_key IS NULL AND (p.rel_type IS NULL OR p.rel_type <> 'm.replace')))"
    " AND (c.rel_type <> 'm.thread' OR p.rel_type IS NULL)"
)

# CROSS JOIN keeps the order on SQLite, which would look through the whole room otherwise.
# The kinds, written as here, are those of the index events_bundled.
_BUNDLED = f"'{RelationTypes.REPLACE}', '{RelationTypes.REFERENCE}'"

# Of edits the newest by its sender's clock counts, of others the order of the room.
_RELATIONS = (
    "WITH related AS ("
    " SELECT c.relates_to, c.rel_type, c.event_id, c.sender, c.depth, c.stream_ordering,"
    " ROW_NUMBER() OVER (PARTITION BY c.relates_to, c.rel_type ORDER BY"
    " CASE WHEN c.rel_type = 'm.replace' THEN c.origin_server_ts ELSE c.depth END DESC,"
    " CASE WHEN c.rel_type = 'm.replace' THEN 0 ELSE c.stream_ordering END DESC,"
    " c.event_id DESC) AS place"
    " FROM events c CROSS JOIN events p"
    f" WHERE {{condition}} AND p.event_id = c.relates_to AND c.rel_type IN ({{kinds}}) AND {_VALID}"
    ") SELECT relates_to, rel_type, event_id, sender, depth, stream_ordering, 0 AS events"
    " FROM related WHERE place <= CASE rel_type WHEN 'm.replace' THEN {edits} ELSE {others} END"
)
_THREADS = (
    " UNION ALL SELECT t.root_id, 'm.thread', t.event_id, t.sender, t.depth, t.stream_ordering,"
    " t.events FROM thread_activity t"
    " CROSS JOIN events p WHERE {condition} AND p.event_id = t.root_id"
    " AND p.room_id = t.room_id AND p.rel_type IS NULL ORDER BY depth, stream_ordering"
)


def relations_txn(txn: Transaction, event_ids: Collection[str]) -> dict[str, Relations]:
    """The relations of those of the events that have any: one statement."""
    edits: dict[str, str] = {}
    references: dict[str, list[tuple[str, str]]] = defaultdict(list)
    threads: dict[str, dict[str, ThreadActivity]] = defaultdict(dict)
    for piece in chunks(event_ids):
        condition, args = txn.in_clause("c.relates_to", piece)
        root_condition, root_args = txn.in_clause("t.root_id", piece)
        sql = _RELATIONS.format(condition=condition, kinds=_BUNDLED, edits=1, others=MAX_REFERENCES)
        sql += _THREADS.format(condition=root_condition)
        for parent, kind, event_id, sender, depth, ordering, events in txn.query(
            sql, [*args, *root_args]
        ):
            if kind == RelationTypes.REPLACE:
                edits[parent] = event_id
            elif kind == RelationTypes.REFERENCE:
                references[parent].append((event_id, sender))
            else:
                threads[parent][sender] = ThreadActivity(events, depth, ordering, event_id)
    return {
        event_id: Relations(
            edits.get(event_id),
            tuple(references.get(event_id, ())),
            threads.get(event_id, {}),
        )
        for event_id in (*edits, *references, *threads)
    }


def newest_related_txn(
    txn: Transaction, event_ids: Collection[str], limit: int
) -> list[tuple[str, str, str]]:
    """The newest relations of some events that may be bundled, oldest first.

    For each event and kind at most `limit`: parent, kind and id.
    """
    found: list[tuple[str, str, str]] = []
    kinds = ", ".join(f"'{kind}'" for kind in RelationTypes.BUNDLED)
    for piece in chunks(event_ids):
        condition, args = txn.in_clause("c.relates_to", piece)
        sql = _RELATIONS.format(condition=condition, kinds=kinds, edits=limit, others=limit)
        rows = txn.query(f"{sql} ORDER BY depth, stream_ordering", args)
        found += [(row[0], row[1], row[2]) for row in rows]
    return found


@attrs.frozen
class RelationsQuery:
    """Which relations of an event are asked for. None means all kinds, or all types of events."""

    room_id: str
    event_id: str
    rel_type: str | None = None
    event_type: str | None = None
    recurse: bool = False


_MATCHES = "c.room_id = ? AND c.rel_type IS NOT NULL AND c.in_timeline AND c.redacted_by IS NULL"


def related_txn(
    txn: Transaction,
    query: RelationsQuery,
    positions: Sequence[tuple[str, Sequence[Any]]],
    direction: str,
    limit: int,
) -> list[tuple[str, int, int]]:
    """A page of relations in the order of the graph: id, depth and position of each.

    `positions` are conditions; a relation of a relation is found only by way of ones that are asked
    for, too.
    """
    matches, args = _MATCHES, [query.room_id]
    for column, value in (("rel_type", query.rel_type), ("type", query.event_type)):
        if value is not None:
            matches += f" AND c.{column} = ?"
            args.append(value)
    bounds = "".join(f" AND {sql}" for sql, _ in positions)
    bound_args = [arg for _, each in positions for arg in each]
    order = "DESC" if direction == "b" else "ASC"
    tail = f" ORDER BY depth {order}, stream_ordering {order} LIMIT ?"
    columns = "c.event_id, c.depth, c.stream_ordering"
    if not query.recurse:
        return txn.query(
            f"SELECT {columns} FROM events c WHERE c.relates_to = ? AND {matches}{bounds}{tail}",
            [query.event_id, *args, *bound_args, limit],
        )
    return txn.query(
        "WITH RECURSIVE related (event_id, depth, stream_ordering, level) AS ("
        f" SELECT {columns}, 1 FROM events c WHERE c.relates_to = ? AND {matches}"
        f" UNION SELECT {columns}, r.level + 1 FROM related r"
        f" JOIN events c ON c.relates_to = r.event_id WHERE r.level < ? AND {matches}"
        ") SELECT DISTINCT event_id, depth, stream_ordering FROM related"
        f" WHERE 1 = 1{bounds}{tail}",
        [query.event_id, *args, MAX_RECURSION, *args, *bound_args, limit],
    )
