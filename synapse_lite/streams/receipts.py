"""Who has read what, and who is typing."""

from __future__ import annotations

from typing import Any

from ._base import LIVE, Counter, Stream, Table, row, wakes_room


@row
class ReceiptRow:
    """A receipt; `data` is its content, such as `{"ts": ms}`.

    `thread_id` is empty for a receipt of no thread. `event_stream_ordering` is the position of the
    event, 0 when it is not known.
    """

    room_id: str
    receipt_type: str
    user_id: str
    event_id: str
    data: dict[str, Any]
    thread_id: str = ""
    event_stream_ordering: int = 0


RECEIPTS = Stream(
    name="receipts",
    says="A user has read a room up to an event.",
    row=ReceiptRow,
    counter=Counter("receipts", "receipts"),
    rows=Table("receipts", json=("data",)),
    stale={
        "get_receipts_for_room": ("room_id",),
        "get_receipts_for_user": ("user_id",),
        "get_last_receipts_of_user_in_room": ("user_id", "room_id"),
    },
    changed={"receipts_changed": "room_id"},
    wakes=wakes_room("room_id"),
)


@row
class TypingRow:
    """All users who are typing in a room now."""

    room_id: str
    user_ids: list[str]


TYPING = Stream(
    name="typing",
    says="The users who are typing in a room have changed.",
    row=TypingRow,
    counter=Counter("typing"),
    rows=LIVE,
    changed={"typing_changed": "room_id"},
    wakes=wakes_room("room_id"),
)
