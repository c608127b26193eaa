"""What users keep on the server for themselves: global account data and that of rooms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..api.constants import AccountDataTypes
from ..streams import ACCOUNT_DATA, AccountDataRow, Stream
from ..util.caches.cached import cached
from ..util.json import JsonDict, decode_stored_json, encode_json_text
from ._base import BaseStore, MasterStore
from .errors import StoreError
from .transaction import Transaction


class TooMuchAccountDataError(StoreError):
    """The user keeps as many types of account data as allowed."""


AccountData = tuple[Mapping[str, JsonDict], Mapping[str, Mapping[str, JsonDict]]]
"""Global account data by type, and that of rooms by room id and type."""

_ENTRY_BYTES = 500

_ROWS = (
    "SELECT stream_id, user_id, NULL AS room_id, data_type, data FROM account_data WHERE {where}"
    " UNION ALL"
    " SELECT stream_id, user_id, room_id, data_type, data FROM room_account_data WHERE {where}"
    " ORDER BY stream_id"
)


def _weight(data: AccountData) -> int:
    everywhere, rooms = data
    return _ENTRY_BYTES * (len(everywhere) + sum(len(types) for types in rooms.values()))


class AccountDataWorkerStore(BaseStore):
    """Reads of account data."""

    streams: ClassVar[tuple[Stream, ...]] = (ACCOUNT_DATA,)

    @cached(max_entries=20_000, size_of=_weight)
    async def get_account_data_for_user(self, user_id: str) -> AccountData:
        """All account data of a user."""
        return await self.db.read(
            "get_account_data_for_user", self._read_account_data_txn, "user_id = ?", (user_id,)
        )

    async def get_ignored_users(self, user_id: str) -> frozenset[str]:
        """Whom the user wants to hear nothing of (m.ignored_user_list), except themselves."""
        everywhere, _ = await self.get_account_data_for_user(user_id)
        content = everywhere.get(AccountDataTypes.IGNORED_USER_LIST)
        users = content.get("ignored_users") if isinstance(content, dict) else None
        return frozenset(users) - {user_id} if isinstance(users, dict) else frozenset()

    async def blocks_invites(self, user_id: str) -> bool:
        """Whether a user of this server wants no invites at all (m.invite_permission_config)."""
        everywhere, _ = await self.get_account_data_for_user(user_id)
        content = everywhere.get(AccountDataTypes.INVITE_PERMISSION)
        return isinstance(content, dict) and content.get("default_action") == "block"

    async def get_account_data_changes(self, user_id: str, low: int, high: int) -> AccountData:
        """What the user has changed with low < stream id <= high, as it is now."""
        if low >= high or not self.change_cache("account_data_changed").has_changed(user_id, low):
            return {}, {}
        return await self.db.read(
            "get_account_data_changes",
            self._read_account_data_txn,
            "user_id = ? AND stream_id > ? AND stream_id <= ?",
            (user_id, low, high),
        )

    @staticmethod
    def _read_account_data_txn(
        txn: Transaction, where: str, arguments: tuple[Any, ...]
    ) -> AccountData:
        everywhere: dict[str, JsonDict] = {}
        rooms: dict[str, dict[str, JsonDict]] = defaultdict(dict)
        rows = txn.query(_ROWS.format(where=where), (*arguments, *arguments))
        for _, _, room_id, data_type, data in rows:
            content = decode_stored_json(data)
            if room_id is None:
                everywhere[data_type] = content
            else:
                rooms[room_id][data_type] = content
        return everywhere, dict(rooms)

    @cached(max_entries=50_000)
    async def get_global_account_data_by_type(
        self, user_id: str, data_type: str
    ) -> JsonDict | None:
        """Global account data of one type, or None."""
        row = await self.db.read(
            "get_global_account_data_by_type",
            lambda txn: txn.select_one(
                "account_data", ("data",), user_id=user_id, data_type=data_type
            ),
        )
        return None if row is None else decode_stored_json(row[0])

    async def get_room_account_data_by_type(
        self, user_id: str, room_id: str, data_type: str
    ) -> JsonDict | None:
        """Account data of one type in a room, or None."""
        _, rooms = await self.get_account_data_for_user(user_id)
        return rooms.get(room_id, {}).get(data_type)

    async def get_account_data_rows(
        self, low: int, high: int, limit: int
    ) -> list[tuple[int, AccountDataRow]]:
        """Rows of the stream, both kinds merged by token."""
        bounds = (low, high)
        rows = await self.db.read(
            "get_account_data_rows",
            lambda txn: txn.query(
                _ROWS.format(where="stream_id > ? AND stream_id <= ?") + " LIMIT ?",
                (*bounds, *bounds, limit),
            ),
        )
        return [
            (token, AccountDataRow(user_id, room_id, data_type, decode_stored_json(data)))
            for token, user_id, room_id, data_type, data in rows
        ]


class AccountDataStore(AccountDataWorkerStore, MasterStore):
    """Writes of account data."""

    async def set_account_data(
        self,
        user_id: str,
        room_id: str | None,
        data_type: str,
        content: JsonDict,
        *,
        most: int | None = None,
    ) -> None:
        """Set account data of one type, global if `room_id` is None.

        Raises TooMuchAccountDataError for a new type if the user has `most` already: globally, or
        in all rooms together.
        """
        async with self.writing(ACCOUNT_DATA) as token:
            await self.db.run(
                "set_account_data",
                self._set_account_data_txn,
                token,
                AccountDataRow(user_id, room_id, data_type, content),
                most,
            )

    @staticmethod
    def _set_account_data_txn(
        txn: Transaction, token: int, row: AccountDataRow, most: int | None
    ) -> None:
        key = {"user_id": row.user_id, "data_type": row.data_type}
        table = "account_data"
        if row.room_id is not None:
            table = "room_account_data"
            key["room_id"] = row.room_id
        values = {"stream_id": token, "data": encode_json_text(row.data)}
        if not txn.update(table, key, values):
            if most is not None and _count_txn(txn, table, row.user_id, most) >= most:
                raise TooMuchAccountDataError(f"{row.user_id} has {most} entries in {table}")
            txn.upsert(table, key, values)
        txn.changed(ACCOUNT_DATA, token, row)

    async def change_account_data(
        self, user_id: str, data_type: str, change: Callable[[JsonDict], JsonDict | None]
    ) -> None:
        """Change global account data that is there, with no other write in between.

        `change` gets the content and returns the new one, or None to leave it as it is.
        """
        async with self.writing(ACCOUNT_DATA) as token:
            await self.db.run(
                "change_account_data",
                self._change_account_data_txn,
                token,
                user_id,
                data_type,
                change,
            )

    @classmethod
    def _change_account_data_txn(
        cls,
        txn: Transaction,
        token: int,
        user_id: str,
        data_type: str,
        change: Callable[[JsonDict], JsonDict | None],
    ) -> None:
        key = {"user_id": user_id, "data_type": data_type}
        row = txn.select_one("account_data", ("data",), **key)
        content = None if row is None else change(decode_stored_json(row[0]))
        if content is not None:
            new = AccountDataRow(user_id, None, data_type, content)
            cls._set_account_data_txn(txn, token, new, None)


def _count_txn(txn: Transaction, table: str, user_id: str, most: int) -> int:
    """How many entries of a user a table has; no more than `most` are looked at."""
    row = txn.query_one(
        f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE user_id = ? LIMIT ?) AS entries",
        (user_id, most),
    )
    assert row is not None, "COUNT gives a row"
    return int(row[0])
