"""The master's event sink: limits and checks, then the persist queue."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.errors import ForbiddenError, InvalidParamError, LimitExceededError
from ..events.context import EventContext
from ..events.event import Event
from ..events.validation import check_pdu_format
from ..replication.send_event import EventSink, NewEvent, PersistedEvent
from ..server import Homeserver
from ..storage.persist_events import ClientTxn
from ..types.requester import Requester
from ..util.ratelimiter import Ratelimiter
from .event_persister import EventPersister
from .presence import PresenceHandler
from .room_preparation import EventToPersist

__all__ = ["EventPersister", "EventToPersist", "LocalEventSink"]

_MAX_TXN_ID_LENGTH = 255


class LocalEventSink(EventSink):
    """Takes events of this server's users, from handlers here and from workers.

    What a worker has checked is checked again, because the room may have changed meanwhile.
    """

    def __init__(self, hs: Homeserver) -> None:
        self._persister = hs.part(EventPersister)
        self._presence = hs.part(PresenceHandler)
        self._is_mine = hs.is_mine
        limit = hs.config.ratelimiting.rc_message
        self._messages = Ratelimiter(hs.clock, limit.per_second, limit.burst_count)

    async def persist(
        self,
        event: Event,
        context: EventContext,
        requester: Requester,
        *,
        ratelimit: bool = True,
        txn_id: str | None = None,
    ) -> PersistedEvent:
        """See EventSink.

        Raises ForbiddenError, LimitExceededError, BadJsonError and TooLargeError.
        """
        self._check(event, requester)
        self._limit(requester, ratelimit)
        txn = None
        if txn_id is not None:
            txn = _client_txn(requester, event.room_id, txn_id)
            # Whoever made the event may have put what the client sent, without the endpoint.
            event.metadata.txn_id = event.metadata.txn_id or txn_id
            event.metadata.device_id = requester.device_id
        self._presence.active(requester.user_id)
        return await self._persister.persist(EventToPersist(event, context, is_local=True, txn=txn))

    async def persist_many(
        self, events: Sequence[NewEvent], requester: Requester, *, ratelimit: bool = True
    ) -> list[PersistedEvent]:
        """See EventSink; a batch counts as one event for the limit."""
        for event, _ in events:
            self._check(event, requester)
        self._limit(requester, ratelimit)
        return await self._persister.persist_many(
            [EventToPersist(event, context, is_local=True) for event, context in events]
        )

    def _check(self, event: Event, requester: Requester) -> None:
        if not self._is_mine(event.sender) or event.sender != requester.user_id:
            raise ForbiddenError("Events can only be sent in one's own name")
        check_pdu_format(event.pdu, event.room_version)

    def _limit(self, requester: Requester, ratelimit: bool) -> None:
        """Application services are not limited: they relay what others have sent."""
        if not ratelimit or requester.app_service_id is not None:
            return
        retry_after_ms = self._messages.check(requester.user_id)
        if retry_after_ms:
            raise LimitExceededError(retry_after_ms=retry_after_ms)


def _client_txn(requester: Requester, room_id: str, txn_id: str) -> ClientTxn:
    if len(txn_id) > _MAX_TXN_ID_LENGTH or "\0" in txn_id:
        raise InvalidParamError("The transaction id is too long or has a null character")
    return ClientTxn(requester.user_id, requester.device_id or "", room_id, txn_id)
