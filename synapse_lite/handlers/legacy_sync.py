"""What the first version of the API had instead of /sync, made of the answers of /sync.

Client-server API, GET /initialSync, GET /rooms/{roomId}/initialSync and GET /events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ..api.constants import EventTypes, Membership
from ..api.errors import InvalidParamError
from ..notifier import Notifier
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.public_rooms import PublicRoomsWorkerStore
from ..storage.timeline import TimelineWorkerStore
from ..sync.engine import SyncAnswer
from ..sync.filter import Filter, compile_filter
from ..sync.request import SyncRequest
from ..types.requester import Requester
from ..types.tokens import InvalidTokenError, StreamToken
from ..util.json import JsonDict, decode_stored_json
from .event_format import EventFormatter
from .messages import MessagesHandler, PageRequest
from .room_state import RoomStateReader
from .sync import MAX_TIMEOUT_MS, SyncHandler
from .visibility import EventVisibility

MAX_MESSAGES = 100
"""Most events of a room, in one answer."""

_NOTHING: JsonDict = {"types": []}
_ONLY_EVENTS = compile_filter(
    {
        "presence": _NOTHING,
        "account_data": _NOTHING,
        "room": {
            "timeline": {"limit": MAX_MESSAGES},
            "state": _NOTHING,
            "ephemeral": _NOTHING,
            "account_data": _NOTHING,
        },
    }
)
"""For the stream of events, which has nothing else."""


class LegacySync:
    """Answers /initialSync of a user or a room, in any process that answers /sync."""

    def __init__(self, hs: Homeserver) -> None:
        self._sync = hs.part(SyncHandler)
        self._public_rooms = hs.part(PublicRoomsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._events = hs.part(EventsWorkerStore)
        self._visibility = hs.part(EventVisibility)
        self._formatter = hs.part(EventFormatter)
        self._messages = hs.part(MessagesHandler)
        self._state = hs.part(RoomStateReader)

    async def everything(self, requester: Requester, limit: int, *, archived: bool) -> JsonDict:
        """All rooms of a user with their newest messages; left ones too, if `archived`."""
        wanted = compile_filter({"room": {"include_leave": archived, "timeline": {"limit": limit}}})
        answer = await self._answer(requester, wanted)
        return {
            "end": answer.position.to_text(),
            "rooms": await self._rooms(requester, answer),
            "presence": answer.body.get("presence", {}).get("events", []),
            "account_data": answer.body.get("account_data", {}).get("events", []),
        }

    async def room(self, requester: Requester, room_id: str, limit: int) -> JsonDict:
        """One room: as it is, as it was when the user left, or as everybody may see it.

        Raises ForbiddenError.
        """
        access = await self._visibility.check_readable(requester.user_id, room_id)
        if access.is_peeking:
            return await self._peek(requester, room_id, limit)
        wanted = compile_filter(
            {
                "room": {
                    "rooms": [room_id],
                    "include_leave": access.left is not None,
                    "timeline": {"limit": limit},
                }
            }
        )
        (room,) = await self._rooms(requester, await self._answer(requester, wanted))
        return {**room, "presence": []}

    async def _answer(self, requester: Requester, wanted: Filter) -> SyncAnswer:
        return await self._sync.initial_answer(
            SyncRequest(requester, wanted, None, state_after=True)
        )

    async def _rooms(self, requester: Requester, answer: SyncAnswer) -> list[JsonDict]:
        sections: Mapping[str, Mapping[str, JsonDict]] = answer.body.get("rooms", {})
        public = await self._public_rooms.get_public_room_ids()
        rooms = []
        for section, membership in (("join", Membership.JOIN), ("leave", Membership.LEAVE)):
            for room_id, part in sections.get(section, {}).items():
                room = _room(room_id, part, answer.position)
                room["membership"] = _own(room, requester.user_id) or membership
                room["visibility"] = "public" if room_id in public else "private"
                rooms.append(room)
        rooms += await self.invites(requester, sections.get("invite", {}))
        return rooms

    async def invites(self, requester: Requester, room_ids: Iterable[str]) -> list[JsonDict]:
        """Rooms to which a user is invited, with the event that says so."""
        known = await self._memberships.get_rooms_for_user(requester.user_id)
        event_ids = [known[room_id].event_id for room_id in room_ids if room_id in known]
        events = list((await self._events.get_events(event_ids)).values())
        shown = await self._formatter.to_client(events, requester)
        return [
            {
                "room_id": event.room_id,
                "membership": Membership.INVITE,
                "inviter": event.sender,
                "invite": invite,
            }
            for event, invite in zip(events, shown, strict=True)
        ]

    async def _peek(self, requester: Requester, room_id: str, limit: int) -> JsonDict:
        """A room that everybody may read."""
        position = self._sync.position()
        page = await self._messages.messages(
            requester, room_id, PageRequest("b", limit), _ONLY_EVENTS.rooms
        )
        return {
            "room_id": room_id,
            "messages": {
                "start": page.get("end", page["start"]),
                "end": position.to_text(),
                "chunk": page["chunk"][::-1],
            },
            "state": await self._state.state(requester, room_id),
            "visibility": (
                "public" if await self._public_rooms.is_published(room_id) else "private"
            ),
            "presence": [],
            "account_data": [],
            "receipts": [],
        }


class LegacyEvents:
    """Answers GET /events: waits for events of all rooms of a user, or of one room."""

    def __init__(self, hs: Homeserver) -> None:
        self._sync = hs.part(SyncHandler)
        self._rooms = hs.part(LegacySync)
        self._timeline = hs.part(TimelineWorkerStore)
        self._visibility = hs.part(EventVisibility)
        self._formatter = hs.part(EventFormatter)
        self._notifier = hs.part(Notifier)
        self._clock = hs.clock

    async def of_user(
        self, requester: Requester, from_token: str | None, timeout_ms: int
    ) -> JsonDict:
        """Events of all rooms since a token, or from now on. Of a room, the newest are shown.

        Raises InvalidParamError for a token that this server has not made.
        """
        since = self._start(from_token)
        request = SyncRequest(requester, _ONLY_EVENTS, since)
        answer = await self._sync.wait_for_answer(request, min(timeout_ms, MAX_TIMEOUT_MS))
        sections: Mapping[str, Mapping[str, JsonDict]] = answer.body.get("rooms", {})
        chunk: list[JsonDict | msgspec.Raw] = []
        for section in ("join", "leave"):
            for room_id, part in sections.get(section, {}).items():
                chunk += _events(room_id, part["timeline"])
        invites = await self._rooms.invites(requester, sections.get("invite", {}))
        chunk += [room["invite"] for room in invites]
        return _page(since, answer.position, chunk)

    async def of_room(
        self, requester: Requester, room_id: str, from_token: str | None, timeout_ms: int
    ) -> JsonDict:
        """Events of a room that the user is in, or that everybody may read.

        Raises ForbiddenError, InvalidParamError.
        """
        since = self._start(from_token)
        deadline = self._clock.time() + min(timeout_ms, MAX_TIMEOUT_MS) / 1000
        await self._sync.reached(since)
        with self._notifier.listen_to_room(room_id) as listener:
            while True:
                now = self._sync.position()
                chunk = await self._new_events(requester, room_id, since, now)
                if chunk or self._clock.time() >= deadline or not await listener.wait(deadline):
                    return _page(since, now, chunk)

    async def _new_events(
        self, requester: Requester, room_id: str, since: StreamToken, now: StreamToken
    ) -> list[msgspec.Raw]:
        access = await self._visibility.check_readable(requester.user_id, room_id, allow_left=False)
        found = await self._timeline.get_room_events_since(
            room_id, since.events, now.events, MAX_MESSAGES
        )
        events = await self._visibility.filter_for_user(
            requester.user_id, found.events, peeking=access.is_peeking
        )
        return await self._formatter.to_client(events, requester)

    def _start(self, text: str | None) -> StreamToken:
        if text is None:
            return self._sync.position()
        try:
            return StreamToken.from_text(text)
        except InvalidTokenError as error:
            raise InvalidParamError(f"from: {error}") from error


def _page(
    since: StreamToken, end: StreamToken, chunk: Iterable[JsonDict | msgspec.Raw]
) -> JsonDict:
    return {"start": since.to_text(), "end": end.to_text(), "chunk": list(chunk)}


def _room(room_id: str, part: JsonDict, position: StreamToken) -> JsonDict:
    """A room's part of an answer of /sync in the form of /initialSync."""
    timeline = decode_stored_json(bytes(part["timeline"]))
    receipts = part.get("ephemeral", {}).get("events", [])
    return {
        "room_id": room_id,
        "messages": {
            "start": timeline["prev_batch"],
            "end": position.to_text(),
            "chunk": [{**event, "room_id": room_id} for event in timeline["events"]],
        },
        "state": _events(room_id, part["state_after"]),
        "account_data": part["account_data"]["events"],
        "receipts": [event for event in receipts if event["type"] == "m.receipt"],
    }


def _events(room_id: str, section: msgspec.Raw) -> list[JsonDict]:
    """The events of a section, each with its room."""
    events = decode_stored_json(bytes(section))["events"]
    return [{**event, "room_id": room_id} for event in events]


def _own(room: JsonDict, user_id: str) -> str | None:
    """What the user is in the room, as far as the answer says so."""
    for event in reversed([*room["state"], *room["messages"]["chunk"]]):
        if event["type"] == EventTypes.MEMBER and event.get("state_key") == user_id:
            membership: str | None = event["content"].get("membership")
            return membership
    return None
