"""Which state events bring a client to the start of the timeline that it is shown.

After the state and then the timeline have been applied, the client must have the current state. So
a key that the timeline sets is told as it was before, any other key as it is now. For a client that
takes no state from timelines (`use_state_after`), no key counts as set by the timeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..api.constants import EventTypes
from ..events.event import Event, StateKey
from ..storage.state_changes import StateChange


def first_of_keys(events: Iterable[Event]) -> dict[StateKey, Event]:
    """The first event in a timeline for each key of the state that it sets."""
    first: dict[StateKey, Event] = {}
    for event in events:
        if event.state_key is not None:
            first.setdefault((event.type, event.state_key), event)
    return first


def whole_state(
    state: Mapping[StateKey, str],
    in_timeline: Mapping[StateKey, Event],
    wants_type: Callable[[str], bool],
    *,
    without_members: bool,
) -> list[str]:
    """Ids of the state events for a client that knows nothing."""
    found = []
    for key, event_id in state.items():
        if without_members and key[0] == EventTypes.MEMBER:
            continue
        first = in_timeline.get(key)
        at_start = event_id if first is None else first.metadata.replaces_state
        if at_start is not None and wants_type(key[0]):
            found.append(at_start)
    return found


def changed_state(
    changes: Sequence[StateChange], in_timeline: Mapping[StateKey, Event], start: int
) -> list[str]:
    """Ids of the state events for a client that knows the state at the beginning of the changes.

    `start` is the position at which the timeline begins. A key that went away cannot be told.
    """
    found: dict[StateKey, str | None] = {}
    for change in changes:
        if change.key not in in_timeline or change.stream_ordering <= start:
            found[change.key] = change.event_id
    return [event_id for event_id in found.values() if event_id is not None]


def at_start(
    key: StateKey, state: Mapping[StateKey, str], in_timeline: Mapping[StateKey, Event]
) -> str | None:
    """The id of one event of the state at the start of the timeline."""
    first = in_timeline.get(key)
    return state.get(key) if first is None else first.metadata.replaces_state
