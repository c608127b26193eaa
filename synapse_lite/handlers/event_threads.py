"""Which thread an event is in (client-server API, "Threaded read receipts")."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..events.event import Event
from ..types.unread import MAIN_THREAD

_MAX_HOPS = 3
"""How far relations are followed to find the thread of an event, as the specification advises."""

_MAX_ID_LENGTH = 255

Relative = Callable[[str], Awaitable[Event | None]]
"""Finds an event that another one is about."""


async def thread_of(event: Event, relative: Relative) -> str:
    """The root of the thread that an event is in, directly or by the event it is about.

    "main" for what is in no thread.
    """
    for _ in range(_MAX_HOPS):
        relation = event.content.get("m.relates_to")
        if not isinstance(relation, dict):
            break
        parent = relation.get("event_id")
        if not isinstance(parent, str) or "\0" in parent or len(parent) > _MAX_ID_LENGTH:
            break
        if relation.get("rel_type") == "m.thread":
            return parent or MAIN_THREAD
        known = await relative(parent)
        if known is None or known.room_id != event.room_id:
            break
        event = known
    return MAIN_THREAD
