"""The state around an event that is about to be persisted."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..util.json import JsonDict

StateKey = tuple[str, str]
"""Event type and state key."""


@attrs.frozen
class EventContext:
    """The state before an event, as the process that built the event knows it.

    Either `state_group_before` names a stored group, or the state is `prev_group` (none for the
    empty state) changed by `delta`, as state resolution found it; then the master stores the
    group when it persists the event; None in `delta` takes a key away. Workers never store groups.
    """

    state_group_before: int | None = None
    prev_group: int | None = None
    delta: Mapping[StateKey, str | None] | None = None

    def to_json(self) -> JsonDict:
        """The context for the send_event call."""
        delta = None
        if self.delta is not None:
            delta = [[kind, key, event_id] for (kind, key), event_id in self.delta.items()]
        return {
            "state_group_before": self.state_group_before,
            "prev_group": self.prev_group,
            "delta": delta,
        }

    @staticmethod
    def from_json(body: JsonDict) -> EventContext:
        """The context that another process of this server sent."""
        delta = body["delta"]
        return EventContext(
            state_group_before=body["state_group_before"],
            prev_group=body["prev_group"],
            delta=None if delta is None else {(kind, key): event for kind, key, event in delta},
        )
