"""Notes whose entry in the user directory is to be made anew; for every write that changes one."""

from __future__ import annotations

from collections.abc import Callable

from ..server import Homeserver
from ._base import MasterStore
from .database import DatabasePool
from .transaction import Transaction

_AGAIN = " ON CONFLICT (user_id) DO UPDATE SET version = user_directory_stale.version + 1"


class UserDirectoryMarksStore(MasterStore):
    """Notes, in the transaction of the change. A note that is there already rises."""

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._on_directory_marks: Callable[[], None] = lambda: None

    def follow_directory_marks(self, listener: Callable[[], None]) -> None:
        """Call the listener whenever a note was committed."""
        self._on_directory_marks = listener

    def _mark_directory_user_txn(self, txn: Transaction, user_id: str) -> None:
        """Note one user."""
        txn.execute(
            f"INSERT INTO user_directory_stale (user_id, version) VALUES (?, 1){_AGAIN}",
            (user_id,),
        )
        txn.call_after(self._directory_marked)

    def _mark_directory_users_txn(self, txn: Transaction, query: str, args: list[object]) -> None:
        """Note the users that a query with a WHERE clause gives, each once."""
        txn.execute(
            "INSERT INTO user_directory_stale (user_id, version)"
            f" SELECT user_id, 1 FROM ({query}) AS marked WHERE user_id IS NOT NULL{_AGAIN}",
            args,
        )
        txn.call_after(self._directory_marked)

    def _directory_marked(self) -> None:
        self._on_directory_marks()
