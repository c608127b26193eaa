"""Which servers must have signed an event.

The signatures themselves are checked where the keys are at hand, on receipt of the event.
"""

from __future__ import annotations

from ...api.constants import EventTypes, Membership
from ...types.ids import domain_of
from ..event import Event


def required_signers(event: Event) -> frozenset[str]:
    """The names of the servers without whose valid signature the event is dropped.

    The sender's server, unless the event is an invite made from a third-party invite; the server
    in the event id in versions 1 and 2; the server of the user who authorised a restricted join.
    """
    signers = set()
    if not _is_third_party_invite(event):
        signers.add(domain_of(event.sender))
    if not event.room_version.event_id_is_hash:
        signers.add(domain_of(event.event_id))
    authoriser = authorising_user(event)
    if authoriser is not None:
        signers.add(domain_of(authoriser))
    return frozenset(signers)


def authorising_user(event: Event) -> str | None:
    """The user by whose right to invite a restricted join is made, if the event names one."""
    if event.type != EventTypes.MEMBER or not event.room_version.restricted_join:
        return None
    authoriser = event.content.get("join_authorised_via_users_server")
    return authoriser if isinstance(authoriser, str) else None


def _is_third_party_invite(event: Event) -> bool:
    return event.membership == Membership.INVITE and "third_party_invite" in event.content
