"""Receipts of the last minutes in memory, so that telling everybody of one needs no query."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import ClassVar

from ..server import Homeserver
from ..streams import RECEIPTS, ReceiptRow, Stream
from ..util.caches.budget import BudgetedCache, MemoryBudget
from .database import DatabasePool
from .receipts import Receipt, ReceiptsWorkerStore

_ROOM_BYTES = 210
_RECEIPT_BYTES = 930

_Key = tuple[str, str, str, str]
"""Room, type, user, thread: of each there is one receipt."""


class _RecentReceipts(BudgetedCache):
    """The receipts that were moved last; complete for positions above `floor`."""

    def __init__(self, budget: MemoryBudget) -> None:
        super().__init__("recent_receipts", budget)
        # The tick of the budget at each, in the order of arrival.
        self._order: OrderedDict[_Key, int] = OrderedDict()
        self._rooms: dict[str, dict[_Key, Receipt]] = {}
        self.floor = 0

    def reset(self, floor: int) -> None:
        self._order.clear()
        self._rooms.clear()
        self._resize(-self.size_bytes)
        self.floor = floor

    def add(self, token: int, row: ReceiptRow) -> None:
        if token <= self.floor:
            return
        key = (row.room_id, row.receipt_type, row.user_id, row.thread_id)
        of_room = self._rooms.get(row.room_id)
        if of_room is None:
            of_room = self._rooms[row.room_id] = {}
            self._resize(_ROOM_BYTES)
        older = of_room.get(key)
        if older is None:
            self._resize(_RECEIPT_BYTES)
        elif token <= older.stream_id:
            # In the master, what was committed by two database threads may come in the other order.
            return
        of_room[key] = Receipt(*key, row.event_id, row.data, token)
        self._order[key] = self.budget.tick
        self._order.move_to_end(key)
        self.budget.tick += 1
        self.budget.shrink()

    def __len__(self) -> int:
        return len(self._order)

    def oldest_use(self) -> int | None:
        return next(iter(self._order.values())) if self._order else None

    def evict_oldest(self) -> None:
        key, _ = self._order.popitem(last=False)
        of_room = self._rooms[key[0]]
        self.floor = max(self.floor, of_room.pop(key).stream_id)
        self._resize(-_RECEIPT_BYTES)
        if not of_room:
            del self._rooms[key[0]]
            self._resize(-_ROOM_BYTES)
        self.evictions += 1

    def knows_since(self, position: int) -> bool:
        """Whether every receipt that was moved after a position is here."""
        if position < self.floor:
            self.misses += 1
            return False
        self.hits += 1
        return True

    def of_room(self, room_id: str) -> Iterable[Receipt]:
        return self._rooms.get(room_id, {}).values()


class RecentReceiptsWorkerStore(ReceiptsWorkerStore):
    """Reads of new receipts, in any process."""

    handles: ClassVar[tuple[tuple[Stream, str], ...]] = ((RECEIPTS, "_recent_receipt_applied"),)
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = ((RECEIPTS, "_recent_receipts_reset"),)

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._recent_receipts = _RecentReceipts(self.caches.budget)

    def _recent_receipts_reset(self, token: int) -> None:
        self._recent_receipts.reset(token)

    def _recent_receipt_applied(self, token: int, row: ReceiptRow) -> None:
        self._recent_receipts.add(token, row)

    async def get_rooms_with_new_receipts_of(
        self, user_id: str, room_ids: Collection[str], low: int
    ) -> set[str]:
        """Those of the rooms in which the user has moved a receipt after a position."""
        rooms = self.change_cache("receipts_changed").changed_among(room_ids, low)
        if self._recent_receipts.knows_since(low):
            return {
                room_id
                for room_id in rooms
                if any(
                    receipt.user_id == user_id and receipt.stream_id > low
                    for receipt in self._recent_receipts.of_room(room_id)
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
        if not self._recent_receipts.knows_since(low):
            return await self.get_receipts_for_rooms_since(room_ids, low, high)
        found: dict[str, list[Receipt]] = {}
        for room_id in self.change_cache("receipts_changed").changed_among(room_ids, low):
            receipts = [
                receipt
                for receipt in self._recent_receipts.of_room(room_id)
                if low < receipt.stream_id <= high
            ]
            if receipts:
                found[room_id] = receipts
        return found
