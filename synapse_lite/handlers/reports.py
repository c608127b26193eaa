"""Reports of rooms, events and users (client-server API, "Reporting Content").

Reports of rooms and users are taken whether this server knows them or not: the answer, and the
time that it takes, tell nobody what exists here. Who reads the reports sees it.
"""

from __future__ import annotations

from ..api.constants import Membership
from ..api.errors import InvalidParamError, NotFoundError
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.reports import Report, ReportsStore
from ..types.ids import InvalidIdError, check_room_id, parse_user_id
from ..types.requester import Requester

MAX_REASON_BYTES = 16 * 1024


class ReportsHandler:
    """Takes reports, in the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(ReportsStore)
        self._events = hs.part(EventsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)

    async def report_room(self, requester: Requester, room_id: str, reason: str) -> None:
        """Report a room. Raises InvalidParamError for what is no room id."""
        try:
            check_room_id(room_id)
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
        await self._store.add_report(Report(requester.user_id, room_id=room_id, reason=reason))

    async def report_user(self, requester: Requester, user_id: str, reason: str) -> None:
        """Report a user. Raises InvalidParamError for what is no user id."""
        try:
            parse_user_id(user_id)
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
        await self._store.add_report(
            Report(requester.user_id, reported_user=user_id, reason=reason)
        )

    async def report_event(
        self,
        requester: Requester,
        room_id: str,
        event_id: str,
        reason: str | None,
        score: int | None,
    ) -> None:
        """Report an event of a room that the requester has joined.

        Raises NotFoundError, the same whether there is no such event or the requester is not in
        the room.
        """
        membership, _ = await self._memberships.get_membership(requester.user_id, room_id)
        event = await self._events.get_event(event_id, allow_none=True)
        if membership != Membership.JOIN or event is None or event.room_id != room_id:
            raise NotFoundError("The event was not found or you are not joined to the room")
        await self._store.add_report(
            Report(
                requester.user_id,
                room_id=room_id,
                event_id=event_id,
                reported_user=event.sender,
                reason=reason,
                score=score,
            )
        )
