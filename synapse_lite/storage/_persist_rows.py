"""What the transaction that persists events works on, and the rows that it writes of each event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from ..events.event import Event
from ..streams import EventRow
from ..types.unread import MAIN_THREAD
from ._event_rows import relation_of
from ._notices import notice_to_row
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
    "thread_id",
    "notifies",
    "main_total",
    "thread_total",
)

_MAX_HEADS_IN_ROW = 20
"""More heads than this are left out of the stream's row: who needs them reads them."""


@attrs.frozen
class KnownEvent:
    """An event that is here already."""

    nid: int
    stream_ordering: int
    outlier: bool
    room_id: str
    sender: str
    relates_to: str | None
    rel_type: str | None
    redacted: bool
    in_timeline: bool


KNOWN_COLUMNS = (
    "event_id, nid, stream_ordering, outlier, room_id, sender, relates_to, rel_type,"
    " redacted_by IS NOT NULL, in_timeline"
)


def known_event(columns: Sequence[Any]) -> KnownEvent:
    """What `KNOWN_COLUMNS` say, after the id."""
    nid, ordering, outlier, room_id, sender, relates_to, rel_type, redacted, shown = columns
    return KnownEvent(
        nid,
        ordering,
        bool(outlier),
        room_id,
        sender,
        relates_to,
        rel_type,
        bool(redacted),
        bool(shown),
    )


@attrs.define
class PersistWork:
    """A batch in the transaction.

    `nids` are the internal numbers of all events that the batch names, `outliers` those of its
    events that are here already as outliers, `redacted_by` the redactions that came before.
    `known` are those of all these that were here before, with what the batch redacts and the roots
    of its threads. `with_relations` are events of the batch that relations were here before.
    """

    batch: PersistBatch
    nids: dict[str, int]
    known: Mapping[str, KnownEvent]
    outliers: frozenset[str] = frozenset()
    redacted_by: dict[str, str] = attrs.field(factory=dict)
    with_relations: set[str] = attrs.field(factory=set)

    @property
    def rooms(self) -> Sequence[RoomWrite]:
        """The rooms that are written: none of their events is repeated."""
        return self.batch.rooms

    def events(self) -> list[EventWrite]:
        """The events of all rooms, in order."""
        return list(self.batch.events())

    @cached_property
    def _new(self) -> Mapping[str, Event]:
        return {write.event.event_id: write.event for write in self.batch.events()}

    @cached_property
    def _redacted_here(self) -> frozenset[str]:
        return frozenset(
            write.redaction.redacts
            for write in self.batch.events()
            if write.redaction is not None and write.redaction.is_here
        )

    def is_redacted(self, event_id: str) -> bool:
        """Whether an event of the batch is redacted from the beginning."""
        known = self.known.get(event_id)
        return (
            event_id in self.redacted_by
            or event_id in self._redacted_here
            or (known is not None and known.redacted)
        )

    def sender_of(self, event_id: str, room_id: str) -> str | None:
        """Who has sent the event of a room to which one of the batch has a relation."""
        event = self.known.get(event_id) or self._new.get(event_id)
        return None if event is None or event.room_id != room_id else event.sender

    def parent_of(self, event_id: str) -> str | None:
        """The event to which one that the batch redacts has a relation."""
        known = self.known.get(event_id)
        if known is not None:
            return known.relates_to
        event = self._new.get(event_id)
        relation = None if event is None else relation_of(event)
        return None if relation is None else relation.event_id


def event_columns(write: EventWrite, work: PersistWork) -> tuple[Any, ...]:
    """The values of `EVENT_COLUMNS`."""
    event, metadata = write.event, write.event.metadata
    relation = relation_of(event)
    thread_id = write.notice.thread_id
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
        None if thread_id == MAIN_THREAD else thread_id,
        write.notice.notifies,
        write.totals.main,
        write.totals.threads,
    )


def stream_row(write: EventWrite, work: PersistWork) -> EventRow:
    """The row that tells of the event; without notice, if it was redacted before it came."""
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
        None if relation is None else relation.rel_type,
        None if write.redaction is None else work.parent_of(write.redaction.redacts),
        event.event_id in work.with_relations,
        notice=None
        if event.event_id in work.redacted_by or event.metadata.outlier
        else notice_to_row(
            event.sender, write.notice, write.redaction is not None and write.redaction.is_here
        ),
    )
