"""Which rooms are on the public list of this server."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

from ..streams import PUBLIC_ROOMS, PublicRoomRow, Stream
from ..util.caches.cached import cached
from ._base import BaseStore, MasterStore
from .transaction import Transaction


class PublicRoomsWorkerStore(BaseStore):
    """Reads of the public list, in any process."""

    streams: ClassVar[tuple[Stream, ...]] = (PUBLIC_ROOMS,)

    @cached(max_entries=1)
    async def get_public_room_ids(self) -> AbstractSet[str]:
        """The rooms on the public list of this server."""
        rows = await self.db.read(
            "get_public_room_ids", lambda txn: txn.select("public_rooms", ("room_id",))
        )
        return frozenset(room_id for (room_id,) in rows)

    async def is_published(self, room_id: str) -> bool:
        """Whether a room is on the public list."""
        return room_id in await self.get_public_room_ids()

    async def get_public_room_rows(
        self, low: int, high: int, limit: int
    ) -> list[tuple[int, PublicRoomRow]]:
        """Rows of the stream `public_rooms` with low < token <= high."""
        rows = await self.db.read(
            "get_public_room_rows",
            lambda txn: txn.query(
                "SELECT stream_id, room_id, visibility, appservice_id, network_id"
                " FROM public_room_list_stream WHERE stream_id > ? AND stream_id <= ?"
                " ORDER BY stream_id LIMIT ?",
                (low, high, limit),
            ),
        )
        return [
            (token, PublicRoomRow(room_id, bool(visibility), appservice_id, network_id))
            for token, room_id, visibility, appservice_id, network_id in rows
        ]


class PublicRoomsStore(PublicRoomsWorkerStore, MasterStore):
    """Writes of the public list."""

    async def set_published(self, room_id: str, published: bool) -> bool:
        """Put a room on the public list, or take it off. Returns False if nothing changed."""
        async with self.writing(PUBLIC_ROOMS) as token:
            return await self.db.run(
                "set_published", self._set_published_txn, token, room_id, published
            )

    @staticmethod
    def _set_published_txn(txn: Transaction, token: int, room_id: str, published: bool) -> bool:
        if published:
            changed = txn.insert_ignore("public_rooms", room_id=room_id)
        else:
            changed = txn.delete("public_rooms", room_id=room_id) > 0
        if changed:
            txn.insert(
                "public_room_list_stream", stream_id=token, room_id=room_id, visibility=published
            )
            txn.changed(PUBLIC_ROOMS, token, PublicRoomRow(room_id, published, None, None))
        return changed
