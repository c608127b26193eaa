"""Receipts of the last minutes in memory, so that telling everybody of one needs no query."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import ClassVar

from ..server import Homeserver
from ..streams import RECEIPTS, ReceiptRow, Stream
from .database import DatabasePool
from .receipts import Receipt, ReceiptsWorkerStore

_RECEIPTS_KEPT = 50_000

_Key = tuple[str, str, str, str]
"""Room, type, user, thread: of each there is one receipt."""


class RecentReceiptsWorkerStore(ReceiptsWorkerStore):
    """Reads of new receipts, in any process."""

    handles: ClassVar[tuple[tuple[Stream, str], ...]] = ((RECEIPTS, "_recent_receipt_applied"),)
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = ((RECEIPTS, "_recent_receipts_reset"),)

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._recent_order: OrderedDict[_Key, int] = OrderedDict()
        self._recent_receipts: dict[str, dict[_Key, Receipt]] = {}
        self._recent_floor = 0

    def _recent_receipts_reset(self, token: int) -> None:
        self._recent_order.clear()
        self._recent_receipts.clear()
        self._recent_floor = token

    def _recent_receipt_applied(self, token: int, row: ReceiptRow) -> None:
        key = (row.room_id, row.receipt_type, row.user_id, row.thread_id)
        # In the master, what was committed by two database threads may come in the other order.
        if token <= max(self._recent_floor, self._recent_order.get(key, 0)):
            return
        self._recent_order[key] = token
        self._recent_order.move_to_end(key)
        self._recent_receipts.setdefault(row.room_id, {})[key] = Receipt(
            row.room_id,
            row.receipt_type,
            row.user_id,
            row.thread_id,
            row.event_id,
            row.data,
            token,
        )
        while len(self._recent_order) > _RECEIPTS_KEPT:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        key, token = self._recent_order.popitem(last=False)
        of_room = self._recent_receipts[key[0]]
        del of_room[key]
        if not of_room:
            del self._recent_receipts[key[0]]
        self._recent_floor = max(self._recent_floor, token)

    async def get_rooms_with_new_receipts_of(
        self, user_id: str, room_ids: Collection[str], low: int
    ) -> set[str]:
        """Those of the rooms in which the user has moved a receipt after a position."""
        rooms = self.change_cache("receipts_changed").changed_among(room_ids, low)
        if low >= self._recent_floor:
            return {
                room_id
                for room_id in rooms
                if any(
                    receipt.user_id == user_id and receipt.stream_id > low
                    for receipt in self._recent_receipts.get(room_id, {}).values()
                )
            }
        receipts = await self.get_receipts_for_user(user_id) if rooms else {}
        return {
            room_id
            for room_id in rooms
            if any(receipt.stream_id > low for receipt in receipts.get(room_id, ()))
        }

    async def get_new_receipts(
        self, room_ids: Collection[str], low: int, high: int
    ) -> dict[str, list[Receipt]]:
        """Receipts with low < stream id <= high, by room; recent ones without a query.

        A receipt that was moved on beyond `high` meanwhile is left out: the next range has it.
        """
        if low < self._recent_floor:
            return await self.get_receipts_for_rooms_since(room_ids, low, high)
        found: dict[str, list[Receipt]] = {}
        for room_id in self.change_cache("receipts_changed").changed_among(room_ids, low):
            receipts = [
                receipt
                for receipt in self._recent_receipts.get(room_id, {}).values()
                if low < receipt.stream_id <= high
            ]
            if receipts:
                found[room_id] = receipts
        return found
