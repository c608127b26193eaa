"""Access tokens: whom they stand for. Tokens themselves are never here, only their hashes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection

import attrs

from ..api.errors import NotFoundError
from ..util.caches.cached import cached
from ._base import BaseStore, MasterStore
from .transaction import Transaction

_MAX_NAMED = 500
"""Stale tokens that are announced one by one; beyond that the whole cache is dropped."""

_ID_BITS = 53
"""Ids of tokens are random, so that no counter is needed, and fit JSON numbers."""


def new_token_id() -> int:
    """An id for a token."""
    return secrets.randbits(_ID_BITS)


def hash_token(token: str) -> str:
    """The form in which a token is stored and looked up. Tokens are random: no salt is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@attrs.frozen
class AccessToken:
    """What a token stands for; `expires_ts` is in ms, None if it does not expire.

    `refresh_token_id` names the refresh token that came with it. That one is `unconfirmed` until
    either of the two is used, which revokes those that they replace.
    """

    token_id: int
    user_id: str
    device_id: str | None
    expires_ts: int | None
    refresh_token_id: int | None = None
    unconfirmed: bool = attrs.field(default=False, converter=bool)


class AccessTokensWorkerStore(BaseStore):
    """Looks up tokens, in any process."""

    @cached(max_entries=50_000)
    async def get_access_token(self, token_hash: str) -> AccessToken:
        """The token with this hash. Raises NotFoundError, which is not kept.

        Whoever invents tokens pays for each with a query, and fills no cache.
        """
        row = await self.db.read(
            "get_access_token",
            lambda txn: txn.query_one(
                "SELECT access.token_id, access.user_id, access.device_id, access.expires_ts,"
                " access.refresh_token_id, refresh.replaces IS NOT NULL"
                " FROM access_tokens AS access"
                " LEFT JOIN refresh_tokens AS refresh ON refresh.token_id = access.refresh_token_id"
                " WHERE access.token_hash = ?",
                (token_hash,),
            ),
        )
        if row is None:
            raise NotFoundError("No such access token")
        return AccessToken(*row)


class AccessTokensStore(AccessTokensWorkerStore, MasterStore):
    """Hands out and takes back tokens."""

    async def add_access_token(
        self,
        user_id: str,
        token: str,
        *,
        device_id: str | None = None,
        expires_ts: int | None = None,
    ) -> int:
        """Store a token that belongs to no device of its own. Returns its id."""
        return await self.db.run(
            "add_access_token", self._insert_access_token_txn, user_id, token, device_id, expires_ts
        )

    def _insert_access_token_txn(
        self,
        txn: Transaction,
        user_id: str,
        token: str,
        device_id: str | None,
        expires_ts: int | None = None,
        refresh_token_id: int | None = None,
    ) -> int:
        token_id = new_token_id()
        txn.insert(
            "access_tokens",
            token_id=token_id,
            token_hash=hash_token(token),
            user_id=user_id,
            device_id=device_id,
            created_ts=self.clock.time_ms(),
            expires_ts=expires_ts,
            refresh_token_id=refresh_token_id,
        )
        # Not put into the cache: of two database threads, the one that has deleted the token
        # already may be the first to have its effects done.
        return token_id

    async def delete_access_token(self, token_id: int) -> None:
        """Make one token invalid, in every process."""
        await self.db.run(
            "delete_access_token", self._delete_tokens_where_txn, "token_id = ?", [token_id]
        )

    def _delete_tokens_of_devices_txn(
        self, txn: Transaction, user_id: str, device_ids: Collection[str]
    ) -> None:
        clause, args = txn.in_clause("device_id", device_ids)
        self._delete_tokens_where_txn(txn, f"user_id = ? AND {clause}", [user_id, *args])

    def _delete_tokens_of_user_txn(
        self, txn: Transaction, user_id: str, except_token_id: int | None = None
    ) -> None:
        # Ids are never negative.
        kept = -1 if except_token_id is None else except_token_id
        self._delete_tokens_where_txn(txn, "user_id = ? AND token_id <> ?", [user_id, kept])

    def _delete_tokens_where_txn(
        self, txn: Transaction, condition: str, args: list[str | int]
    ) -> None:
        if self._forget_tokens_where_txn(txn, condition, args):
            txn.execute(f"DELETE FROM access_tokens WHERE {condition}", args)

    def _expire_tokens_of_refresh_tokens_txn(
        self, txn: Transaction, refresh_token_ids: Collection[int]
    ) -> None:
        """End access tokens before their time, as those that have been superseded.

        They stay for a while, so that a request that was under way is told to refresh and not that
        the session is gone.
        """
        clause, args = txn.in_clause("refresh_token_id", refresh_token_ids)
        now = self.clock.time_ms()
        if self._forget_tokens_where_txn(txn, clause, args):
            txn.execute(
                "UPDATE access_tokens SET is_superseded = TRUE, expires_ts ="
                " CASE WHEN expires_ts <= ? THEN expires_ts ELSE ? END"
                f" WHERE {clause}",
                [now, now, *args],
            )

    def _forget_tokens_where_txn(
        self, txn: Transaction, condition: str, args: list[str | int] | list[int]
    ) -> bool:
        """Have all processes read tokens anew. Returns whether there are any."""
        found = txn.query(f"SELECT token_hash FROM access_tokens WHERE {condition}", args)
        if len(found) > _MAX_NAMED:
            txn.invalidate(self.get_access_token, None)
            return True
        for (token_hash,) in found:
            txn.invalidate(self.get_access_token, (token_hash,))
        return bool(found)
