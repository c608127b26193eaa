"""Rows of the table `events` as events, and back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs

from ..api.constants import EventTypes, RelationTypes
from ..events.event import Event, make_event, pruned
from ..events.metadata import EventMetadata
from ..events.room_versions import ROOM_VERSIONS
from ..streams.events import EventRow
from ..util.json import decode_stored_json
from .transaction import Transaction

IDS_PER_STATEMENT = 1000
"""How many ids one statement asks for."""

_MAX_RELATION_LENGTH = 255

_READ_COLUMNS = (
    "event_id, json, room_version, stream_ordering, outlier, soft_failed, rejected_reason,"
    " redacted_by, txn_id, device_id, state_group, replaces_state"
)

EVENT_ROW_COLUMNS = (
    "event_id, room_id, type, state_key, redacts, membership, relates_to, outlier, rel_type,"
    " (SELECT r.relates_to FROM events r WHERE r.event_id = events.redacts),"
    " EXISTS (SELECT 1 FROM events c WHERE c.relates_to = events.event_id"
    " AND c.stream_ordering < events.stream_ordering)"
)
"""The columns of `event_row`, in its order."""


def event_row(columns: Sequence[Any]) -> EventRow:
    """The row of the streams of events, without hints."""
    event_id, room_id, kind, state_key, redacts, membership, relates_to = columns[:7]
    outlier, rel_type, frees, has_relations = columns[7:]
    return EventRow(
        event_id,
        room_id,
        kind,
        state_key,
        redacts,
        membership,
        relates_to,
        outlier=bool(outlier),
        rel_type=rel_type,
        frees=frees,
        has_relations=bool(has_relations),
    )


def chunks(ids: Collection[str], size: int = IDS_PER_STATEMENT) -> list[list[str]]:
    """The ids in pieces that one statement may take."""
    listed = list(ids)
    return [listed[start : start + size] for start in range(0, len(listed), size)]


def read_events_txn(txn: Transaction, event_ids: Collection[str]) -> dict[str, Event]:
    """The events that are here, redacted ones in their pruned form."""
    found = {}
    for piece in chunks(event_ids):
        condition, args = txn.in_clause("event_id", piece)
        for row in txn.query(f"SELECT {_READ_COLUMNS} FROM events WHERE {condition}", args):
            found[row[0]] = _event_of(row)
    return found


def _event_of(row: Sequence[Any]) -> Event:
    metadata = EventMetadata(
        stream_ordering=row[3],
        outlier=bool(row[4]),
        soft_failed=bool(row[5]),
        rejected_reason=row[6],
        redacted_by=row[7],
        txn_id=row[8],
        device_id=row[9],
        state_group=row[10],
        replaces_state=row[11],
    )
    event = make_event(
        decode_stored_json(row[1]),
        ROOM_VERSIONS[row[2]],
        row[0],
        metadata,
        pdu_json=row[1].encode("utf-8"),
    )
    return event if metadata.redacted_by is None else pruned(event)


def event_weight(event: Event | None) -> int:
    """About how many bytes of memory an event takes: its text, its parsed form, its client form."""
    return 500 if event is None else 1500 + 4 * len(event.pdu_json)


@attrs.frozen
class Relation:
    """What `m.relates_to` of an event names."""

    event_id: str
    rel_type: str | None


def relation_of(event: Event) -> Relation | None:
    """The relation of an event to another one, if it has one that can be looked up."""
    relates_to = event.content.get("m.relates_to")
    if not isinstance(relates_to, dict):
        return None
    event_id, rel_type = relates_to.get("event_id"), relates_to.get("rel_type")
    known = _short_text(event_id)
    if known is None or (rel_type == RelationTypes.REPLACE and not _may_replace(event)):
        return None
    return Relation(known, _short_text(rel_type))


def _may_replace(event: Event) -> bool:
    """Whether it has the form of an edit. What is not is no relation ("Event replacements")."""
    return not event.is_state and (
        event.type == EventTypes.ENCRYPTED or isinstance(event.content.get("m.new_content"), dict)
    )


def _short_text(value: object) -> str | None:
    """Text that a column may hold."""
    if isinstance(value, str) and len(value) <= _MAX_RELATION_LENGTH and "\0" not in value:
        return value
    return None


def event_nids_txn(txn: Transaction, event_ids: Collection[str]) -> dict[str, int]:
    """The internal numbers of those of the events that are here."""
    found: dict[str, int] = {}
    for piece in chunks(event_ids):
        condition, args = txn.in_clause("event_id", piece)
        found.update(txn.query(f"SELECT event_id, nid FROM events WHERE {condition}", args))
    return found


def auth_chain_ids_txn(txn: Transaction, event_ids: Collection[str]) -> set[str]:
    """The auth events of state events, theirs, and so on, as far as they are here."""
    found: set[str] = set()
    for piece in chunks(event_ids):
        condition, args = txn.in_clause("e.event_id", piece)
        rows = txn.query(
            "WITH RECURSIVE chain (nid) AS ("
            " SELECT a.auth_nid FROM event_auth a JOIN events e ON e.nid = a.nid"
            f" WHERE {condition}"
            " UNION SELECT a.auth_nid FROM event_auth a JOIN chain c ON a.nid = c.nid"
            ") SELECT event_id FROM events JOIN chain USING (nid)",
            args,
        )
        found.update(row[0] for row in rows)
    return found
