"""Filters that clients have uploaded. They never change, so nothing makes a kept one stale."""

from __future__ import annotations

from ..api.errors import LimitExceededError, NotFoundError
from ..util.caches.cached import cached
from ..util.json import JsonDict, decode_stored_json, encode_canonical_json
from ._base import BaseStore, MasterStore
from .transaction import Transaction

MAX_FILTERS_PER_USER = 1000
"""So many different filters a user may have; clients use a handful."""

_RETRY_AFTER_MS = 24 * 3600 * 1000


class FiltersWorkerStore(BaseStore):
    """Reads of filters, in any process."""

    @cached(max_entries=5_000)
    async def get_user_filter(self, user_id: str, filter_id: int) -> JsonDict:
        """The definition that was uploaded. Raises NotFoundError, which is not kept."""
        row = await self.db.read(
            "get_user_filter",
            lambda txn: txn.select_one(
                "user_filters", ("filter_json",), user_id=user_id, filter_id=filter_id
            ),
        )
        if row is None:
            raise NotFoundError("There is no such filter")
        definition: JsonDict = decode_stored_json(row[0])
        return definition


class FiltersStore(FiltersWorkerStore, MasterStore):
    """Writes of filters, in the master."""

    async def add_user_filter(self, user_id: str, definition: JsonDict) -> int:
        """Store a filter and return its id; the same definition again gives the same id.

        Raises LimitExceededError when the user has too many.
        """
        text = encode_canonical_json(definition).decode("utf-8")
        return await self.db.run("add_user_filter", self._add_user_filter_txn, user_id, text)

    @staticmethod
    def _add_user_filter_txn(txn: Transaction, user_id: str, text: str) -> int:
        row = txn.query_one(
            "SELECT MIN(filter_id) FROM user_filters WHERE user_id = ? AND filter_json = ?",
            (user_id, text),
        )
        if row is not None and row[0] is not None:
            known: int = row[0]
            return known
        row = txn.query_one(
            "SELECT COALESCE(MAX(filter_id) + 1, 0) FROM user_filters WHERE user_id = ?", (user_id,)
        )
        assert row is not None, "an aggregate always has a row"
        filter_id: int = row[0]
        if filter_id >= MAX_FILTERS_PER_USER:
            raise LimitExceededError("You have too many filters", retry_after_ms=_RETRY_AFTER_MS)
        txn.insert("user_filters", user_id=user_id, filter_id=filter_id, filter_json=text)
        return filter_id
