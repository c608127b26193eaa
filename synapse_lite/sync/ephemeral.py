"""Who is typing and who has read what, for the rooms of an answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from ..server import Homeserver
from ..storage.receipts import receipts_contents
from ..storage.recent_receipts import RecentReceiptsWorkerStore
from ..storage.typing import TypingWorkerStore
from ..types.tokens import StreamToken
from ..util.json import JsonDict
from .request import SyncRequest

TYPING_TYPE = "m.typing"
RECEIPT_TYPE = "m.receipt"


class EphemeralEvents:
    """The `ephemeral` of rooms."""

    def __init__(self, hs: Homeserver) -> None:
        self._receipts = hs.part(RecentReceiptsWorkerStore)
        self._typing = hs.part(TypingWorkerStore)

    def rooms_with_news(self, room_ids: Collection[str], since: StreamToken) -> set[str]:
        """Rooms in which something may have happened since a position; asks nothing."""
        typing = self._typing.rooms_with_typing_since(room_ids, since.typing)
        receipts = self._receipts.change_cache("receipts_changed")
        return typing | receipts.changed_among(room_ids, since.receipts)

    async def rooms_read_by(
        self, user_id: str, room_ids: Collection[str], since: StreamToken
    ) -> set[str]:
        """Rooms that the user has read further since a position, on whichever device."""
        return await self._receipts.get_rooms_with_new_receipts_of(
            user_id, room_ids, since.receipts
        )

    async def of_rooms(
        self,
        request: SyncRequest,
        known: Collection[str],
        new: Collection[str],
        now: StreamToken,
        ignored: Collection[str],
    ) -> dict[str, list[JsonDict]]:
        """Ephemeral events by room: what is new in known rooms, and everything of new ones."""
        wanted = request.filter.ephemeral
        known = [room_id for room_id in known if wanted.wants_room(room_id)]
        new = [room_id for room_id in new if wanted.wants_room(room_id)]
        found: dict[str, list[JsonDict]] = defaultdict(list)
        if wanted.wants(TYPING_TYPE):
            self._add_typing(found, request, known, new, ignored)
        if wanted.wants(RECEIPT_TYPE):
            await self._add_receipts(found, request, known, new, now)
        return found

    def _add_typing(
        self,
        found: dict[str, list[JsonDict]],
        request: SyncRequest,
        known: Collection[str],
        new: Collection[str],
        ignored: Collection[str],
    ) -> None:
        changed: Collection[str] = ()
        if request.since is not None:
            changed = self._typing.rooms_with_typing_since(known, request.since.typing)
        for room_id in (*changed, *new):
            users = [
                user_id
                for user_id in self._typing.get_typing_users(room_id)
                if user_id not in ignored
            ]
            if users or room_id in changed:
                found[room_id].append({"type": TYPING_TYPE, "content": {"user_ids": users}})

    async def _add_receipts(
        self,
        found: dict[str, list[JsonDict]],
        request: SyncRequest,
        known: Collection[str],
        new: Collection[str],
        now: StreamToken,
    ) -> None:
        receipts = {}
        if request.since is not None and known:
            receipts.update(
                await self._receipts.get_new_receipts(known, request.since.receipts, now.receipts)
            )
        if new:
            receipts.update(await self._receipts.get_receipts_for_rooms_since(new, 0, now.receipts))
        for room_id, of_room in receipts.items():
            for content in receipts_contents(of_room, request.user_id):
                found[room_id].append({"type": RECEIPT_TYPE, "content": content})
