"""Finding users by their names, in any process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ._base import BaseStore
from ._gram_index import GramIndex, Sought
from .transaction import Transaction

USERS = GramIndex(
    "user_directory",
    "id",
    ("user_id", "display_name", "avatar_url", "is_local", "in_open_room"),
)

MAX_EXAMINED = 1000
"""Most users that one look into the index compares with the words."""


def _bool(value: object) -> bool:
    return bool(value)


@attrs.frozen
class FoundUser:
    """A user that may be shown. `shares_room`: they are in a room with the one who searches."""

    user_id: str
    display_name: str | None
    avatar_url: str | None
    is_local: bool = attrs.field(converter=_bool)
    shares_room: bool = attrs.field(converter=_bool)


@attrs.frozen
class UserQuery:
    """Who is searched for, by whom, and who of those may be shown."""

    words: tuple[str, ...]
    searcher: str
    all_local: bool = False
    with_locked: bool = False
    with_remote: bool = True


# Goes through the rooms of the user who was found, not of the one who searches: the first are few
# for nearly everybody, and each room is one look into the second's memberships.
_SHARES_ROOM = (
    "EXISTS (SELECT 1 FROM current_state_events c JOIN local_current_membership mine"
    " ON mine.user_id = ? AND mine.room_id = c.room_id AND mine.membership = 'join'"
    " WHERE c.state_key = d.user_id AND c.membership = 'join')"
)


class UserDirectoryWorkerStore(BaseStore):
    """Reads of the user directory."""

    async def search_users(self, query: UserQuery, enough: int) -> list[FoundUser]:
        """Users whose id or name has all of the words, folded, in no particular order.

        Those are looked for first who have words that begin so; others only if that were fewer
        than `enough`. Each look is at most at `MAX_EXAMINED` users, however many there are.
        """
        if not query.words:
            return []
        return await self.db.read("search_users", self._search_users_txn, query, enough)

    @classmethod
    def _search_users_txn(cls, txn: Transaction, query: UserQuery, enough: int) -> list[FoundUser]:
        found: dict[str, FoundUser] = {}
        for at_beginning in (True, False):
            if len(found) < enough:
                rows = cls._look_txn(txn, Sought(query.words, at_beginning=at_beginning), query)
                found.update((row[0], FoundUser(*row)) for row in rows)
        return list(found.values())

    @staticmethod
    def _look_txn(txn: Transaction, sought: Sought, query: UserQuery) -> Sequence[Any]:
        source, key = USERS.source(txn)
        condition, args = USERS.keys_sql(txn, sought)
        keys = txn.query(
            f"SELECT {key} FROM {source} WHERE {condition} ORDER BY {key} DESC LIMIT ?",
            [*args, MAX_EXAMINED],
        )
        in_keys, key_args = txn.in_clause("d.id", [row[0] for row in keys])
        in_text, text_args = sought.in_text(txn, "d.text")
        return txn.query(
            "SELECT user_id, display_name, avatar_url, is_local, shares_room FROM ("
            " SELECT d.user_id, d.display_name, d.avatar_url, d.is_local, d.in_open_room,"
            f" {_SHARES_ROOM} AS shares_room FROM user_directory d"
            " LEFT JOIN users u ON u.user_id = d.user_id"
            f" WHERE {in_keys} AND {in_text} AND d.user_id <> ? AND (d.is_local OR ?)"
            " AND (u.user_id IS NULL OR (NOT u.is_deactivated AND (? OR NOT u.is_locked)))"
            ") AS found WHERE shares_room OR in_open_room OR (is_local AND ?)",
            [
                query.searcher,
                *key_args,
                *text_args,
                query.searcher,
                query.with_remote,
                query.with_locked,
                query.all_local,
            ],
        )
