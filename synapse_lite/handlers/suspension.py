"""What suspended accounts may not do (client-server API, "Account suspension").

They may read, leave rooms, reject invites, redact their own events, log in and out, and look after
their devices and their account. They may not join, knock, invite, send, or change their profile.
"""

from __future__ import annotations

from ..api.constants import EventTypes, Membership
from ..api.errors import UserSuspendedError
from ..types.requester import Requester
from ..util.json import JsonDict


def check_not_suspended(requester: Requester) -> None:
    """Raise UserSuspendedError for what suspended accounts may not do at all."""
    if requester.is_suspended:
        raise UserSuspendedError("You cannot do this while your account is suspended")


def check_event_of_suspended(
    requester: Requester, event_type: str, state_key: str | None, content: JsonDict
) -> None:
    """Raise UserSuspendedError for events that suspended accounts may not send.

    Whose event a redaction concerns, `RedactionHandler` looks at.
    """
    if not requester.is_suspended or event_type == EventTypes.REDACTION:
        return
    leaves = (
        event_type == EventTypes.MEMBER
        and state_key == requester.user_id
        and content.get("membership") == Membership.LEAVE
    )
    if not leaves:
        check_not_suspended(requester)
