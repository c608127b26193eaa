"""Receipts and read markers (client-server API, "Receipts", "Read and unread markers")."""

from __future__ import annotations

from ...api.constants import ReceiptTypes
from ...api.errors import InvalidParamError
from ...api.urls import CLIENT
from ...handlers.receipts import UNTHREADED, ReceiptsHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import check_str, optional_str
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_MAX_ID_BYTES = 255
_MAX_BODY_BYTES = 16 * 1024


@endpoint(
    "POST",
    CLIENT,
    "/rooms/{room_id}/receipt/{receipt_type}/{event_id}",
    max_body_bytes=_MAX_BODY_BYTES,
)
class SendReceipt(Servlet):
    """The user has read up to an event."""

    def __init__(self, hs: Homeserver) -> None:
        self._receipts = hs.part(ReceiptsHandler)

    async def answer(
        self,
        request: Request,
        requester: Requester,
        room_id: str,
        receipt_type: str,
        event_id: str,
    ) -> JsonDict:
        thread_id = _thread_id(request.json_or_empty())
        await self._receipts.receipt(requester.user_id, room_id, receipt_type, event_id, thread_id)
        return {}


@endpoint(
    "POST",
    CLIENT,
    "/rooms/{room_id}/read_markers",
    max_body_bytes=_MAX_BODY_BYTES,
)
class SetReadMarkers(Servlet):
    """Move the read marker and receipts, in one request."""

    def __init__(self, hs: Homeserver) -> None:
        self._receipts = hs.part(ReceiptsHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        body = request.json_or_empty()
        events: dict[str, str] = {}
        for kind in (ReceiptTypes.FULLY_READ, ReceiptTypes.READ, ReceiptTypes.READ_PRIVATE):
            event_id = optional_str(body, kind, max_bytes=_MAX_ID_BYTES)
            if event_id is not None:
                events[kind] = event_id
        await self._receipts.markers(requester.user_id, room_id, events)
        return {}


def _thread_id(body: JsonDict) -> str:
    """The thread that the body names. Raises InvalidParamError, as the specification wants it."""
    if "thread_id" not in body:
        return UNTHREADED
    value = body["thread_id"]
    if not isinstance(value, str) or not value:
        raise InvalidParamError("thread_id must be a non-empty string")
    return check_str(value, "thread_id", _MAX_ID_BYTES)


SERVLETS: tuple[type[Servlet], ...] = (SendReceipt, SetReadMarkers)
