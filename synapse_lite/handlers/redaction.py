"""Redactions on behalf of clients."""

from __future__ import annotations

from ..api.constants import MAX_ID_LENGTH, EventTypes
from ..events.auth import PowerLevels
from ..http.parameters import require_str
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..types.requester import Requester
from ..util.json import JsonDict
from .event_creation import EventCreationHandler
from .redaction_policy import RedactionPolicy
from .request_limits import RequestLimits
from .suspension import check_not_suspended


class RedactionHandler:
    """Sends m.room.redaction."""

    def __init__(self, hs: Homeserver) -> None:
        self._creation = hs.part(EventCreationHandler)
        self._policy = hs.part(RedactionPolicy)
        self._state = hs.part(CurrentStateWorkerStore)
        self._limits = hs.part(RequestLimits)
        self._moderators_apart = hs.config.ratelimiting.rc_admin_redaction is not None

    async def redact(
        self,
        requester: Requester,
        room_id: str,
        event_id: str,
        content: JsonDict,
        *,
        txn_id: str | None = None,
        origin_server_ts: int | None = None,
    ) -> str:
        """Redact an event; `content` may hold a `reason`. Returns the id of the redaction.

        Raises NotFoundError for an event that is not in the room, ForbiddenError.
        """
        if requester.is_suspended:
            redacted = await self._policy.redacted_event(room_id, event_id)
            if redacted.sender != requester.user_id:
                check_not_suspended(requester)
        return await self._creation.create_and_send(
            requester,
            room_id,
            EventTypes.REDACTION,
            {key: value for key, value in content.items() if key != "redacts"},
            redacts=event_id,
            txn_id=txn_id,
            ratelimit=not await self._is_counted_apart(requester, room_id, event_id),
            origin_server_ts=origin_server_ts,
        )

    async def redact_by_content(
        self,
        requester: Requester,
        room_id: str,
        content: JsonDict,
        *,
        txn_id: str | None = None,
        origin_server_ts: int | None = None,
    ) -> str:
        """`redact` where the content names the event, as PUT /rooms/{roomId}/send takes it."""
        return await self.redact(
            requester,
            room_id,
            require_str(content, "redacts", MAX_ID_LENGTH),
            content,
            txn_id=txn_id,
            origin_server_ts=origin_server_ts,
        )

    async def _is_counted_apart(self, requester: Requester, room_id: str, event_id: str) -> bool:
        """Whether this is moderation, which has a limit of its own where one is configured."""
        if not self._moderators_apart:
            return False
        version = await self._creation.room_version(room_id)
        keys = ((EventTypes.CREATE, ""), (EventTypes.POWER_LEVELS, ""))
        state = await self._state.get_current_state_events(room_id, keys=keys)
        levels = PowerLevels.of_state(state, version)
        if levels.of_user(requester.user_id) < levels.named("redact"):
            return False
        event = await self._policy.redacted_event(room_id, event_id)
        if event.sender == requester.user_id:
            return False
        self._limits.check(requester, "admin_redaction")
        return True
