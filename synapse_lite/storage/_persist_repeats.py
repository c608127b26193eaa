"""Which events of a batch are here already, and as what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ._persist_batch import ClientTxn, FirstEvent, PersistBatch, PersistOutcome, RoomWrite
from ._persist_rows import KnownEvent
from .transaction import Transaction


def find_requests_txn(txn: Transaction, by_txn: Mapping[ClientTxn, str]) -> dict[str, FirstEvent]:
    """The first events of repeated requests, by the ids of the new events."""
    rows = txn.execute_values(
        "WITH wanted (user_id, device_id, room_id, txn_id) AS (VALUES ?)"
        " SELECT t.user_id, t.device_id, t.room_id, t.txn_id, t.event_id, e.stream_ordering"
        " FROM event_txn_ids t JOIN wanted USING (user_id, device_id, room_id, txn_id)"
        " JOIN events e ON e.event_id = t.event_id",
        [attrs.astuple(client_txn) for client_txn in by_txn],
        fetch=True,
    )
    return {
        by_txn[ClientTxn(user_id, device_id, room_id, txn_id)]: FirstEvent(event_id, ordering)
        for user_id, device_id, room_id, txn_id, event_id, ordering in rows
    }


def repeated_events(batch: PersistBatch, known: Mapping[str, KnownEvent]) -> dict[str, FirstEvent]:
    """Events that are here already. An outlier that comes again with its state is none of them."""
    return {
        write.event.event_id: FirstEvent(write.event.event_id, here.stream_ordering)
        for write in batch.events()
        if (here := known.get(write.event.event_id)) is not None
        and (not here.outlier or write.event.metadata.outlier)
    }


def outcome_of(
    batch: PersistBatch,
    rooms: Sequence[RoomWrite],
    here: Mapping[str, FirstEvent],
    requests: Mapping[str, FirstEvent],
) -> PersistOutcome:
    """Tells apart, of the events that are `here`, those that other requests have made."""
    of_requests = {write.event.event_id for write in batch.events() if write.txn is not None}
    taken = {
        event_id: first
        for event_id, first in here.items()
        if event_id in of_requests and event_id not in requests
    }
    repeated = {
        event_id: first for event_id, first in {**here, **requests}.items() if event_id not in taken
    }
    return PersistOutcome(frozenset(room.room_id for room in rooms), repeated, taken)
