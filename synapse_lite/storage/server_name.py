"""A database belongs to one server name: users of another one could never be right."""

from __future__ import annotations

from ..types.ids import domain_of
from .database import DatabasePool
from .errors import WrongDatabaseError
from .transaction import Transaction


async def check_server_name(db: DatabasePool, server_name: str) -> None:
    """Refuse a database with users of another server. Raises WrongDatabaseError."""
    user_id = await db.read("check_server_name", _foreign_user_txn, server_name)
    if user_id is not None:
        raise WrongDatabaseError(
            f"The database belongs to {domain_of(user_id)}, not to {server_name}: it has"
            f" {user_id}. The server_name cannot be changed"
        )


def _foreign_user_txn(txn: Transaction, server_name: str) -> str | None:
    """A user of another server: users never mix, so the first and the last tell."""
    row = txn.query_one("SELECT MIN(user_id), MAX(user_id) FROM users")
    for user_id in row or ():
        if user_id is not None and domain_of(user_id) != server_name:
            found: str = user_id
            return found
    return None
