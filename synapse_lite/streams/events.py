"""Events, history fetched from elsewhere, and changes of the current state of rooms."""

from __future__ import annotations

from typing import Any

from ..api.constants import EventTypes
from ._base import Counter, Query, Stream, Wakes, row

# An event that was an outlier takes a new position and keeps the first as its `nid`.
EVENT_COUNTER = Counter("events", "events", "stream_ordering", also=(("events", "nid"),))
BACKFILL_COUNTER = Counter(
    "backfill", "events", "stream_ordering", also=(("events", "nid"),), step=-1
)


@row
class EventRow:
    """An event. Its body is read from the database.

    `heads` is a hint for processes that build events: the forward extremities of the room after
    this event as [event id, depth, state group]; null when it is not known, for example in rows
    that are sent again. `membership` is that of an m.room.member event, `relates_to` the event
    that this one has a relation to. `outlier` is set for a membership of a user of ours in a room
    whose state is not known here, such as an invite from another server.

    `rel_type` is the kind of the relation. `frees` is the event to which the redacted one had a
    relation that it has no more. `has_relations` is set if events with a relation to this one were
    here before it.

    `notice` is a hint for processes that count what is unread: sender, thread, whether the event
    notifies everybody, the users whose attention it asks for, whether it redacts another event,
    and whether its sender has thereby read the thread; null when that is not known, as `heads`.
    """

    event_id: str
    room_id: str
    type: str
    state_key: str | None
    redacts: str | None
    membership: str | None = None
    relates_to: str | None = None
    heads: list[list[str | int]] | None = None
    outlier: bool = False
    rel_type: str | None = None
    frees: str | None = None
    has_relations: bool = False
    notice: list[Any] | None = None


@row
class CurrentStateDeltaRow:
    """A change of the current state of a room; `event_id` is null when the key went away.

    `membership` and `sender` are set for m.room.member events.
    """

    room_id: str
    type: str
    state_key: str
    event_id: str | None
    membership: str | None = None
    sender: str | None = None


def _event_wakes(event: EventRow) -> Wakes:
    if event.type == EventTypes.MEMBER and event.state_key is not None:
        return Wakes(rooms=(event.room_id,), users=(event.state_key,))
    return Wakes(rooms=(event.room_id,))


EVENTS = Stream(
    name="events",
    says="An event was persisted.",
    row=EventRow,
    counter=EVENT_COUNTER,
    rows=Query("get_event_rows"),
    changed={"room_events_changed": "room_id"},
    wakes=_event_wakes,
)

BACKFILL = Stream(
    name="backfill",
    says="An event of the past was fetched from another server.",
    row=EventRow,
    counter=BACKFILL_COUNTER,
    rows=Query("get_backfill_rows"),
)

CURRENT_STATE_DELTAS = Stream(
    name="current_state_deltas",
    says="The current state of a room has changed.",
    row=CurrentStateDeltaRow,
    counter=EVENT_COUNTER,
    rows=Query("get_current_state_delta_rows"),
    changed={"current_state_changed": "room_id"},
)
