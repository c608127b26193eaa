"""The one place where events are written: a transaction for all that the persist queue holds.

`_persist_events_txn` is a list of steps. Each takes the whole batch and runs statements for many
rows, so the number of statements does not grow with the batch; a step without work runs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import attrs

from ..api.constants import EventTypes, RelationTypes
from ..streams import CURRENT_STATE_DELTAS, CurrentStateDeltaRow
from ..types.ids import domain_of
from ._base import MasterStore, declared
from ._event_rows import chunks, relation_of
from ._persist_batch import (
    ClientTxn,
    EventWrite,
    FirstEvent,
    PersistBatch,
    PersistOutcome,
    Redaction,
    RoomWrite,
    StateChange,
)
from ._persist_repeats import find_requests_txn, outcome_of, repeated_events
from ._persist_rows import (
    EVENT_COLUMNS,
    KNOWN_COLUMNS,
    KnownEvent,
    PersistWork,
    event_columns,
    known_event,
    stream_row,
)
from ._persist_threads import count_threads_txn, find_early_relations_txn, uncount_redacted_txn
from .current_state import CurrentStateWorkerStore
from .events import EventsWorkerStore
from .state_groups import StateGroupsStore
from .transaction import Transaction
from .unread import UnreadStore

__all__ = [
    "ClientTxn",
    "EventWrite",
    "FirstEvent",
    "PersistBatch",
    "PersistEventsStore",
    "PersistOutcome",
    "Redaction",
    "RoomWrite",
    "StateChange",
]


class PersistEventsStore(
    UnreadStore, CurrentStateWorkerStore, EventsWorkerStore, StateGroupsStore, MasterStore
):
    """Writes events. Other stores add steps of their own: names of methods (txn, rooms)."""

    persist_steps: ClassVar[tuple[str, ...]] = ()

    async def persist_events(self, batch: PersistBatch) -> PersistOutcome:
        """Persist the events of several rooms in one transaction.

        Sets their positions. Rooms with repeated events are left out, as the outcome says.
        """
        events = list(batch.events())
        async with self.writing_many(batch.stream, len(events)) as tokens:
            sign = batch.stream.counter.step
            for write, token in zip(events, tokens, strict=True):
                write.event.metadata.stream_ordering = token * sign
            outcome, changed = await self.db.run("persist_events", self._persist_events_txn, batch)
            self._fill_caches(batch, outcome, changed)
        return outcome

    def _fill_caches(
        self, batch: PersistBatch, outcome: PersistOutcome, changed: frozenset[str]
    ) -> None:
        """What was just written needs no reading, unless it is otherwise there (`changed`)."""
        redacted = {write.redaction.redacts for write in batch.events() if write.redaction}
        for room in batch.rooms:
            if room.room_id not in outcome.persisted_rooms:
                continue
            for write in room.events:
                if write.event.event_id not in changed | redacted:
                    self.get_stored_event.prefill((write.event.event_id,), write.event)
            for group, state in room.states:
                self.prefill_state_group(group, state)
            if not room.backfilled:
                self.get_notify_totals.prefill((room.room_id,), room.events[-1].totals)

    # The transaction

    def _persist_events_txn(
        self, txn: Transaction, batch: PersistBatch
    ) -> tuple[PersistOutcome, frozenset[str]]:
        known = self._find_known_txn(txn, batch)
        here = repeated_events(batch, known)
        requests = self._find_repeated_requests_txn(txn, batch)
        rooms = [
            room
            for room in batch.rooms
            if not any(
                w.event.event_id in here or w.event.event_id in requests for w in room.events
            )
        ]
        outcome = outcome_of(batch, rooms, here, requests)
        if not rooms:
            return outcome, frozenset()
        work = PersistWork(
            attrs.evolve(batch, rooms=rooms),
            {event_id: k.nid for event_id, k in known.items()},
            known,
        )
        work.outliers = frozenset(
            write.event.event_id for write in work.events() if write.event.event_id in known
        )
        for step in self._steps():
            step(txn, work)
        for name in declared(type(self), "persist_steps"):
            getattr(self, name)(txn, rooms)
        return outcome, work.outliers.union(work.redacted_by)

    def _steps(self) -> tuple[Callable[[Transaction, PersistWork], None], ...]:
        return (
            self._take_pending_redactions_txn,
            self._insert_events_txn,
            self._update_outliers_txn,
            find_early_relations_txn,
            self._insert_auth_txn,
            self._insert_groups_txn,
            self._update_forward_extremities_txn,
            self._update_backward_extremities_txn,
            self._redact_txn,
            uncount_redacted_txn,
            count_threads_txn,
            self._update_current_state_txn,
            self._update_local_memberships_txn,
            self._insert_client_txns_txn,
            self._note_rows,
        )

    @staticmethod
    def _find_known_txn(txn: Transaction, batch: PersistBatch) -> dict[str, KnownEvent]:
        """What is here of the events of the batch and of those that it needs the numbers of."""
        wanted = {write.event.event_id for write in batch.events()}
        for write in batch.events():
            if write.event.is_state:
                wanted.update(write.event.auth_event_ids)
        for room in batch.rooms:
            for group in room.groups:
                wanted.update(event_id for event_id in group.delta.values() if event_id is not None)
        for write in batch.events():
            relation = relation_of(write.event)
            if relation is not None and relation.rel_type == RelationTypes.THREAD:
                wanted.add(relation.event_id)
            if write.redaction is not None and write.redaction.is_here:
                wanted.add(write.redaction.redacts)
        known: dict[str, KnownEvent] = {}
        for piece in chunks(wanted):
            condition, args = txn.in_clause("event_id", piece)
            rows = txn.query(f"SELECT {KNOWN_COLUMNS} FROM events WHERE {condition}", args)
            known.update((row[0], known_event(row[1:])) for row in rows)
        return known

    @staticmethod
    def _find_repeated_requests_txn(txn: Transaction, batch: PersistBatch) -> dict[str, FirstEvent]:
        """Events whose transaction id has made another event before."""
        return find_requests_txn(
            txn, {write.txn: write.event.event_id for write in batch.events() if write.txn}
        )

    @staticmethod
    def _take_pending_redactions_txn(txn: Transaction, work: PersistWork) -> None:
        """Redactions that came before these events. Events of ours cannot have any."""
        writes = {
            write.event.event_id: write.event
            for write in work.events()
            if write.in_timeline and not write.is_local
        }
        for piece in chunks(writes):
            condition, args = txn.in_clause("redacts", piece)
            rows = txn.query(
                "SELECT redacts, event_id, room_id, sender, any_sender FROM pending_redactions"
                f" WHERE {condition}",
                args,
            )
            for redacts, event_id, room_id, sender, any_sender in rows:
                event = writes[redacts]
                allowed = any_sender or domain_of(sender) == domain_of(event.sender)
                if allowed and room_id == event.room_id:
                    work.redacted_by[redacts] = event_id
            if rows:
                txn.execute(f"DELETE FROM pending_redactions WHERE {condition}", args)

    def _insert_events_txn(self, txn: Transaction, work: PersistWork) -> None:
        rows = []
        for write in work.events():
            event_id = write.event.event_id
            if event_id not in work.outliers:
                work.nids[event_id] = write.position
                rows.append(event_columns(write, work))
        txn.insert_many("events", EVENT_COLUMNS, rows)

    def _update_outliers_txn(self, txn: Transaction, work: PersistWork) -> None:
        """Events that were outliers become events of the room, at a new position."""
        changed = [name for name in EVENT_COLUMNS if name not in ("nid", "event_id")]
        rows = []
        for write in work.events():
            if write.event.event_id in work.outliers:
                columns = event_columns(write, work)
                rows.append((*columns[2:], write.event.event_id))
                if not write.in_timeline:
                    # No row of the stream will say that it has changed.
                    txn.invalidate(self.get_stored_event, (write.event.event_id,))
        assignments = ", ".join(
            # A redaction may have come while it was an outlier.
            f"{name} = COALESCE(?, {name})" if name == "redacted_by" else f"{name} = ?"
            for name in changed
        )
        txn.executemany(f"UPDATE events SET {assignments} WHERE event_id = ?", rows)

    @staticmethod
    def _insert_auth_txn(txn: Transaction, work: PersistWork) -> None:
        rows = [
            (work.nids[write.event.event_id], work.nids[auth_id])
            for write in work.events()
            if write.event.is_state
            for auth_id in dict.fromkeys(write.event.auth_event_ids)
            if auth_id in work.nids
        ]
        # What was an outlier has rows already, perhaps not all.
        txn.insert_many("event_auth", ("nid", "auth_nid"), rows, ignore_conflicts=True)

    def _insert_groups_txn(self, txn: Transaction, work: PersistWork) -> None:
        groups = [group for room in work.rooms for group in room.groups]
        if groups:
            self._insert_state_groups_txn(txn, groups, work.nids)

    @staticmethod
    def _update_forward_extremities_txn(txn: Transaction, work: PersistWork) -> None:
        removed = [event_id for room in work.rooms for event_id in room.removed_heads]
        for piece in chunks(removed):
            condition, args = txn.in_clause("event_id", piece)
            txn.execute(f"DELETE FROM event_forward_extremities WHERE {condition}", args)
        txn.insert_many(
            "event_forward_extremities",
            ("room_id", "event_id"),
            [(room.room_id, head.event_id) for room in work.rooms for head in room.added_heads],
        )

    def _update_backward_extremities_txn(self, txn: Transaction, work: PersistWork) -> None:
        """Gaps in history that these events fill, and those that they show."""
        arrived = [
            write.event.event_id
            for write in work.events()
            if not write.is_local and not write.event.metadata.outlier
        ]
        for piece in chunks(arrived):
            condition, args = txn.in_clause("event_id", piece)
            txn.execute(f"DELETE FROM event_backward_extremities WHERE {condition}", args)
            if txn.rowcount:
                for room in work.rooms:
                    txn.invalidate(self.get_backward_extremities, (room.room_id,))
        here = set(arrived)
        missing = {
            (room.room_id, event_id): write.event.depth
            for room in work.rooms
            for write in room.events
            for event_id in write.missing_prev
            if event_id not in here
        }
        for room_id in {room_id for room_id, _ in missing}:
            txn.invalidate(self.get_backward_extremities, (room_id,))
        txn.insert_many(
            "event_backward_extremities",
            ("room_id", "event_id", "depth"),
            [(*key, depth) for key, depth in missing.items()],
            ignore_conflicts=True,
        )

    @staticmethod
    def _redact_txn(txn: Transaction, work: PersistWork) -> None:
        redactions = [(write.event, write.redaction) for write in work.events() if write.redaction]
        txn.executemany(
            "UPDATE events SET redacted_by = ?"
            " WHERE event_id = ? AND room_id = ? AND redacted_by IS NULL",
            [
                (event.event_id, redaction.redacts, event.room_id)
                for event, redaction in redactions
                if redaction.is_here
            ],
        )
        txn.insert_many(
            "pending_redactions",
            ("redacts", "event_id", "room_id", "sender", "any_sender"),
            [
                (r.redacts, event.event_id, event.room_id, event.sender, r.any_sender)
                for event, r in redactions
                if not r.is_here
            ],
            ignore_conflicts=True,
        )

    @staticmethod
    def _update_current_state_txn(txn: Transaction, work: PersistWork) -> None:
        latest = {
            (room.room_id, change.type, change.state_key): change
            for room in work.rooms
            for write in room.events
            for change in write.state_changes
        }
        txn.executemany(
            "DELETE FROM current_state_events WHERE room_id = ? AND type = ? AND state_key = ?",
            [key for key, change in latest.items() if change.event_id is None],
        )
        txn.upsert_many(
            "current_state_events",
            ("room_id", "type", "state_key"),
            ("event_id", "membership"),
            [
                (*key, change.event_id, change.membership)
                for key, change in latest.items()
                if change.event_id is not None
            ],
        )
        txn.insert_many(
            "current_state_delta_stream",
            (
                "stream_id",
                "room_id",
                "type",
                "state_key",
                "event_id",
                "prev_event_id",
                "membership",
            ),
            [
                (
                    write.position,
                    room.room_id,
                    change.type,
                    change.state_key,
                    change.event_id,
                    change.prev_event_id,
                    change.membership,
                )
                for room in work.rooms
                for write in room.events
                for change in write.state_changes
            ],
        )

    def _update_local_memberships_txn(self, txn: Transaction, work: PersistWork) -> None:
        changes = [
            (user_id, write.position, room.room_id, *change)
            for room in work.rooms
            for write in room.events
            for user_id, *change in self._local_changes(write)
        ]
        txn.insert_many(
            "local_membership_changes",
            ("user_id", "stream_id", "room_id", "membership", "event_id", "sender"),
            changes,
        )
        latest = {(user_id, room_id): change for user_id, _, room_id, *change in changes}
        positions = {(user_id, room_id): token for user_id, token, room_id, *_ in changes}
        txn.executemany(
            "DELETE FROM local_current_membership WHERE user_id = ? AND room_id = ?",
            [key for key, change in latest.items() if change[0] is None],
        )
        txn.upsert_many(
            "local_current_membership",
            ("user_id", "room_id"),
            ("membership", "event_id", "sender", "stream_ordering", "forgotten"),
            [
                (*key, *change, positions[key], False)
                for key, change in latest.items()
                if change[0] is not None
            ],
        )

    def _local_changes(
        self, write: EventWrite
    ) -> list[tuple[str, str | None, str | None, str | None]]:
        """User, membership, event and sender of each change of a user of ours."""
        event = write.event
        if write.out_of_band and event.state_key is not None:
            return [(event.state_key, event.membership, event.event_id, event.sender)]
        return [
            (change.state_key, change.membership, change.event_id, change.sender)
            for change in write.state_changes
            if change.type == EventTypes.MEMBER and domain_of(change.state_key) == self.server_name
        ]

    @staticmethod
    def _insert_client_txns_txn(txn: Transaction, work: PersistWork) -> None:
        txn.insert_many(
            "event_txn_ids",
            ("user_id", "device_id", "room_id", "txn_id", "event_id", "inserted_ts"),
            [
                (*attrs.astuple(write.txn), write.event.event_id, work.batch.received_ts)
                for write in work.events()
                if write.txn is not None
            ],
        )

    @staticmethod
    def _note_rows(txn: Transaction, work: PersistWork) -> None:
        """The rows of the streams, in the order of their tokens."""
        stream = work.batch.stream
        for write in work.events():
            token = abs(write.position)
            if write.in_timeline or write.out_of_band:
                txn.changed(stream, token, stream_row(write, work))
            for change in write.state_changes:
                row = CurrentStateDeltaRow(
                    write.event.room_id,
                    change.type,
                    change.state_key,
                    change.event_id,
                    change.membership,
                    change.sender,
                )
                txn.changed(CURRENT_STATE_DELTAS, token, row)

    async def find_repeated(
        self, events: Sequence[tuple[str, ClientTxn | None]]
    ) -> dict[str, FirstEvent]:
        """Those of the events (id, transaction id) that are here already, by id.

        With a transaction id, an event is here only if the same request has made it.
        """
        return await self.db.read("find_repeated", self._find_repeated_txn, events)

    @staticmethod
    def _find_repeated_txn(
        txn: Transaction, events: Sequence[tuple[str, ClientTxn | None]]
    ) -> dict[str, FirstEvent]:
        found: dict[str, FirstEvent] = {}
        for piece in chunks([event_id for event_id, client_txn in events if client_txn is None]):
            condition, args = txn.in_clause("event_id", piece)
            rows = txn.query(
                f"SELECT event_id, stream_ordering FROM events WHERE NOT outlier AND {condition}",
                args,
            )
            found.update((event_id, FirstEvent(event_id, ordering)) for event_id, ordering in rows)
        by_txn = {client_txn: event_id for event_id, client_txn in events if client_txn}
        found.update(find_requests_txn(txn, by_txn))
        return found

    # House-keeping

    async def delete_old_client_txns(self, before_ms: int) -> int:
        """Forget the transaction ids of requests made before a time. Returns how many."""
        return await self.db.run("delete_old_client_txns", self._delete_client_txns_txn, before_ms)

    @staticmethod
    def _delete_client_txns_txn(txn: Transaction, before_ms: int) -> int:
        txn.execute("DELETE FROM event_txn_ids WHERE inserted_ts < ?", (before_ms,))
        return txn.rowcount
