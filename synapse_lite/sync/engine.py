"""The sync engine: what has happened for a user between two positions.

Works in any process: it only reads, up to positions that were taken at its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..types.tokens import StreamToken
from ..util.json import JsonDict
from .ephemeral import EphemeralEvents
from .personal import PersonalData, PersonalReads
from .plan import Planner, RoomPlan, SyncPlan
from .positions import Positions, bounded
from .presence import PresenceEvents
from .request import Bundles, Formatter, PushRules, SyncRequest, Unread, Visibility
from .rooms import RoomPart, RoomParts
from .stripped import StrippedRooms
from .unread import UnreadSections

__all__ = ["SyncAnswer", "SyncEngine"]

_NO_KEYS: JsonDict = {
    "device_one_time_keys_count": {"signed_curve25519": 0},
    "device_unused_fallback_key_types": [],
}
"""What clients look for in every answer: how many of the device's keys are left."""


@attrs.frozen
class SyncAnswer:
    """An answer up to a position; `body` lacks only `next_batch`."""

    position: StreamToken
    body: JsonDict

    @property
    def is_empty(self) -> bool:
        """Whether it tells nothing."""
        return not self.body

    def to_json(self) -> JsonDict:
        """The answer as JSON; rooms are in it as ready bytes."""
        return {"next_batch": self.position.to_text(), **_NO_KEYS, **self.body}


class SyncEngine:
    """Computes answers."""

    def __init__(
        self,
        hs: Homeserver,
        visibility: Visibility,
        formatter: Formatter,
        push_rules: PushRules,
        bundles: Bundles,
        unread: Unread,
    ) -> None:
        self.positions = hs.part(Positions)
        self._events = hs.part(EventsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._planner = hs.part(Planner)
        self._stripped = hs.part(StrippedRooms)
        self._ephemeral = hs.part(EphemeralEvents)
        self._personal = PersonalReads(hs, push_rules)
        self._presence = PresenceEvents(hs, self._personal.ignored_users)
        self._rooms = RoomParts(hs, visibility, formatter, bundles)
        self._unread = UnreadSections(unread, self._ephemeral)

    async def answer(self, request: SyncRequest) -> SyncAnswer:
        """What the client does not know yet."""
        now = await self._start(request.user_id)
        if request.since is None:
            plan = await self._planner.initial(request.user_id, now.events, request.filter)
            personal = await self._personal.everything(request)
            presence = await self._presence.everything(request)
        else:
            since = bounded(request.since, now)
            if since is not request.since:
                request = attrs.evolve(request, since=since)
            plan = await self._planner.incremental(
                request.user_id,
                since.events,
                now.events,
                request.filter,
                full_state=request.full_state,
            )
            new = [room_id for room_id, room in plan.joined.items() if not room.was_in]
            personal = await self._personal.changed(request, since, now, new)
            presence = await self._presence.changed(request, since, now, new)
            self._drop_quiet_rooms(request, since, plan, personal)
        body: JsonDict = {}
        if personal.everywhere:
            body["account_data"] = {"events": personal.everywhere}
        if presence:
            body["presence"] = {"events": presence}
        rooms = await self._room_sections(request, plan, personal, now)
        if rooms:
            body["rooms"] = rooms
        return SyncAnswer(now, body)

    async def _start(self, user_id: str) -> StreamToken:
        """The positions of the answer: not before a change of the user's memberships.

        What is kept of memberships may be ahead of the position by rows that are on their way.
        """
        now = self.positions.now()
        rooms = await self._memberships.get_rooms_for_user(user_id)
        newest = max((room.stream_ordering for room in rooms.values()), default=0)
        newest = max(newest, self._memberships.membership_changes.latest_change_of(user_id) or 0)
        if newest > now.events:
            await self.positions.reached(StreamToken(events=newest))
            now = self.positions.now()
        return now

    def _drop_quiet_rooms(
        self, request: SyncRequest, since: StreamToken, plan: SyncPlan, personal: PersonalData
    ) -> None:
        """Leave only rooms in the plan that may have news."""
        if request.full_state:
            return
        known = [room_id for room_id, room in plan.joined.items() if room.was_in]
        changes = self._events.change_cache("room_events_changed")
        busy = changes.changed_among(known, since.events)
        busy |= self._ephemeral.rooms_with_news(known, since)
        busy.update(personal.rooms)
        if personal.has_other_rules:
            busy.update(self._unread.rooms_with_other_rules(request.user_id, known))
        for room_id in known:
            if room_id not in busy:
                del plan.joined[room_id]

    async def _room_sections(
        self, request: SyncRequest, plan: SyncPlan, personal: PersonalData, now: StreamToken
    ) -> JsonDict:
        if not (plan.joined or plan.left or plan.invited or plan.knocked):
            return {}
        ignored = await self._personal.ignored_users(request.user_id)
        sections: JsonDict = {}
        if plan.joined or plan.left:
            parts = await self._rooms.build(request, plan.rooms(), now.events, ignored)
            joined = await self._joined(request, plan.joined, parts, personal, now, ignored)
            if joined:
                sections["join"] = joined
            left = {
                room_id: _left(request, parts[room_id], personal, room_id) for room_id in plan.left
            }
            if left:
                sections["leave"] = left
        if plan.invited and not await self._personal.blocks_invites(request.user_id):
            invited = await self._stripped.of_rooms(plan.invited, "invite_room_state", ignored)
            if invited:
                sections["invite"] = {
                    room_id: {"invite_state": {"events": events}}
                    for room_id, events in invited.items()
                }
        if plan.knocked:
            knocked = await self._stripped.of_rooms(plan.knocked, "knock_room_state", ())
            sections["knock"] = {
                room_id: {"knock_state": {"events": events}} for room_id, events in knocked.items()
            }
        return sections

    async def _joined(
        self,
        request: SyncRequest,
        plans: Mapping[str, RoomPlan],
        parts: Mapping[str, RoomPart],
        personal: PersonalData,
        now: StreamToken,
        ignored: frozenset[str],
    ) -> JsonDict:
        unread = await self._unread.of_rooms(request, plans, now, ignored)
        ephemeral = await self._ephemeral.of_rooms(
            request,
            [room_id for room_id, plan in plans.items() if plan.was_in],
            [room_id for room_id, plan in plans.items() if not plan.was_in],
            now,
            ignored,
        )
        joined = {}
        for room_id, plan in plans.items():
            part = parts[room_id]
            events = ephemeral.get(room_id, [])
            account_data = personal.rooms.get(room_id, [])
            counts, have_changed = unread[room_id]
            if not (part.has_news or plan.whole_state or events or account_data or have_changed):
                continue
            room: JsonDict = {
                "timeline": part.timeline,
                request.state_section: part.state,
                "ephemeral": {"events": events},
                "account_data": {"events": account_data},
                **counts,
            }
            if part.summary is not None:
                room["summary"] = part.summary
            joined[room_id] = room
        return joined


def _left(request: SyncRequest, part: RoomPart, personal: PersonalData, room_id: str) -> JsonDict:
    return {
        "timeline": part.timeline,
        request.state_section: part.state,
        "account_data": {"events": personal.rooms.get(room_id, [])},
    }
