"""What the transaction that persists events works on, and the rows that it writes of each event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ..streams import EventRow
from ._event_rows import relation_of
from ._persist_batch import EventWrite, PersistBatch, RoomWrite

EVENT_COLUMNS = (
    "nid",
    "event_id",
    "stream_ordering",
    "room_id",
    "room_version",
    "type",
    "state_key",
    "sender",
    "depth",
    "origin_server_ts",
    "received_ts",
    "state_group",
    "replaces_state",
    "membership",
    "redacts",
    "redacted_by",
    "relates_to",
    "rel_type",
    "contains_url",
    "outlier",
    "soft_failed",
    "rejected_reason",
    "in_timeline",
    "out_of_band",
    "txn_id",
    "device_id",
    "json",
)

_MAX_HEADS_IN_ROW = 20
"""More heads than this are left out of the stream's row: who needs them reads them."""


@attrs.define
class PersistWork:
    """A batch in the transaction.

    `nids` are the internal numbers of all events that the batch names, `outliers` those of its
    events that are here already as outliers, `redacted_by` the redactions that came before.
    """

    batch: PersistBatch
    nids: dict[str, int]
    outliers: frozenset[str] = frozenset()
    redacted_by: dict[str, str] = attrs.field(factory=dict)

    @property
    def rooms(self) -> Sequence[RoomWrite]:
        """The rooms that are written: none of their events is repeated."""
        return self.batch.rooms

    def events(self) -> list[EventWrite]:
        """The events of all rooms, in order."""
        return list(self.batch.events())


@attrs.frozen
class KnownEvent:
    """An event that is here already."""

    nid: int
    stream_ordering: int
    outlier: bool


def event_columns(write: EventWrite, work: PersistWork) -> tuple[Any, ...]:
    """The values of `EVENT_COLUMNS`."""
    event, metadata = write.event, write.event.metadata
    relation = relation_of(event)
    return (
        work.nids[event.event_id],
        event.event_id,
        write.position,
        event.room_id,
        event.room_version.identifier,
        event.type,
        event.state_key,
        event.sender,
        event.depth,
        event.origin_server_ts,
        work.batch.received_ts,
        metadata.state_group,
        metadata.replaces_state,
        event.membership,
        event.redacts,
        work.redacted_by.get(event.event_id),
        None if relation is None else relation.event_id,
        None if relation is None else relation.rel_type,
        isinstance(event.content.get("url"), str),
        metadata.outlier,
        metadata.soft_failed,
        metadata.rejected_reason,
        write.in_timeline,
        write.out_of_band,
        metadata.txn_id,
        metadata.device_id,
        event.pdu_json.decode("utf-8"),
    )


def stream_row(write: EventWrite) -> EventRow:
    event, heads = write.event, write.heads
    relation = relation_of(event)
    if heads is not None and len(heads.heads) > _MAX_HEADS_IN_ROW:
        heads = None
    return EventRow(
        event.event_id,
        event.room_id,
        event.type,
        event.state_key,
        event.redacts,
        event.membership,
        None if relation is None else relation.event_id,
        None if heads is None else heads.to_row(),
        event.metadata.outlier,
    )
