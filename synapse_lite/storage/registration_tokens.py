"""Tokens that let people register (client-server API, "Token-authenticated registration")."""

from __future__ import annotations

from ._base import MasterStore
from .errors import StoreError
from .transaction import Transaction

_USABLE = (
    "token = ? AND (uses_allowed IS NULL OR completed < uses_allowed)"
    " AND (expires_ts IS NULL OR expires_ts > ?)"
)


class UnusableTokenError(StoreError):
    """The registration token does not exist, has expired, or has been used up."""


class RegistrationTokensStore(MasterStore):
    """Registration tokens, on the master only."""

    async def add_registration_token(
        self, token: str, *, uses_allowed: int | None = None, expires_ts: int | None = None
    ) -> bool:
        """Make a token. `expires_ts` is in ms. Returns False if there is one of that name."""
        return await self.db.run(
            "add_registration_token",
            lambda txn: txn.insert_ignore(
                "registration_tokens",
                token=token,
                uses_allowed=uses_allowed,
                completed=0,
                expires_ts=expires_ts,
                created_ts=self.clock.time_ms(),
            ),
        )

    async def is_registration_token_usable(self, token: str) -> bool:
        """Whether somebody could register with the token now."""
        row = await self.db.read(
            "is_registration_token_usable",
            lambda txn: txn.query_one(
                f"SELECT 1 FROM registration_tokens WHERE {_USABLE}",
                (token, self.clock.time_ms()),
            ),
        )
        return row is not None

    def _use_registration_token_txn(self, txn: Transaction, token: str) -> None:
        """Count a registration. Raises UnusableTokenError, also when somebody was faster."""
        txn.execute(
            f"UPDATE registration_tokens SET completed = completed + 1 WHERE {_USABLE}",
            (token, self.clock.time_ms()),
        )
        if txn.rowcount == 0:
            raise UnusableTokenError(token)
