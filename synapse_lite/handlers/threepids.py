"""Email addresses and phone numbers of accounts, on a server that cannot confirm any itself.

No mail and no text message is sent, and no identity server is trusted. So what would need one of
them is refused with the error that says so; what is in the database is shown, deleted, and good
for logging in.
"""

from __future__ import annotations

import enum

import attrs

from ..api.errors import (
    MatrixError,
    ServerNotTrustedError,
    ThreepidAuthFailedError,
    ThreepidDeniedError,
    ThreepidInUseError,
    ThreepidMediumNotSupportedError,
    ThreepidNotFoundError,
)
from ..server import Homeserver
from ..storage.threepids import ThreepidsStore
from ..types.threepids import Threepid
from ..util.json import JsonDict

NO_SUPPORT: JsonDict = {"id_server_unbind_result": "no-support"}
"""The answer where no identity server was told, because it is not known which one to tell."""


class Purpose(enum.Enum):
    """What an address is to be confirmed for."""

    REGISTER = "register"
    ADD = "add"
    RESET_PASSWORD = "reset password"


@attrs.frozen
class TokenRequest:
    """A request to confirm an address; `threepid` is None for one that no account can have."""

    purpose: Purpose
    threepid: Threepid | None
    id_server: str | None


class ThreepidHandler:
    """Third-party identifiers, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(ThreepidsStore)

    async def list(self, user_id: str) -> list[JsonDict]:
        """The identifiers of a user, as clients get them."""
        return [
            {
                "medium": found.threepid.medium,
                "address": found.threepid.address,
                "validated_at": found.validated_ts,
                "added_at": found.added_ts,
            }
            for found in await self._store.get_threepids(user_id)
        ]

    async def delete(self, user_id: str, threepid: Threepid) -> JsonDict:
        """Take an identifier from the account; nothing happens if it does not have it."""
        await self._store.delete_threepid(user_id, threepid)
        return NO_SUPPORT

    async def request_token(self, request: TokenRequest) -> None:
        """Raises what the client must know: no address can be confirmed here.

        Whether an account has the address is told only where the specification demands it.
        """
        owner = None
        if request.threepid is not None:
            owner = await self._store.get_user_of_threepid(request.threepid)
        if request.purpose is Purpose.ADD and owner is not None:
            raise ThreepidInUseError("The address belongs to an account")
        if request.purpose is Purpose.RESET_PASSWORD and owner is None:
            raise ThreepidNotFoundError("No account has this address")
        if request.id_server is not None:
            raise ServerNotTrustedError("This server trusts no identity server")
        if request.purpose is Purpose.ADD:
            raise ThreepidMediumNotSupportedError("This server confirms no such addresses")
        raise ThreepidDeniedError("This server confirms no addresses")

    def refuse_session(self, id_server: str | None) -> MatrixError:
        """Why a session in which an address was confirmed is not accepted."""
        if id_server is not None:
            return ServerNotTrustedError("This server trusts no identity server")
        return ThreepidAuthFailedError("There is no such session of confirming an address")
