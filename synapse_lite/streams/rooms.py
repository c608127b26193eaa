"""The public room list."""

from __future__ import annotations

from ._base import Counter, Query, Stream, row


@row
class PublicRoomRow:
    """A room was put on, or taken from, a public room list."""

    room_id: str
    visibility: bool
    appservice_id: str | None
    network_id: str | None


PUBLIC_ROOMS = Stream(
    name="public_rooms",
    says="A room was put on or taken from the public room list.",
    row=PublicRoomRow,
    counter=Counter("public_rooms", "public_room_list_stream"),
    rows=Query("get_public_room_rows"),
    stale={"get_public_room_ids": ()},
)
