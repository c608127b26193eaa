"""Tokens that are good for minutes: those that log somebody in once, and those of OpenID."""

from __future__ import annotations

from ._base import BaseStore, MasterStore
from .transaction import Transaction


class LoginTokensStore(MasterStore):
    """Tokens of `m.login.token`, on the master only."""

    async def add_login_token(self, user_id: str, token_hash: str, expires_ts: int) -> None:
        """Store a token. `expires_ts` is in ms."""
        await self.db.run(
            "add_login_token",
            lambda txn: txn.insert(
                "login_tokens", token_hash=token_hash, user_id=user_id, expires_ts=expires_ts
            ),
        )

    async def get_user_of_login_token(self, token_hash: str) -> str | None:
        """Whom the token would log in now."""
        row = await self.db.read(
            "get_user_of_login_token",
            lambda txn: txn.query_one(
                "SELECT user_id FROM login_tokens WHERE token_hash = ? AND expires_ts > ?",
                (token_hash, self.clock.time_ms()),
            ),
        )
        return None if row is None else row[0]

    def _use_login_token_txn(self, txn: Transaction, user_id: str, token_hash: str) -> bool:
        """Use a token up. Returns False if somebody was faster."""
        txn.execute(
            "DELETE FROM login_tokens WHERE token_hash = ? AND user_id = ? AND expires_ts > ?",
            (token_hash, user_id, self.clock.time_ms()),
        )
        return txn.rowcount > 0

    def _delete_login_tokens_of_user_txn(self, txn: Transaction, user_id: str) -> None:
        txn.delete("login_tokens", user_id=user_id)


class OpenIdTokensWorkerStore(BaseStore):
    """Reads of OpenID tokens, in any process."""

    async def get_user_of_openid_token(self, token_hash: str) -> str | None:
        """Whose token it is, as long as it has not expired."""
        row = await self.db.read(
            "get_user_of_openid_token",
            lambda txn: txn.query_one(
                "SELECT user_id FROM openid_tokens WHERE token_hash = ? AND expires_ts > ?",
                (token_hash, self.clock.time_ms()),
            ),
        )
        return None if row is None else row[0]


class OpenIdTokensStore(OpenIdTokensWorkerStore, MasterStore):
    """Writes of OpenID tokens."""

    async def add_openid_token(self, user_id: str, token_hash: str, expires_ts: int) -> None:
        """Store a token. `expires_ts` is in ms."""
        await self.db.run(
            "add_openid_token",
            lambda txn: txn.insert(
                "openid_tokens", token_hash=token_hash, user_id=user_id, expires_ts=expires_ts
            ),
        )

    def _delete_openid_tokens_of_user_txn(self, txn: Transaction, user_id: str) -> None:
        txn.delete("openid_tokens", user_id=user_id)

    async def forget_expired_short_tokens(self) -> None:
        """Delete login tokens and OpenID tokens that have expired."""
        await self.db.run_relaxed("forget_expired_short_tokens", self._forget_expired_txn)

    def _forget_expired_txn(self, txn: Transaction) -> None:
        for table in ("login_tokens", "openid_tokens"):
            txn.execute(f"DELETE FROM {table} WHERE expires_ts <= ?", (self.clock.time_ms(),))
