"""What the master tells its workers: `STREAMS`, the one list of all streams."""

from __future__ import annotations

from ._base import (
    EPOCH_SHIFT,
    LIVE,
    Counter,
    Live,
    Query,
    RowError,
    Stream,
    Table,
    Wakes,
    row,
    streams_of,
)
from .account_data import (
    ACCOUNT_DATA,
    PUSH_RULES,
    TAG_ACCOUNT_DATA,
    AccountDataRow,
    PushRuleRow,
    TagRow,
)
from .caches import CACHES, CacheRow
from .events import BACKFILL, CURRENT_STATE_DELTAS, EVENTS, CurrentStateDeltaRow, EventRow
from .presence import PRESENCE, PresenceRow
from .receipts import RECEIPTS, TYPING, ReceiptRow, TypingRow
from .rooms import PUBLIC_ROOMS, PublicRoomRow

# The order in which rows of one commit go out: what events rely on comes before them.
STREAMS: tuple[Stream, ...] = (
    CACHES,
    CURRENT_STATE_DELTAS,
    EVENTS,
    BACKFILL,
    RECEIPTS,
    TYPING,
    PRESENCE,
    ACCOUNT_DATA,
    TAG_ACCOUNT_DATA,
    PUSH_RULES,
    PUBLIC_ROOMS,
)

_BY_NAME = {stream.name: stream for stream in STREAMS}


def stream_named(name: str) -> Stream | None:
    """The stream of that name, if there is one."""
    return _BY_NAME.get(name)


__all__ = [
    "ACCOUNT_DATA",
    "BACKFILL",
    "CACHES",
    "CURRENT_STATE_DELTAS",
    "EPOCH_SHIFT",
    "EVENTS",
    "LIVE",
    "PRESENCE",
    "PUBLIC_ROOMS",
    "PUSH_RULES",
    "RECEIPTS",
    "STREAMS",
    "TAG_ACCOUNT_DATA",
    "TYPING",
    "AccountDataRow",
    "CacheRow",
    "Counter",
    "CurrentStateDeltaRow",
    "EventRow",
    "Live",
    "PresenceRow",
    "PublicRoomRow",
    "PushRuleRow",
    "Query",
    "ReceiptRow",
    "RowError",
    "Stream",
    "Table",
    "TagRow",
    "TypingRow",
    "Wakes",
    "row",
    "stream_named",
    "streams_of",
]
