"""Who is online, as answers show it: users who share a room with the reader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import msgspec

from ..server import Homeserver
from ..storage.presence import PresenceWorkerStore, presence_content
from ..storage.room_mates import RoomMatesWorkerStore
from ..streams import PresenceRow
from ..types.tokens import StreamToken
from ..util.json import encode_json
from .request import SyncRequest

PRESENCE_TYPE = "m.presence"

_MAX_NEW_ROOMS = 20
"""Of so many new rooms the members are asked for one by one."""

_MAX_ENCODED = 20_000
_FRESH_MS = 1_000
"""So long the bytes of an event are shared: `last_active_ago` is right to the second."""


class PresenceEvents:
    """The `presence` of answers."""

    def __init__(
        self, hs: Homeserver, ignored_users: Callable[[str], Awaitable[Collection[str]]]
    ) -> None:
        self._clock = hs.clock
        self._is_enabled = hs.config.presence.enabled
        self._presence = hs.part(PresenceWorkerStore)
        self._mates = hs.part(RoomMatesWorkerStore)
        self._ignored_users = ignored_users
        # What readers share: the row, the time in seconds, and the bytes.
        self._encoded: dict[str, tuple[PresenceRow, int, msgspec.Raw]] = {}

    async def everything(self, request: SyncRequest) -> list[msgspec.Raw]:
        """All who share a room with the user and are not offline."""
        if not self._is_wanted(request):
            return []
        return await self._of(request, tuple(self._presence.present_users()))

    def _is_wanted(self, request: SyncRequest) -> bool:
        wanted = request.filter.presence
        return self._is_enabled and wanted.limit != 0 and wanted.wants(PRESENCE_TYPE)

    async def changed(
        self,
        request: SyncRequest,
        since: StreamToken,
        now: StreamToken,
        new_rooms: Collection[str],
    ) -> list[msgspec.Raw]:
        """Those whose presence has changed since a position, and those who have come to share a
        room with the user since then and are not offline. Without either it costs nothing.
        """
        if not self._is_wanted(request):
            return []
        users = dict.fromkeys(self._presence.presence_changed_since(since.presence))
        if now.events > since.events and self._presence.present_users():
            users.update(dict.fromkeys(await self._newcomers(since.events, new_rooms)))
        return await self._of(request, users)

    async def _newcomers(self, since: int, new_rooms: Collection[str]) -> Collection[str]:
        """Users who are not offline, and of whom the client may not have been told."""
        moved = self._mates.membership_changes.all_changed_since(since)
        if moved is None or len(new_rooms) > _MAX_NEW_ROOMS:
            return list(self._presence.present_users())
        found = set(moved)
        for room_id in new_rooms:
            found |= await self._mates.get_local_users_in_room(room_id)
        return found & self._presence.present_users()

    async def _of(self, request: SyncRequest, users: Collection[str]) -> list[msgspec.Raw]:
        """The events of those of some users whom the reader may see and wants, latest last."""
        if not users:
            return []
        wanted = request.filter.presence
        ignored = await self._ignored_users(request.user_id)
        if ignored or wanted.is_selective:
            wants = wanted.wants
            users = [each for each in users if each not in ignored and wants(PRESENCE_TYPE, each)]
        mates = await self._mates.get_room_mates(request.user_id, users)
        users = [each for each in users if each in mates]
        if wanted.limit is not None:
            users = users[len(users) - min(wanted.limit, len(users)) :]
        now_ms = self._clock.time_ms()
        return [self._event(user_id, now_ms) for user_id in users]

    def _event(self, user_id: str, now_ms: int) -> msgspec.Raw:
        """The event of a user, encoded once for all readers of a moment."""
        row = self._presence.known_presence(user_id)
        assert row is not None, "of nobody else there is a change"
        moment = now_ms // _FRESH_MS
        known = self._encoded.get(user_id)
        if known is not None and known[0] is row and known[1] == moment:
            return known[2]
        event = {
            "type": PRESENCE_TYPE,
            "sender": user_id,
            "content": presence_content(row, now_ms),
        }
        encoded = msgspec.Raw(encode_json(event))
        if len(self._encoded) >= _MAX_ENCODED:
            self._encoded.clear()
        self._encoded[user_id] = (row, moment, encoded)
        return encoded
