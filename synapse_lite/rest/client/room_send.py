"""Sending events into rooms (client-server API, "Sending events to a room", "Redactions")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.client_events import ClientEventsHandler
from ...handlers.redaction import RedactionHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_CREATOR = ("event_creator",)


def _timestamp(request: Request) -> int | None:
    """When the event was made, in ms: for application services."""
    return request.query_int("ts", None)


@endpoint(
    "PUT",
    CLIENT,
    "/rooms/{room_id}/send/{event_type}/{txn_id}",
    served_by=_CREATOR,
    auth=Auth.GUEST,
)
@endpoint("POST", CLIENT, "/rooms/{room_id}/send/{event_type}", served_by=_CREATOR, auth=Auth.GUEST)
class SendMessage(Servlet):
    """Send an event that is no state; PUT is safe to repeat."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(ClientEventsHandler)

    async def answer(
        self,
        request: Request,
        requester: Requester,
        room_id: str,
        event_type: str,
        txn_id: str | None = None,
    ) -> JsonDict:
        event_id = await self._handler.send_message(
            requester,
            room_id,
            event_type,
            request.json(),
            txn_id=txn_id,
            origin_server_ts=_timestamp(request),
        )
        return {"event_id": event_id}


@endpoint(
    "PUT",
    CLIENT,
    "/rooms/{room_id}/state/{event_type}/{state_key}",
    served_by=_CREATOR,
    auth=Auth.GUEST,
)
@endpoint(
    "PUT",
    CLIENT,
    "/rooms/{room_id}/state/{event_type}",
    served_by=_CREATOR,
    auth=Auth.GUEST,
    trailing_slash=True,
)
class SetState(Servlet):
    """Set state of a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(ClientEventsHandler)

    async def answer(
        self,
        request: Request,
        requester: Requester,
        room_id: str,
        event_type: str,
        state_key: str = "",
    ) -> JsonDict:
        event_id = await self._handler.send_state(
            requester,
            room_id,
            event_type,
            state_key,
            request.json(),
            origin_server_ts=_timestamp(request),
        )
        return {"event_id": event_id}


@endpoint("PUT", CLIENT, "/rooms/{room_id}/redact/{event_id}/{txn_id}", served_by=_CREATOR)
@endpoint("POST", CLIENT, "/rooms/{room_id}/redact/{event_id}", served_by=_CREATOR)
class RedactEvent(Servlet):
    """Redact an event."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(RedactionHandler)

    async def answer(
        self,
        request: Request,
        requester: Requester,
        room_id: str,
        event_id: str,
        txn_id: str | None = None,
    ) -> JsonDict:
        redaction_id = await self._handler.redact(
            requester, room_id, event_id, request.json_or_empty(), txn_id=txn_id
        )
        return {"event_id": redaction_id}


SERVLETS: tuple[type[Servlet], ...] = (SendMessage, SetState, RedactEvent)
