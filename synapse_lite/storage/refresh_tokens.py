"""Refresh tokens: how sessions go on (client-server API, "Refreshing access tokens").

A refresh token has successors from when it is used, and is revoked when one of them, or an access
token that came with it, is used for the first time. Until then a client whose answer got lost may
use it again. What follows what is in the rows, so all of this holds over a crash.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from .access_tokens import AccessTokensStore, hash_token, new_token_id
from .transaction import Transaction

_MAX_SUCCESSORS = 3
"""Successors of one token that nobody has used yet: so many lost answers are made up for."""

SUPERSEDED_KEPT_MS = 60 * 60 * 1000
"""How long an access token that has been superseded is answered with "refresh" and not "gone"."""

_COLUMNS = (
    "token_id",
    "user_id",
    "device_id",
    "expires_ts",
    "session_ends_ts",
    "replaces",
)


@attrs.frozen
class RefreshToken:
    """A refresh token; times in ms, None where there is no end. `replaces` is its predecessor."""

    token_id: int
    user_id: str
    device_id: str
    expires_ts: int | None
    session_ends_ts: int | None
    replaces: int | None = None


@attrs.frozen
class NewRefreshToken:
    """A refresh token to be stored. Times in ms, None where there is no end."""

    token: str = attrs.field(repr=False)
    expires_ts: int | None = None
    session_ends_ts: int | None = None


@attrs.frozen
class NewTokens:
    """An access token with the refresh token that goes with it; `expires_ts` is of the former."""

    access_token: str = attrs.field(repr=False)
    expires_ts: int | None
    refresh: NewRefreshToken


class RefreshTokensStore(AccessTokensStore):
    """Refresh tokens, on the master only: so is the endpoint that takes them."""

    async def get_refresh_token(self, token_hash: str) -> RefreshToken | None:
        """The token with this hash, also if it has expired."""
        row = await self.db.read(
            "get_refresh_token",
            lambda txn: txn.select_one("refresh_tokens", _COLUMNS, token_hash=token_hash),
        )
        return None if row is None else RefreshToken(*row)

    async def refresh_session(self, token_id: int, new: NewTokens) -> bool:
        """Use a refresh token: it gets a successor. Returns False if it is gone."""
        return await self.db.run("refresh_session", self._refresh_session_txn, token_id, new)

    def _refresh_session_txn(self, txn: Transaction, token_id: int, new: NewTokens) -> bool:
        # The write makes this and a log-out at the same time exclude each other.
        changed = txn.update(
            "refresh_tokens", {"token_id": token_id}, {"used_ts": self.clock.time_ms()}
        )
        row = txn.select_one("refresh_tokens", _COLUMNS, token_id=token_id)
        if not changed or row is None:
            return False
        token = RefreshToken(*row)
        if token.replaces is not None:
            self._confirm_refresh_token_txn(txn, token_id)
        self._forget_successors_txn(txn, token_id)
        successor = self._insert_refresh_token_txn(
            txn, token.user_id, token.device_id, new.refresh, replaces=token_id
        )
        self._insert_access_token_txn(
            txn, token.user_id, new.access_token, token.device_id, new.expires_ts, successor
        )
        return True

    def _insert_refresh_token_txn(
        self,
        txn: Transaction,
        user_id: str,
        device_id: str,
        new: NewRefreshToken,
        replaces: int | None = None,
    ) -> int:
        token_id = new_token_id()
        txn.insert(
            "refresh_tokens",
            token_id=token_id,
            token_hash=hash_token(new.token),
            user_id=user_id,
            device_id=device_id,
            created_ts=self.clock.time_ms(),
            expires_ts=new.expires_ts,
            session_ends_ts=new.session_ends_ts,
            replaces=replaces,
        )
        return token_id

    def _forget_successors_txn(self, txn: Transaction, token_id: int) -> None:
        """Make room for one more successor of a token."""
        rows = txn.query(
            "SELECT token_id FROM refresh_tokens WHERE replaces = ?"
            " ORDER BY created_ts DESC, token_id",
            (token_id,),
        )
        too_old = [row[0] for row in rows[_MAX_SUCCESSORS - 1 :]]
        if too_old:
            self._revoke_txn(txn, too_old)

    async def confirm_refresh_token(self, token_id: int) -> None:
        """Revoke what a token replaces, now that the client is known to have it. Repeatable."""
        await self.db.run("confirm_refresh_token", self._confirm_refresh_token_txn, token_id)

    def _confirm_refresh_token_txn(self, txn: Transaction, token_id: int) -> None:
        row = txn.select_one("refresh_tokens", ("replaces",), token_id=token_id)
        if row is None or row[0] is None:
            return
        txn.update("refresh_tokens", {"token_id": token_id}, {"replaces": None})
        self._forget_tokens_where_txn(txn, "refresh_token_id = ?", [token_id])
        siblings = txn.select("refresh_tokens", ("token_id",), replaces=row[0])
        self._revoke_txn(txn, [row[0], *(sibling for (sibling,) in siblings)])

    def _revoke_txn(self, txn: Transaction, token_ids: Collection[int]) -> None:
        clause, args = txn.in_clause("token_id", token_ids)
        txn.execute(f"DELETE FROM refresh_tokens WHERE {clause}", args)
        self._expire_tokens_of_refresh_tokens_txn(txn, token_ids)

    async def forget_superseded_tokens(self) -> None:
        """Delete access tokens whose refresh token was revoked some time ago."""
        await self.db.run_relaxed(
            "forget_superseded_tokens",
            self._delete_tokens_where_txn,
            "is_superseded AND expires_ts < ?",
            [self.clock.time_ms() - SUPERSEDED_KEPT_MS],
        )

    def _delete_refresh_tokens_of_devices_txn(
        self, txn: Transaction, user_id: str, device_ids: Collection[str]
    ) -> None:
        clause, args = txn.in_clause("device_id", device_ids)
        txn.execute(f"DELETE FROM refresh_tokens WHERE user_id = ? AND {clause}", [user_id, *args])

    def _delete_refresh_tokens_of_user_txn(
        self, txn: Transaction, user_id: str, except_device_id: str | None
    ) -> None:
        # No device has an empty id.
        txn.execute(
            "DELETE FROM refresh_tokens WHERE user_id = ? AND device_id <> ?",
            (user_id, except_device_id or ""),
        )
