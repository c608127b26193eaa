"""Profiles: reading, and changing one's own (client-server API, "Profiles")."""

from __future__ import annotations

import re

from ..api.errors import (
    BadJsonError,
    ForbiddenError,
    GuestAccessForbiddenError,
    InvalidParamError,
    MatrixError,
    NotFoundError,
)
from ..server import Homeserver
from ..storage.account_tasks import TaskName
from ..storage.profile import Profile, ProfileStore, ProfileTooLargeError, ProfileWorkerStore
from ..types.ids import is_user_id
from ..types.requester import Requester
from ..util.json import JsonValue
from .account_tasks import AccountTasks
from .suspension import check_not_suspended

DISPLAYNAME = "displayname"
AVATAR_URL = "avatar_url"
TIME_ZONE = "m.tz"

MAX_DISPLAYNAME_LENGTH = 256
MAX_AVATAR_URL_LENGTH = 1000
MAX_KEY_BYTES = 255

_KEY = re.compile(r"[a-z][a-z0-9_.-]*\Z")
_MAX_TEXT = {DISPLAYNAME: MAX_DISPLAYNAME_LENGTH, AVATAR_URL: MAX_AVATAR_URL_LENGTH, TIME_ZONE: 100}


class ProfileReader:
    """Profiles as anybody may read them, in any process."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(ProfileWorkerStore)
        self._is_mine = hs.is_mine

    async def get_profile(self, user_id: str) -> Profile:
        """The profile of a user. Raises InvalidParamError and NotFoundError."""
        if not is_user_id(user_id):
            raise InvalidParamError("This is not a user id")
        profile = await self._store.get_profile(user_id) if self._is_mine(user_id) else None
        if profile is None:
            raise NotFoundError("Profile not found")
        return profile


class ProfileHandler:
    """Changes of one's own profile, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(ProfileStore)
        self._tasks = hs.part(AccountTasks)

    async def set_field(
        self, requester: Requester, user_id: str, key: str, value: JsonValue
    ) -> None:
        """Set a field. Name and picture also reach the user's rooms, in the background.

        An empty name or picture is deleted. Raises ForbiddenError for other users,
        InvalidParamError, BadJsonError, and M_KEY_TOO_LARGE, M_PROFILE_TOO_LARGE.
        """
        _check_owner(requester, user_id, key)
        check_key(key)
        present = True
        if key in _MAX_TEXT:
            present = _is_text(key, value)
        await self._write(user_id, key, value, present=present)

    async def delete_field(self, requester: Requester, user_id: str, key: str) -> None:
        """Delete a field, if it is there. Raises as `set_field`."""
        _check_owner(requester, user_id, key)
        check_key(key)
        await self._write(user_id, key, None, present=False)

    async def _write(self, user_id: str, key: str, value: JsonValue, *, present: bool) -> None:
        try:
            changed = await self._store.set_profile_field(user_id, key, value, present=present)
        except ProfileTooLargeError:
            raise MatrixError(
                "The profile would be larger than 64 KiB", status=400, errcode="M_PROFILE_TOO_LARGE"
            ) from None
        if changed and key in (DISPLAYNAME, AVATAR_URL):
            self._tasks.begin(user_id, TaskName.PROFILE)


def check_key(key: str) -> None:
    """Raise an error unless a profile may have a field of this name."""
    if len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES:
        raise MatrixError("The key is too long", status=400, errcode="M_KEY_TOO_LARGE")
    if _KEY.match(key) is None:
        raise InvalidParamError("The key is not a namespaced identifier")


def _check_owner(requester: Requester, user_id: str, key: str) -> None:
    if requester.user_id != user_id:
        raise ForbiddenError("The profile of another user cannot be changed")
    check_not_suspended(requester)
    if requester.is_guest and key != DISPLAYNAME:
        raise GuestAccessForbiddenError("Guests may change their display name only")


def _is_text(key: str, value: JsonValue) -> bool:
    """Check the value of a field that is text. Returns whether there is any text."""
    if value is None:
        return False
    if not isinstance(value, str):
        raise BadJsonError(f"{key} must be a string")
    if len(value) > _MAX_TEXT[key]:
        raise InvalidParamError(f"{key} must have at most {_MAX_TEXT[key]} characters")
    if "\0" in value:
        raise InvalidParamError(f"{key} must not hold NUL characters")
    if value and key == AVATAR_URL and not value.startswith("mxc://"):
        raise InvalidParamError("avatar_url must be an mxc:// URI")
    return value != ""
