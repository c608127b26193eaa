"""Accounts of guests: made without asking, and turned into accounts of users."""

from __future__ import annotations

from ..api.errors import ForbiddenError, GuestAccessForbiddenError, NotFoundError
from ..server import Homeserver
from ..storage.access_tokens import AccessTokensWorkerStore, hash_token
from ..storage.devices import NewLogin
from ..storage.registration import NewUser, RegistrationStore, UserExistsError
from .access_tokens import may_be_access_token
from .registration import RegistrationHandler, made_up_name


class GuestHandler:
    """Makes guests, on the master (client-server API, "Guest Access")."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RegistrationStore)
        self._tokens = hs.part(AccessTokensWorkerStore)
        self._registration = hs.part(RegistrationHandler)
        self._is_enabled = hs.config.registration.allow_guest_access

    def check_enabled(self) -> None:
        """Raise GuestAccessForbiddenError where there are no guests."""
        if not self._is_enabled:
            raise GuestAccessForbiddenError("Guests are not let in by this server")

    async def register(self, login: NewLogin, client_ip: str) -> str:
        """Make a guest, who is logged in. Returns the user id. Raises LimitExceededError."""
        self.check_enabled()
        self._registration.count_registration(client_ip)
        username = made_up_name()
        user_id = await self._registration.check_username(username)
        new = NewUser(user_id, None, username, is_guest=True)
        try:
            await self._store.register_user(new, login)
        except UserExistsError:
            # The name was taken in this very moment, out of some 10^17.
            return await self.register(login, client_ip)
        return user_id

    async def localpart_of(self, token: str) -> str:
        """The name of the guest who has this access token. Raises ForbiddenError."""
        user = None
        if may_be_access_token(token):
            try:
                found = await self._tokens.get_access_token(hash_token(token))
                user = await self._store.get_user(found.user_id)
            except NotFoundError:
                user = None
        if user is None or not user.is_guest or user.is_deactivated or user.is_locked:
            raise ForbiddenError("guest_access_token is not the token of a guest")
        return user.user_id[1:].partition(":")[0]
