"""Names of new rooms: their alias, and their place in the public list."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from ..api.errors import RoomInUseError
from ..server import Homeserver
from ..storage.aliases import AliasesStore
from ..storage.errors import ConflictError
from ..storage.public_rooms import PublicRoomsStore
from ..storage.rooms import RoomsWorkerStore
from ..util.async_helpers import Linearizer


class RoomDirectory:
    """Enters rooms that are being created, in the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._aliases = hs.part(AliasesStore)
        self._public_rooms = hs.part(PublicRoomsStore)
        self._rooms = hs.part(RoomsWorkerStore)
        self._server_name = hs.name
        self._entering = Linearizer("room_aliases", clock=hs.clock)

    async def check_free(self, alias: str) -> None:
        """Raise RoomInUseError if an alias of this server leads to a room."""
        room_id = await self._aliases.get_room_id_of_alias(alias)
        if room_id is not None and await self._rooms.has_room(room_id):
            raise RoomInUseError(f"The alias {alias} is taken")

    @contextlib.asynccontextmanager
    async def aliased(self, alias: str | None, room_id: str, creator: str) -> AsyncIterator[None]:
        """Let the alias, if there is one, lead to the room that the body makes.

        If the body fails, the alias is free again; one whose room does not exist was left by a
        crash, and is taken. Raises RoomInUseError.
        """
        if alias is None:
            yield
            return
        # One at a time, as the alias of a room that is being made looks like one left behind.
        async with self._entering.queue(alias):
            await self._create_alias(alias, room_id, creator)
            try:
                yield
            except BaseException:
                # A commit may have taken effect although the connection broke over it.
                if not await self._rooms.has_room(room_id):
                    await self._aliases.delete_alias(alias)
                raise

    async def _create_alias(self, alias: str, room_id: str, creator: str) -> None:
        await self.check_free(alias)
        await self._aliases.delete_alias(alias)
        try:
            await self._aliases.create_alias(alias, room_id, [self._server_name], creator)
        except ConflictError as error:
            raise RoomInUseError(f"The alias {alias} is taken") from error

    @contextlib.asynccontextmanager
    async def published(self, wanted: bool, room_id: str) -> AsyncIterator[None]:
        """Put the room that the body makes on the public list, if that is wanted.

        Before it is there: a crash must not leave a room that its maker looks for in vain. If the
        body fails it is taken off; a room that does not exist is not shown in any case.
        """
        if not wanted:
            yield
            return
        await self._public_rooms.set_published(room_id, True)
        try:
            yield
        except BaseException:
            # A commit may have taken effect although the connection broke over it.
            if not await self._rooms.has_room(room_id):
                await self._public_rooms.set_published(room_id, False)
            raise
