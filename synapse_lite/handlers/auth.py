"""Who makes a request: access tokens, and accounts that are locked or gone."""

from __future__ import annotations

from ..api.errors import (
    GuestAccessForbiddenError,
    MissingTokenError,
    NotFoundError,
    UnknownTokenError,
)
from ..http.authenticator import Authenticator
from ..http.request import Request
from ..replication.token_confirmation import TokenConfirmation
from ..server import Homeserver
from ..storage.access_tokens import AccessToken, AccessTokensWorkerStore, hash_token
from ..storage.registration import RegistrationWorkerStore
from ..types.requester import Requester
from .access_tokens import MAX_TOKEN_LENGTH, may_be_access_token
from .account_state import check_usable
from .client_ips import ClientIps


class AccountAuthenticator(Authenticator):
    """Answers from two caches: the token, and the account that it belongs to."""

    def __init__(self, hs: Homeserver) -> None:
        self._tokens = hs.part(AccessTokensWorkerStore)
        self._users = hs.part(RegistrationWorkerStore)
        self._client_ips = hs.part(ClientIps)
        self._confirmation = hs.part(TokenConfirmation)
        self._clock = hs.clock

    async def authenticate(
        self, request: Request, *, allow_guest: bool, required: bool
    ) -> Requester | None:
        """See Authenticator."""
        token = request.access_token
        if token is None:
            if required:
                raise MissingTokenError("Missing access token")
            return None
        requester = await self._requester(request, token, allow_locked=False)
        if requester.is_guest and not allow_guest:
            raise GuestAccessForbiddenError("Guests may not do this")
        return requester

    async def even_locked(self, request: Request) -> Requester:
        """As `user`, for what a locked account may still do: log out (section "Account locking").

        Raises MissingTokenError, UnknownTokenError, UserDeactivatedError and, as guests may not
        log out, GuestAccessForbiddenError.
        """
        token = request.access_token
        if token is None:
            raise MissingTokenError("Missing access token")
        requester = await self._requester(request, token, allow_locked=True)
        if requester.is_guest:
            raise GuestAccessForbiddenError("Guests may not do this")
        return requester

    async def _requester(self, request: Request, text: str, *, allow_locked: bool) -> Requester:
        token = await self._find(text)
        if token.expires_ts is not None and token.expires_ts <= self._clock.time_ms():
            raise UnknownTokenError("The access token has expired", soft_logout=True)
        user = await self._users.get_user(token.user_id)
        if user is None:
            raise UnknownTokenError
        check_usable(user, allow_locked=allow_locked)
        if token.unconfirmed and token.refresh_token_id is not None:
            await self._confirmation.confirm(token.refresh_token_id)
        self._client_ips.note(token, request.client_ip, request.user_agent)
        return Requester(
            user_id=token.user_id,
            device_id=token.device_id,
            access_token_id=token.token_id,
            is_guest=user.is_guest,
            is_admin=user.is_admin,
            is_suspended=user.is_suspended,
        )

    async def _find(self, text: str) -> AccessToken:
        if len(text) > MAX_TOKEN_LENGTH or not may_be_access_token(text):
            raise UnknownTokenError
        try:
            return await self._tokens.get_access_token(hash_token(text))
        except NotFoundError:
            raise UnknownTokenError from None
