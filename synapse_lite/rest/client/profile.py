"""Profiles (client-server API, "Profiles")."""

from __future__ import annotations

from ...api.errors import MissingTokenError, NotFoundError
from ...api.urls import CLIENT
from ...handlers.profile import AVATAR_URL, DISPLAYNAME, ProfileHandler, ProfileReader
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import require
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


class _ReadsProfiles(Servlet):
    """What servlets that show profiles share."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._reader = hs.part(ProfileReader)
        self._needs_account = hs.config.server.require_auth_for_profile_requests

    async def profile(self, requester: Requester | None, user_id: str) -> JsonDict:
        """The profile as JSON. Raises MissingTokenError where only users may read it."""
        if requester is None and self._needs_account:
            raise MissingTokenError("Profiles are shown to users only")
        return (await self._reader.get_profile(user_id)).to_json()


@endpoint("GET", CLIENT, "/profile/{user_id}", served_by=("client_reader",), auth=Auth.OPTIONAL)
class Profile(_ReadsProfiles):
    """The whole profile of a user."""

    async def answer(self, request: Request, requester: Requester | None, user_id: str) -> JsonDict:
        return await self.profile(requester, user_id)


@endpoint(
    "GET",
    CLIENT,
    "/profile/{user_id}/{key_name}",
    served_by=("client_reader",),
    auth=Auth.OPTIONAL,
)
class ProfileField(_ReadsProfiles):
    """One field of a profile."""

    async def answer(
        self, request: Request, requester: Requester | None, user_id: str, key_name: str
    ) -> JsonDict:
        profile = await self.profile(requester, user_id)
        if key_name in profile:
            return {key_name: profile[key_name]}
        if key_name in (DISPLAYNAME, AVATAR_URL):
            return {}  # what clients expect of a user who has set none
        raise NotFoundError("The profile has no such field")


@endpoint("PUT DELETE", CLIENT, "/profile/{user_id}/{key_name}", auth=Auth.GUEST)
class ChangeProfileField(Servlet):
    """Set or delete a field of one's own profile; of a guest's the display name."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(ProfileHandler)

    async def put(
        self, request: Request, requester: Requester, user_id: str, key_name: str
    ) -> JsonDict:
        """Set it to the value under its name in the body."""
        value = require(request.json(), key_name)
        await self._handler.set_field(requester, user_id, key_name, value)
        return {}

    async def delete(
        self, request: Request, requester: Requester, user_id: str, key_name: str
    ) -> JsonDict:
        """Delete it."""
        await self._handler.delete_field(requester, user_id, key_name)
        return {}


SERVLETS: tuple[type[Servlet], ...] = (Profile, ProfileField, ChangeProfileField)
