"""Changes of the directory: aliases that clients make and take away, and rooms that they list."""

from __future__ import annotations

import logging

from ..api.constants import EventTypes, Membership
from ..api.errors import (
    ForbiddenError,
    InvalidParamError,
    MatrixError,
    NotFoundError,
    RoomInUseError,
)
from ..events.auth import PowerLevels
from ..events.event import Event, StateKey
from ..server import Homeserver
from ..storage.aliases import AliasesStore
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.public_rooms import PublicRoomsStore
from ..storage.rooms import RoomsWorkerStore
from ..types.ids import InvalidIdError, check_room_id
from ..types.requester import Requester
from ..util.json import JsonDict
from .directory import DirectoryReader
from .event_creation import EventCreationHandler
from .room_directory import RoomDirectory

logger = logging.getLogger(__name__)

_CANONICAL: StateKey = (EventTypes.CANONICAL_ALIAS, "")
_CREATE: StateKey = (EventTypes.CREATE, "")
_LEVELS: StateKey = (EventTypes.POWER_LEVELS, "")


class DirectoryHandler:
    """Changes the directory, in the master (client-server API, "Room aliases")."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(DirectoryReader)
        self._aliases = hs.part(AliasesStore)
        self._public_rooms = hs.part(PublicRoomsStore)
        self._rooms = hs.part(RoomsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._current_state = hs.part(CurrentStateWorkerStore)
        self._creation = hs.part(EventCreationHandler)
        self._entering = hs.part(RoomDirectory)

    async def create_alias(self, requester: Requester, alias: str, room_id: str) -> None:
        """Let a new alias of this server lead to a room that the requester is in.

        Administrators of the server need not be in it. Raises InvalidParamError, ForbiddenError,
        NotFoundError for an unknown room, and a MatrixError of 409 if the alias is taken.
        """
        self._check_local(alias)
        _check_room_id(room_id)
        if not requester.is_admin and not await self._is_joined(requester.user_id, room_id):
            raise ForbiddenError("You must be in the room to give it an alias")
        await self._rooms.get_room(room_id)
        try:
            async with self._entering.aliased(alias, room_id, requester.user_id):
                pass
        except RoomInUseError as error:
            raise MatrixError(error.message, status=409) from error

    async def delete_alias(self, requester: Requester, alias: str) -> None:
        """Take an alias away, and out of the room's canonical alias if the requester may do that.

        Whoever made it may, an administrator of the server, and who may set the canonical alias.
        Raises InvalidParamError, NotFoundError, ForbiddenError.
        """
        self._check_local(alias)
        found = await self._aliases.get_alias(alias)
        if found is None:
            raise NotFoundError(f"The alias {alias} leads to no room")
        is_owner = requester.is_admin or requester.user_id == found.creator
        if not is_owner and not await self._may_name(requester.user_id, found.room_id):
            raise ForbiddenError("You may not delete this alias")
        if await self._aliases.delete_alias(alias) is None:
            raise NotFoundError(f"The alias {alias} leads to no room")
        await self._withdraw(requester, alias, found.room_id)

    async def list_room(self, requester: Requester, room_id: str, *, listed: bool) -> None:
        """Put a room on the public list, or take it off.

        For administrators of the server and for who may set the room's canonical alias. Raises
        NotFoundError for an unknown room, ForbiddenError.
        """
        await self._rooms.get_room(room_id)
        if not requester.is_admin and not await self._may_name(requester.user_id, room_id):
            raise ForbiddenError("You may not change how this room is listed")
        await self._public_rooms.set_published(room_id, listed)

    def _check_local(self, alias: str) -> None:
        if not self._reader.is_local(alias):
            raise InvalidParamError("Only aliases of this server can be changed here")

    async def _is_joined(self, user_id: str, room_id: str) -> bool:
        membership, _ = await self._memberships.get_membership(user_id, room_id)
        return membership == Membership.JOIN

    async def _may_name(self, user_id: str, room_id: str) -> bool:
        """Whether the user is in the room and may set its canonical alias."""
        if not await self._is_joined(user_id, room_id):
            return False
        state = await self._current_state.get_current_state_events(room_id, keys=(_CREATE, _LEVELS))
        levels = PowerLevels.of_state(state, await self._rooms.get_room_version(room_id))
        needed = levels.required(EventTypes.CANONICAL_ALIAS, is_state=True)
        return levels.of_user(user_id) >= needed

    async def _withdraw(self, requester: Requester, alias: str, room_id: str) -> None:
        """Take a deleted alias out of m.room.canonical_alias, if the requester may."""
        event = await self._current_state.get_current_state_event(room_id, *_CANONICAL)
        content = None if event is None else _without(event, alias)
        if content is None or not await self._may_name(requester.user_id, room_id):
            return
        try:
            await self._creation.create_and_send(
                requester, room_id, EventTypes.CANONICAL_ALIAS, content, state_key=""
            )
        except MatrixError as error:
            # The alias is gone, which is what was asked for.
            logger.info("Canonical alias of %s stays as it is: %s", room_id, error)


def _check_room_id(room_id: str) -> None:
    try:
        check_room_id(room_id)
    except InvalidIdError as error:
        raise InvalidParamError(str(error)) from error


def _without(event: Event, alias: str) -> JsonDict | None:
    """The content of m.room.canonical_alias without an alias; None if that is not in it."""
    content = dict(event.content)
    if content.get("alias") == alias:
        del content["alias"]
    alternatives = content.get("alt_aliases")
    if isinstance(alternatives, list) and alias in alternatives:
        content["alt_aliases"] = [other for other in alternatives if other != alias]
    return None if content == event.content else content
