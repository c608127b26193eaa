"""Receipts and read markers of users of this server, on the master.

Client-server API, "Receipts" and "Read and unread markers".
"""

from __future__ import annotations

from collections.abc import Mapping

from ..api.constants import AccountDataTypes, Membership, ReceiptTypes
from ..api.errors import ForbiddenError, InvalidParamError, NotFoundError
from ..events.event import Event
from ..server import Homeserver
from ..storage.account_data import AccountDataStore
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.receipts import ReceiptsStore
from ..util.async_helpers import Linearizer
from .event_threads import thread_of
from .presence import PresenceHandler

UNTHREADED = ""

_RECEIPTS = (ReceiptTypes.READ, ReceiptTypes.READ_PRIVATE)
_TYPES = (*_RECEIPTS, ReceiptTypes.FULLY_READ)


class ReceiptsHandler:
    """Moves receipts and markers forward."""

    def __init__(self, hs: Homeserver) -> None:
        self._receipts = hs.part(ReceiptsStore)
        self._account_data = hs.part(AccountDataStore)
        self._events = hs.part(EventsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._presence = hs.part(PresenceHandler)
        self._clock = hs.clock
        self._moves = Linearizer("receipts", clock=hs.clock)

    async def receipt(
        self,
        user_id: str,
        room_id: str,
        receipt_type: str,
        event_id: str,
        thread_id: str = UNTHREADED,
    ) -> None:
        """The user has read up to an event: in a thread, in the main timeline, or altogether.

        Raises InvalidParamError for an unknown type and for a thread that the event is not in,
        ForbiddenError unless the user is in the room, and NotFoundError for an unknown event.
        """
        if receipt_type not in _TYPES:
            raise InvalidParamError(f"The type of a receipt is one of {', '.join(_TYPES)}")
        if thread_id and receipt_type == ReceiptTypes.FULLY_READ:
            raise InvalidParamError(f"{receipt_type} takes no thread_id")
        await self._check_joined(user_id, room_id)
        event = await self._event(room_id, event_id)
        if thread_id:
            await self._check_in_thread(event, thread_id)
        await self._move(user_id, event, receipt_type, thread_id)

    async def markers(self, user_id: str, room_id: str, events: Mapping[str, str]) -> None:
        """Move several kinds at once, each to its event. Nothing moves if one event is unknown.

        Raises ForbiddenError unless the user is in the room, and NotFoundError.
        """
        await self._check_joined(user_id, room_id)
        found = {kind: await self._event(room_id, event_id) for kind, event_id in events.items()}
        for kind, event in found.items():
            await self._move(user_id, event, kind, UNTHREADED)

    async def _move(self, user_id: str, event: Event, kind: str, thread_id: str) -> None:
        self._presence.active(user_id)
        # One after the other: the row of the receipt that goes further has the greater position.
        async with self._moves.queue((user_id, event.room_id)):
            if kind == ReceiptTypes.FULLY_READ:
                await self._move_marker(user_id, event)
                return
            await self._receipts.insert_receipt(
                event.room_id,
                kind,
                user_id,
                thread_id,
                event.event_id,
                _place(event),
                {"ts": self._clock.time_ms()},
            )

    async def _move_marker(self, user_id: str, event: Event) -> None:
        """Keep the marker as account data of the room, unless it stands there or further on."""
        kind = AccountDataTypes.FULLY_READ
        old = await self._account_data.get_room_account_data_by_type(user_id, event.room_id, kind)
        if old is not None:
            marked = await self._events.get_event(old["event_id"], allow_none=True)
            if marked is not None and _place(marked) >= _place(event):
                return
        content = {"event_id": event.event_id}
        await self._account_data.set_account_data(user_id, event.room_id, kind, content)

    async def _check_joined(self, user_id: str, room_id: str) -> None:
        membership, _ = await self._memberships.get_membership(user_id, room_id)
        if membership != Membership.JOIN:
            raise ForbiddenError(f"{user_id} is not in the room {room_id}")

    async def _event(self, room_id: str, event_id: str) -> Event:
        event = await self._events.get_event(event_id, allow_none=True)
        if event is None or event.room_id != room_id:
            raise NotFoundError("The room has no such event")
        return event

    async def _check_in_thread(self, event: Event, thread_id: str) -> None:
        if event.metadata.redacted_by is not None:
            return  # what it was related to is gone with its content
        if thread_id == await thread_of(event, self._relative):
            return
        # Clients also use the root to say that nothing of its thread was read beyond it.
        if thread_id != event.event_id:
            raise InvalidParamError("The event is not in the thread that thread_id names")

    async def _relative(self, event_id: str) -> Event | None:
        return await self._events.get_event(event_id, allow_none=True)


def _place(event: Event) -> int:
    place = event.metadata.stream_ordering
    assert place is not None, "a stored event has one"
    return place
