"""Sessions of user-interactive authentication: in the database, so that a restart breaks none."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..util.json import JsonValue, decode_stored_json, encode_json_text
from ..util.random import random_string_secure
from ._base import MasterStore
from .transaction import Transaction

SESSION_LIFETIME_MS = 24 * 60 * 60 * 1000
"""How long somebody may take for all stages."""


@attrs.frozen
class UiAuthSession:
    """A session; `completed` holds the stages done, in order, and what each found out.

    `request_digest` says which request the completed stages were for.
    """

    session_id: str
    operation: str
    request_digest: str | None = None
    completed: Mapping[str, JsonValue] = attrs.Factory(dict)

    @property
    def user_id(self) -> str | None:
        """The user whom the operation concerns; None for those without account."""
        last = self.operation.rpartition(" ")[2]
        return last if last.startswith("@") else None


class UiAuthStore(MasterStore):
    """Sessions, on the master only: so is every operation that needs them."""

    async def create_ui_auth_session(self, operation: str) -> UiAuthSession:
        """Begin a session for an operation (which names the user that it is for)."""
        session = UiAuthSession(random_string_secure(24), operation)
        await self.db.run(
            "create_ui_auth_session",
            lambda txn: txn.insert(
                "ui_auth_sessions",
                session_id=session.session_id,
                operation=operation,
                created_ts=self.clock.time_ms(),
            ),
        )
        return session

    async def get_ui_auth_session(self, session_id: str) -> UiAuthSession | None:
        """A session that has not expired."""
        return await self.db.read("get_ui_auth_session", self._get_ui_auth_session_txn, session_id)

    def _get_ui_auth_session_txn(self, txn: Transaction, session_id: str) -> UiAuthSession | None:
        row = txn.query_one(
            "SELECT operation, request_digest FROM ui_auth_sessions"
            " WHERE session_id = ? AND created_ts > ?",
            (session_id, self.clock.time_ms() - SESSION_LIFETIME_MS),
        )
        if row is None:
            return None
        stages = txn.query(
            "SELECT stage, result FROM ui_auth_stages WHERE session_id = ? ORDER BY ordering",
            (session_id,),
        )
        completed = {stage: decode_stored_json(result) for stage, result in stages}
        operation, request_digest = row
        return UiAuthSession(session_id, operation, request_digest, completed)

    async def complete_ui_auth_stage(
        self,
        session: UiAuthSession,
        stage: str,
        result: JsonValue,
        request_digest: str | None = None,
    ) -> None:
        """Note that a stage is done, and for which request if that is known. It stays so."""
        await self.db.run(
            "complete_ui_auth_stage",
            self._complete_ui_auth_stage_txn,
            session,
            stage,
            result,
            request_digest,
        )

    @staticmethod
    def _complete_ui_auth_stage_txn(
        txn: Transaction,
        session: UiAuthSession,
        stage: str,
        result: JsonValue,
        digest: str | None,
    ) -> None:
        txn.execute(
            "UPDATE ui_auth_sessions SET request_digest = ?"
            " WHERE session_id = ? AND request_digest IS NULL",
            (digest, session.session_id),
        )
        txn.insert_ignore(
            "ui_auth_stages",
            session_id=session.session_id,
            stage=stage,
            ordering=len(session.completed),
            result=encode_json_text(result),
        )

    async def delete_ui_auth_session(self, session_id: str) -> bool:
        """Forget a session that has served its purpose. Returns whether it was there."""
        deleted = await self.db.run(
            "delete_ui_auth_session",
            self._delete_sessions_where_txn,
            "session_id = ?",
            session_id,
        )
        return deleted > 0

    async def delete_expired_ui_auth_sessions(self) -> None:
        """Forget all sessions that have expired."""
        await self.db.run(
            "delete_expired_ui_auth_sessions",
            self._delete_sessions_where_txn,
            "created_ts <= ?",
            self.clock.time_ms() - SESSION_LIFETIME_MS,
        )

    @staticmethod
    def _delete_sessions_where_txn(txn: Transaction, condition: str, arg: str | int) -> int:
        txn.execute(
            "DELETE FROM ui_auth_stages WHERE session_id IN"
            f" (SELECT session_id FROM ui_auth_sessions WHERE {condition})",
            (arg,),
        )
        txn.execute(f"DELETE FROM ui_auth_sessions WHERE {condition}", (arg,))
        return txn.rowcount
