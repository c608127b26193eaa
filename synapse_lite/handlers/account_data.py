"""Account data and tags (client-server API, "Client Config" and "Room Tagging").

What the server keeps itself under the name of account data can be read here and not be written.
"""

from __future__ import annotations

from ..api.constants import AccountDataTypes
from ..api.errors import (
    BadJsonError,
    ForbiddenError,
    InvalidParamError,
    NotFoundError,
    TooLargeError,
)
from ..server import Homeserver
from ..storage.account_data import (
    AccountDataStore,
    AccountDataWorkerStore,
    TooMuchAccountDataError,
)
from ..storage.tags import TagsStore, TagsWorkerStore
from ..types.ids import InvalidIdError, check_room_id
from ..types.requester import Requester
from ..util.async_helpers import Linearizer
from ..util.json import JsonDict
from .push_rules import PushRulesHandler

MAX_NAME_BYTES = 255
"""Longest type of account data, and longest tag."""

MAX_TYPES = 10_000
"""How many types of global account data a user may have."""

MAX_ROOM_TYPES = 50_000
"""How many types of account data a user may have in all rooms together."""

MAX_TAGS = 100
"""How many tags a room may have for a user."""

_KEPT_BY_SERVER = (AccountDataTypes.FULLY_READ, AccountDataTypes.PUSH_RULES)


class AccountDataHandler:
    """Answers what a user keeps, in any process. Everything is for the owner only."""

    def __init__(self, hs: Homeserver) -> None:
        self._account_data = hs.part(AccountDataWorkerStore)
        self._tags = hs.part(TagsWorkerStore)
        self._push_rules = hs.part(PushRulesHandler)

    async def get(self, requester: Requester, user_id: str, data_type: str) -> JsonDict:
        """Global account data of a type. Raises ForbiddenError and NotFoundError."""
        _check_owner(requester, user_id)
        if data_type == AccountDataTypes.PUSH_RULES:
            return await self._push_rules.rules_for(user_id)
        content = await self._account_data.get_global_account_data_by_type(user_id, data_type)
        if content is None:
            raise NotFoundError("There is no account data of this type")
        return content

    async def get_of_room(
        self, requester: Requester, user_id: str, room_id: str, data_type: str
    ) -> JsonDict:
        """Account data of a room. Raises ForbiddenError, InvalidParamError and NotFoundError."""
        _check_owner(requester, user_id)
        _check_room_id(room_id)
        if data_type == AccountDataTypes.TAG:
            tags = await self._tags_of(user_id, room_id)
            content = {"tags": tags} if tags else None
        else:
            content = await self._account_data.get_room_account_data_by_type(
                user_id, room_id, data_type
            )
        if content is None:
            raise NotFoundError("There is no account data of this type in the room")
        return content

    async def tags(self, requester: Requester, user_id: str, room_id: str) -> JsonDict:
        """The tags of a room. Raises ForbiddenError and InvalidParamError."""
        _check_owner(requester, user_id)
        _check_room_id(room_id)
        return {"tags": await self._tags_of(user_id, room_id)}

    async def _tags_of(self, user_id: str, room_id: str) -> JsonDict:
        rooms = await self._tags.get_tags_for_user(user_id)
        return dict(rooms.get(room_id, {}))


class AccountDataChanges:
    """Changes of account data and tags, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._account_data = hs.part(AccountDataStore)
        self._tags = hs.part(TagsStore)
        self._tagging = Linearizer("tags", clock=hs.clock)

    async def put(
        self, requester: Requester, user_id: str, data_type: str, content: JsonDict
    ) -> None:
        """Set global account data.

        Raises ForbiddenError, InvalidParamError and BadJsonError; TooLargeError for a new type if
        the user has too many.
        """
        _check_owner(requester, user_id)
        _check_type(data_type, _KEPT_BY_SERVER)
        await self._set(user_id, None, data_type, content, MAX_TYPES)

    async def put_of_room(
        self,
        requester: Requester,
        user_id: str,
        room_id: str,
        data_type: str,
        content: JsonDict,
    ) -> None:
        """Set account data of a room. Raises the same."""
        _check_owner(requester, user_id)
        _check_room_id(room_id)
        _check_type(data_type, (*_KEPT_BY_SERVER, AccountDataTypes.TAG))
        await self._set(user_id, room_id, data_type, content, MAX_ROOM_TYPES)

    async def _set(
        self, user_id: str, room_id: str | None, data_type: str, content: JsonDict, most: int
    ) -> None:
        try:
            await self._account_data.set_account_data(
                user_id, room_id, data_type, content, most=most
            )
        except TooMuchAccountDataError:
            raise TooLargeError(f"There are {most} types of account data already") from None

    async def put_tag(
        self, requester: Requester, user_id: str, room_id: str, tag: str, content: JsonDict
    ) -> None:
        """Put a tag on a room, or change it. Raises the same."""
        _check_owner(requester, user_id)
        _check_room_id(room_id)
        _check_name(tag, "A tag")
        order = content.get("order")
        if order is not None and (isinstance(order, bool) or not isinstance(order, int | float)):
            raise BadJsonError("order must be a number")
        async with self._tagging.queue((user_id, room_id)):
            tags = (await self._tags.get_tags_for_user(user_id)).get(room_id, {})
            if tag not in tags and len(tags) >= MAX_TAGS:
                raise InvalidParamError(f"A room must not have more than {MAX_TAGS} tags")
            await self._tags.set_tag(user_id, room_id, tag, content)

    async def remove_tag(self, requester: Requester, user_id: str, room_id: str, tag: str) -> None:
        """Take a tag off a room, if it is there. Raises ForbiddenError and InvalidParamError."""
        _check_owner(requester, user_id)
        _check_room_id(room_id)
        async with self._tagging.queue((user_id, room_id)):
            await self._tags.remove_tag(user_id, room_id, tag)


def _check_owner(requester: Requester, user_id: str) -> None:
    if user_id != requester.user_id:
        raise ForbiddenError("Account data is for its owner only")


def _check_room_id(room_id: str) -> None:
    try:
        check_room_id(room_id)
    except InvalidIdError as error:
        raise InvalidParamError(str(error)) from error


def _check_type(data_type: str, kept_by_server: tuple[str, ...]) -> None:
    _check_name(data_type, "A type of account data")
    if data_type in kept_by_server:
        raise BadJsonError(f"{data_type} cannot be set through this API", status=405)


def _check_name(name: str, what: str) -> None:
    if not name or len(name.encode()) > MAX_NAME_BYTES or "\0" in name:
        raise InvalidParamError(f"{what} has at most {MAX_NAME_BYTES} bytes")
