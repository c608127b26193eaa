"""What clients send into rooms, handed to whoever knows about events of its type."""

from __future__ import annotations

from ..api.constants import EventTypes, Membership
from ..api.errors import BadJsonError
from ..server import Homeserver
from ..types.requester import Requester
from ..util.json import JsonDict
from .event_creation import EventCreationHandler
from .membership import MembershipHandler
from .redaction import RedactionHandler


class ClientEventsHandler:
    """Sends message events and state events (client-server API, "Sending events to a room")."""

    def __init__(self, hs: Homeserver) -> None:
        self._creation = hs.part(EventCreationHandler)
        self._memberships = hs.part(MembershipHandler)
        self._redactions = hs.part(RedactionHandler)

    async def send_message(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        content: JsonDict,
        *,
        txn_id: str | None = None,
        origin_server_ts: int | None = None,
    ) -> str:
        """Send an event that is no state, and return its id.

        Only application services may say when it was made. Raises as the handlers of its type.
        """
        timestamp = origin_server_ts if requester.app_service_id is not None else None
        if event_type == EventTypes.REDACTION:
            return await self._redactions.redact_by_content(
                requester, room_id, content, txn_id=txn_id, origin_server_ts=timestamp
            )
        return await self._creation.create_and_send(
            requester,
            room_id,
            event_type,
            content,
            txn_id=txn_id,
            origin_server_ts=timestamp,
        )

    async def send_state(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        state_key: str,
        content: JsonDict,
        *,
        origin_server_ts: int | None = None,
    ) -> str:
        """Set state of a room, and return the id of the event. Raises as `send_message`."""
        if event_type == EventTypes.MEMBER:
            return await self._set_membership(requester, room_id, state_key, content)
        timestamp = origin_server_ts if requester.app_service_id is not None else None
        return await self._creation.create_and_send(
            requester,
            room_id,
            event_type,
            content,
            state_key=state_key,
            origin_server_ts=timestamp,
        )

    async def _set_membership(
        self, requester: Requester, room_id: str, target: str, content: JsonDict
    ) -> str:
        membership = content.get("membership")
        if not isinstance(membership, str) or membership not in Membership.ALL:
            raise BadJsonError("'membership' must be a known membership")
        # The actions that only change a membership are named after it.
        return await self._memberships.update_membership(
            requester, target, room_id, membership, content=content
        )
