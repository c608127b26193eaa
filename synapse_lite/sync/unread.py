"""How much of each room the user has not read (client-server API, "Receiving notifications")."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..types.tokens import StreamToken
from ..types.unread import Count, RoomCounts
from ..util.json import JsonDict
from .ephemeral import EphemeralEvents
from .plan import RoomPlan
from .request import SyncRequest, Unread

_NOTHING = {"notification_count": 0, "highlight_count": 0}


class UnreadSections:
    """The counts in the rooms of answers."""

    def __init__(self, unread: Unread, ephemeral: EphemeralEvents) -> None:
        self._unread = unread
        self._ephemeral = ephemeral

    def rooms_with_other_rules(self, user_id: str, room_ids: Iterable[str]) -> Collection[str]:
        """Rooms whose counts may have changed with the user's push rules."""
        return self._unread.changed_by_rules(user_id, room_ids)

    async def of_rooms(
        self,
        request: SyncRequest,
        plans: Mapping[str, RoomPlan],
        now: StreamToken,
        ignored: frozenset[str],
    ) -> dict[str, tuple[JsonDict, bool]]:
        """For each room its counts, and whether they may have changed for the client.

        Then the room is told, also when there is nothing else to tell of it.
        """
        counts = await self._unread.of_rooms(request.user_id, plans, now.events, ignored)
        since = request.since
        if since is None:
            return {
                room_id: (_section(request, of_room), True) for room_id, of_room in counts.items()
            }
        read = await self._ephemeral.rooms_read_by(request.user_id, plans, since)
        return {
            room_id: (
                _section(request, of_room),
                room_id in read
                or of_room.changed_at > since.events
                or of_room.rules_at > since.push_rules,
            )
            for room_id, of_room in counts.items()
        }


def _section(request: SyncRequest, counts: RoomCounts) -> JsonDict:
    if not request.filter.timeline.unread_thread_notifications:
        return {"unread_notifications": _form(counts.whole)}
    section: JsonDict = {"unread_notifications": _form(counts.main)}
    if counts.threads:
        section["unread_thread_notifications"] = {
            thread_id: _form(count) for thread_id, count in counts.threads.items()
        }
    return section


def _form(count: Count) -> JsonDict:
    if not count.notifications:
        return _NOTHING
    return {
        "notification_count": count.notifications,
        "highlight_count": count.highlights,
    }
