"""What the persist queue hands to the database: events with everything already worked out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from ..events.event import Event
from ..streams import BACKFILL, EVENTS, Stream
from ..types.state_map import StateMap
from ._notices import NO_NOTICE, Notice, Totals
from .events import Head, RoomHeads
from .state_groups import NewStateGroup


@attrs.frozen
class ClientTxn:
    """A transaction id of a client: `device_id` is empty for application services without one."""

    user_id: str
    device_id: str
    room_id: str
    txn_id: str


@attrs.frozen
class StateChange:
    """A change of the current state; `membership` and `sender` for m.room.member events."""

    type: str
    state_key: str
    event_id: str | None
    prev_event_id: str | None
    membership: str | None = None
    sender: str | None = None


@attrs.frozen
class Redaction:
    """What a redaction does: to an event that is here, or to one that may come.

    `any_sender`: it may redact events of others than its own server.
    """

    redacts: str
    is_here: bool
    any_sender: bool


@attrs.frozen
class EventWrite:
    """One event with its consequences.

    Its position is set in its metadata when the batch is persisted; flags and state group are there
    already. `heads` are those of the room after the event, `missing_prev` the events before it that
    are not here. `notice` says whom it notifies, `totals` are those of the room with it.
    """

    event: Event
    heads: RoomHeads | None = None
    state_changes: Sequence[StateChange] = ()
    redaction: Redaction | None = None
    missing_prev: Sequence[str] = ()
    txn: ClientTxn | None = None
    out_of_band: bool = False
    is_local: bool = False
    notice: Notice = NO_NOTICE
    totals: Totals = attrs.Factory(Totals)

    @property
    def in_timeline(self) -> bool:
        """Whether clients can be shown the event."""
        metadata = self.event.metadata
        return not (metadata.outlier or metadata.soft_failed or metadata.rejected_reason)

    @property
    def position(self) -> int:
        """The stored position."""
        ordering = self.event.metadata.stream_ordering
        assert ordering is not None, "positions are set before the transaction"
        return ordering


@attrs.frozen
class RoomWrite:
    """Events of one room in order: all or none are persisted.

    `removed_heads` and `added_heads` are the net change of the forward extremities. `states` are
    those of the new groups, to be cached.
    """

    room_id: str
    events: Sequence[EventWrite]
    removed_heads: frozenset[str] = frozenset()
    added_heads: tuple[Head, ...] = ()
    groups: Sequence[NewStateGroup] = ()
    states: Sequence[tuple[int, StateMap]] = ()
    backfilled: bool = False


@attrs.frozen
class PersistBatch:
    """Writes of several rooms for one transaction: all new, or all history fetched later."""

    rooms: Sequence[RoomWrite]
    received_ts: int

    @property
    def stream(self) -> Stream:
        """The stream from which the events get their positions."""
        return BACKFILL if self.rooms[0].backfilled else EVENTS

    def events(self) -> Iterator[EventWrite]:
        """All events in order."""
        for room in self.rooms:
            yield from room.events


@attrs.frozen
class FirstEvent:
    """The event that stands for a repeated one."""

    event_id: str
    stream_ordering: int


@attrs.frozen
class PersistOutcome:
    """What the transaction did.

    `repeated` maps the id of each event that is here already, by event id or by transaction id, to
    the first one. `taken` are events that are here already, but made by another request: the same
    words in the same millisecond through another process. Rooms that have such events were left
    out: nothing of them was persisted.
    """

    persisted_rooms: frozenset[str]
    repeated: dict[str, FirstEvent]
    taken: dict[str, FirstEvent]
