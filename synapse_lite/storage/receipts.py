"""Who has read what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from ..api.constants import ReceiptTypes
from ..streams import RECEIPTS, ReceiptRow, Stream
from ..util.caches.cached import cached
from ..util.json import JsonDict, decode_stored_json, encode_json_text
from ._base import BaseStore, MasterStore
from .transaction import Transaction

_ROOMS_PER_STATEMENT = 100


@attrs.frozen
class Receipt:
    """A receipt. `thread_id` is empty for one of no thread."""

    room_id: str
    receipt_type: str
    user_id: str
    thread_id: str
    event_id: str
    data: JsonDict
    stream_id: int


_COLUMNS = "room_id, receipt_type, user_id, thread_id, event_id, data, stream_id"


def _receipt(row: Sequence[Any]) -> Receipt:
    room_id, receipt_type, user_id, thread_id, event_id, data, stream_id = row
    return Receipt(
        room_id,
        receipt_type,
        user_id,
        thread_id,
        event_id,
        decode_stored_json(data),
        stream_id,
    )


class ReceiptsWorkerStore(BaseStore):
    """Reads of receipts."""

    streams: ClassVar[tuple[Stream, ...]] = (RECEIPTS,)

    @cached(max_entries=20_000, size_of=lambda receipts: 400 * len(receipts))
    async def get_receipts_for_room(self, room_id: str) -> Sequence[Receipt]:
        """All receipts of a room, oldest first."""
        rows = await self.db.read(
            "get_receipts_for_room", self._receipts_for_rooms_txn, [room_id], 0, None
        )
        return tuple(rows)

    async def get_receipts_for_rooms_since(
        self, room_ids: Collection[str], low: int, high: int
    ) -> dict[str, list[Receipt]]:
        """Receipts with low < stream id <= high by room. Rooms without news cost nothing."""
        if low >= high:
            return {}
        changed = sorted(self.change_cache("receipts_changed").changed_among(room_ids, low))
        found: dict[str, list[Receipt]] = defaultdict(list)
        missing: list[str] = []
        for room_id in changed:
            cached_receipts = self.get_receipts_for_room.peek((room_id,))
            if isinstance(cached_receipts, tuple):
                for receipt in cached_receipts:
                    if low < receipt.stream_id <= high:
                        found[room_id].append(receipt)
            else:
                missing.append(room_id)
        for start in range(0, len(missing), _ROOMS_PER_STATEMENT):
            part = missing[start : start + _ROOMS_PER_STATEMENT]
            for receipt in await self.db.read(
                "get_receipts_for_rooms_since", self._receipts_for_rooms_txn, part, low, high
            ):
                found[receipt.room_id].append(receipt)
        return dict(found)

    @staticmethod
    def _receipts_for_rooms_txn(
        txn: Transaction, room_ids: Sequence[str], low: int, high: int | None
    ) -> list[Receipt]:
        clause, arguments = txn.in_clause("room_id", room_ids)
        upper = "" if high is None else " AND stream_id <= ?"
        rows = txn.query(
            f"SELECT {_COLUMNS} FROM receipts WHERE {clause} AND stream_id > ?{upper}"
            " ORDER BY stream_id",
            (*arguments, low, *(() if high is None else (high,))),
        )
        return [_receipt(row) for row in rows]

    @cached(max_entries=20_000, size_of=lambda receipts: 400 * len(receipts))
    async def get_receipts_for_user(self, user_id: str) -> Mapping[str, Sequence[Receipt]]:
        """All receipts of a user by room."""
        rows = await self.db.read(
            "get_receipts_for_user",
            lambda txn: txn.query(
                f"SELECT {_COLUMNS} FROM receipts WHERE user_id = ? ORDER BY stream_id", (user_id,)
            ),
        )
        by_room: dict[str, list[Receipt]] = defaultdict(list)
        for receipt in map(_receipt, rows):
            by_room[receipt.room_id].append(receipt)
        return {room_id: tuple(receipts) for room_id, receipts in by_room.items()}

    @cached(max_entries=50_000, size_of=lambda receipts: 400 * len(receipts))
    async def get_last_receipts_of_user_in_room(
        self, user_id: str, room_id: str
    ) -> Sequence[Receipt]:
        """The receipts of a user in a room: one for each kind and thread."""
        rows = await self.db.read(
            "get_last_receipts_of_user_in_room",
            lambda txn: txn.query(
                f"SELECT {_COLUMNS} FROM receipts WHERE user_id = ? AND room_id = ?"
                " ORDER BY stream_id",
                (user_id, room_id),
            ),
        )
        return tuple(map(_receipt, rows))


class ReceiptsStore(ReceiptsWorkerStore, MasterStore):
    """Writes of receipts."""

    async def insert_receipt(
        self,
        room_id: str,
        receipt_type: str,
        user_id: str,
        thread_id: str,
        event_id: str,
        event_stream_ordering: int,
        data: JsonDict,
    ) -> bool:
        """Move a receipt forward. False if it stands at the event already, or further on."""
        async with self.writing(RECEIPTS) as token:
            return await self.db.run(
                "insert_receipt",
                self._insert_receipt_txn,
                token,
                ReceiptRow(
                    room_id,
                    receipt_type,
                    user_id,
                    event_id,
                    data,
                    thread_id,
                    event_stream_ordering,
                ),
            )

    @staticmethod
    def _insert_receipt_txn(txn: Transaction, token: int, row: ReceiptRow) -> bool:
        txn.execute(
            "INSERT INTO receipts (stream_id, room_id, receipt_type, user_id, thread_id,"
            " event_id, event_stream_ordering, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (room_id, receipt_type, user_id, thread_id) DO UPDATE SET"
            " stream_id = EXCLUDED.stream_id, event_id = EXCLUDED.event_id,"
            " event_stream_ordering = EXCLUDED.event_stream_ordering, data = EXCLUDED.data"
            " WHERE receipts.event_stream_ordering < EXCLUDED.event_stream_ordering",
            (
                token,
                row.room_id,
                row.receipt_type,
                row.user_id,
                row.thread_id,
                row.event_id,
                row.event_stream_ordering,
                encode_json_text(row.data),
            ),
        )
        if not txn.rowcount:
            return False
        txn.changed(RECEIPTS, token, row)
        return True


def receipts_contents(receipts: Iterable[Receipt], reader: str) -> list[JsonDict]:
    """The contents of m.receipt events for a reader; private receipts only for their owner.

    One event says one thing of a user, kind and event. Where a user has read up to the same event
    in a thread and altogether, the second goes into another m.receipt.
    Client-server API, "Receipts".
    """
    contents: list[JsonDict] = []
    for receipt in receipts:
        if receipt.receipt_type == ReceiptTypes.READ_PRIVATE and receipt.user_id != reader:
            continue
        data = receipt.data
        if receipt.thread_id:
            data = {**data, "thread_id": receipt.thread_id}
        for content in contents:
            users = content.setdefault(receipt.event_id, {}).setdefault(receipt.receipt_type, {})
            if users.setdefault(receipt.user_id, data) is data:
                break
        else:
            contents.append({receipt.event_id: {receipt.receipt_type: {receipt.user_id: data}}})
    return contents
