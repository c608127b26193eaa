"""Rooms: their versions and who created them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import attrs

from ..api.constants import EventTypes
from ..api.errors import NotFoundError
from ..events.event import Event
from ..events.room_versions import ROOM_VERSIONS, RoomVersion
from ..util.caches.cached import cached
from ._base import BaseStore, MasterStore
from ._persist_batch import RoomWrite
from .transaction import Transaction


@attrs.frozen
class StoredRoom:
    """A room whose create event is here; `created_ts` is in ms. Nothing of it ever changes."""

    room_id: str
    room_version: RoomVersion
    creator: str
    create_event_id: str
    created_ts: int


class RoomsWorkerStore(BaseStore):
    """Reads of rooms, in any process."""

    @cached(max_entries=50_000)
    async def get_room(self, room_id: str) -> StoredRoom:
        """A room that is known here. Raises NotFoundError, which is not kept.

        A row never changes, so nothing makes an entry stale.
        """
        row = await self.db.read(
            "get_room",
            lambda txn: txn.select_one(
                "rooms",
                ("room_version", "creator", "create_event_id", "created_ts"),
                room_id=room_id,
            ),
        )
        if row is None:
            raise NotFoundError("This server does not know the room")
        return StoredRoom(room_id, ROOM_VERSIONS[row[0]], *row[1:])

    async def get_room_version(self, room_id: str) -> RoomVersion:
        """The version of a room. Raises NotFoundError if the room is not known here."""
        return (await self.get_room(room_id)).room_version

    async def has_room(self, room_id: str) -> bool:
        """Whether the create event of a room is here."""
        try:
            await self.get_room(room_id)
        except NotFoundError:
            return False
        return True


class RoomsStore(RoomsWorkerStore, MasterStore):
    """Writes of rooms: with their create events."""

    persist_steps: ClassVar[tuple[str, ...]] = ("_insert_rooms_txn",)

    def _insert_rooms_txn(self, txn: Transaction, rooms: Sequence[RoomWrite]) -> None:
        """A step of the transaction that persists events."""
        created = [
            write
            for room in rooms
            for write in room.events
            if write.event.state_key == ""
            and write.event.type == EventTypes.CREATE
            and write.event.metadata.rejected_reason is None
        ]
        stored = [_stored_room(write.event) for write in created]
        txn.insert_many(
            "rooms",
            ("room_id", "room_version", "creator", "create_event_id", "created_ts"),
            [
                (
                    room.room_id,
                    room.room_version.identifier,
                    room.creator,
                    room.create_event_id,
                    room.created_ts,
                )
                for room in stored
            ],
            ignore_conflicts=True,
        )
        for write, room in zip(created, stored, strict=True):
            # Another server may make a second create event for a room that is here.
            if write.is_local:
                txn.call_after(self.get_room.prefill, (room.room_id,), room)


def _stored_room(create: Event) -> StoredRoom:
    return StoredRoom(
        create.room_id,
        create.room_version,
        create.sender,
        create.event_id,
        create.origin_server_ts,
    )
