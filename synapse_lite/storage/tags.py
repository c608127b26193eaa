"""Tags that users put on their rooms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import ClassVar

from ..streams import TAG_ACCOUNT_DATA, Stream, TagRow
from ..util.caches.cached import cached
from ..util.json import JsonDict, decode_stored_json, encode_json_text
from ._base import BaseStore, MasterStore
from .transaction import Transaction

Tags = Mapping[str, JsonDict]
"""Tag to its content."""


class TagsWorkerStore(BaseStore):
    """Reads of tags."""

    streams: ClassVar[tuple[Stream, ...]] = (TAG_ACCOUNT_DATA,)

    @cached(max_entries=20_000, size_of=lambda rooms: 300 * sum(map(len, rooms.values())))
    async def get_tags_for_user(self, user_id: str) -> Mapping[str, Tags]:
        """The tags of a user by room; rooms without tags are left out."""
        rows = await self.db.read(
            "get_tags_for_user",
            lambda txn: txn.query(
                "SELECT room_id, tag, content FROM room_tags WHERE user_id = ?", (user_id,)
            ),
        )
        rooms: dict[str, dict[str, JsonDict]] = defaultdict(dict)
        for room_id, tag, content in rows:
            rooms[room_id][tag] = decode_stored_json(content)
        return dict(rooms)

    async def get_tag_changes(self, user_id: str, low: int, high: int) -> set[str]:
        """The rooms whose tags the user has changed with low < stream id <= high."""
        if low >= high or not self.change_cache("account_data_changed").has_changed(user_id, low):
            return set()
        rows = await self.db.read(
            "get_tag_changes",
            lambda txn: txn.query(
                "SELECT room_id FROM room_tag_revisions"
                " WHERE user_id = ? AND stream_id > ? AND stream_id <= ?",
                (user_id, low, high),
            ),
        )
        return {room_id for (room_id,) in rows}

    async def get_tag_rows(self, low: int, high: int, limit: int) -> list[tuple[int, TagRow]]:
        """Rows of the stream."""
        return await self.db.read("get_tag_rows", self._get_tag_rows_txn, low, high, limit)

    @staticmethod
    def _get_tag_rows_txn(
        txn: Transaction, low: int, high: int, limit: int
    ) -> list[tuple[int, TagRow]]:
        revisions = txn.query(
            "SELECT stream_id, user_id, room_id FROM room_tag_revisions"
            " WHERE stream_id > ? AND stream_id <= ? ORDER BY stream_id LIMIT ?",
            (low, high, limit),
        )
        return [
            (token, TagRow(user_id, room_id, _tags_txn(txn, user_id, room_id)))
            for token, user_id, room_id in revisions
        ]


def _tags_txn(txn: Transaction, user_id: str, room_id: str) -> JsonDict:
    rows = txn.select("room_tags", ("tag", "content"), user_id=user_id, room_id=room_id)
    return {tag: decode_stored_json(content) for tag, content in sorted(rows)}


class TagsStore(TagsWorkerStore, MasterStore):
    """Writes of tags."""

    async def set_tag(self, user_id: str, room_id: str, tag: str, content: JsonDict) -> None:
        """Put a tag on a room, or change its content."""
        await self._write_tag(user_id, room_id, tag, content)

    async def remove_tag(self, user_id: str, room_id: str, tag: str) -> None:
        """Take a tag off a room; nothing happens if it is not there."""
        await self._write_tag(user_id, room_id, tag, None)

    async def _write_tag(
        self, user_id: str, room_id: str, tag: str, content: JsonDict | None
    ) -> None:
        async with self.writing(TAG_ACCOUNT_DATA) as token:
            await self.db.run(
                "write_tag", self._write_tag_txn, token, user_id, room_id, tag, content
            )

    @staticmethod
    def _write_tag_txn(
        txn: Transaction, token: int, user_id: str, room_id: str, tag: str, content: JsonDict | None
    ) -> None:
        key = {"user_id": user_id, "room_id": room_id}
        if content is None:
            if not txn.delete("room_tags", **key, tag=tag):
                return
        else:
            txn.upsert("room_tags", {**key, "tag": tag}, {"content": encode_json_text(content)})
        txn.upsert("room_tag_revisions", key, {"stream_id": token})
        txn.changed(
            TAG_ACCOUNT_DATA, token, TagRow(user_id, room_id, _tags_txn(txn, user_id, room_id))
        )
