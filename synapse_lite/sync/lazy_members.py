"""Which membership events a device has been sent, so that they are not sent again and again.

Client-server API, "Lazy-loading room members". This is a cache: what it does not know is sent once
more, which the specification allows.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..types.requester import Requester
from ..util.caches.budget import MemoryBudget
from ..util.caches.lru import LruCache
from ..util.caches.missing import Missing

_CACHE_BYTES = 16 * 1024 * 1024
_MEMBERS_PER_ROOM = 500

_Key = tuple[str, str | None, str]
_Sent = dict[str, tuple[str, int]]


class SentMembers:
    """Membership events by device and room, each with the position of the answer it was in."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._sent: LruCache[_Key, _Sent] = LruCache(
            "sync_sent_members",
            max_bytes=_CACHE_BYTES,
            size_of=lambda sent: 300 + 200 * len(sent),
            budget=budget,
        )

    def has(
        self, requester: Requester, room_id: str, user_id: str, event_id: str, since: int
    ) -> bool:
        """Whether a device that comes back with `since` has a membership event.

        An answer that was on its way when the client asked again with an older token counts as
        lost.
        """
        sent = self._sent.get((requester.user_id, requester.device_id, room_id))
        if isinstance(sent, Missing):
            return False
        known = sent.get(user_id)
        return known is not None and known[0] == event_id and known[1] <= since

    def note(
        self, requester: Requester, room_id: str, members: Mapping[str, str], position: int
    ) -> None:
        """Membership events by user are in the answer that ends at a position."""
        if not members:
            return
        key = (requester.user_id, requester.device_id, room_id)
        sent = self._sent.get(key)
        if isinstance(sent, Missing) or len(sent) + len(members) > _MEMBERS_PER_ROOM:
            sent = {}
        for user_id, event_id in members.items():
            # Sent before and confirmed: stays confirmed.
            if user_id not in sent or sent[user_id][0] != event_id:
                sent[user_id] = (event_id, position)
        self._sent.set(key, sent)
