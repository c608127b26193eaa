"""The directory of this server: where aliases lead, and which rooms are listed."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..api.errors import InvalidParamError, MatrixError, NotFoundError
from ..server import Homeserver
from ..storage.aliases import AliasesWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.public_rooms import PublicRoomsWorkerStore
from ..storage.rooms import RoomsWorkerStore
from ..types.ids import InvalidIdError, parse_room_alias
from ..types.requester import Requester
from .visibility import EventVisibility

_MAX_SERVERS = 500
"""Most servers that are named for an alias: enough to join by any of them."""


@attrs.frozen
class ResolvedAlias:
    """Where an alias leads, and servers by which one can get there, this one first."""

    room_id: str
    servers: Sequence[str]


class DirectoryReader:
    """Looks things up (client-server API, "Room aliases", "Published room directory")."""

    def __init__(self, hs: Homeserver) -> None:
        self._aliases = hs.part(AliasesWorkerStore)
        self._public_rooms = hs.part(PublicRoomsWorkerStore)
        self._rooms = hs.part(RoomsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._visibility = hs.part(EventVisibility)
        self._server_name = hs.name

    async def resolve(self, alias: str) -> ResolvedAlias:
        """Where an alias leads.

        Raises InvalidParamError, NotFoundError; a MatrixError of 502 for an alias of a server
        that cannot be asked.
        """
        if not self.is_local(alias):
            raise MatrixError(f"The server of {alias} could not be asked", status=502)
        found = await self._aliases.get_alias(alias)
        # The alias of a room that is being created comes before the room.
        if found is None or not await self._rooms.has_room(found.room_id):
            raise NotFoundError(f"The alias {alias} leads to no room")
        hosts = set(await self._memberships.get_hosts_in_room(found.room_id))
        others = sorted((hosts | set(found.servers)) - {self._server_name})
        return ResolvedAlias(found.room_id, [self._server_name, *others][:_MAX_SERVERS])

    def is_local(self, alias: str) -> bool:
        """Whether an alias is one of this server. Raises InvalidParamError if it is none."""
        try:
            return parse_room_alias(alias).domain == self._server_name
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error

    async def aliases_of(self, requester: Requester, room_id: str) -> list[str]:
        """The aliases of this server for a room, for those who may read it now.

        Raises ForbiddenError; administrators of the server see all.
        """
        if not requester.is_admin:
            await self._visibility.check_readable(requester.user_id, room_id, allow_left=False)
        return list(await self._aliases.get_aliases_for_room(room_id))

    async def is_listed(self, room_id: str) -> bool:
        """Whether a room is on the public list. Raises NotFoundError for an unknown one."""
        await self._rooms.get_room(room_id)
        return await self._public_rooms.is_published(room_id)
