"""Authorisation of m.room.member (room versions, the rule with one part for each membership)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from ...api.constants import EventTypes, JoinRules, Membership
from ...api.errors import ForbiddenError
from ...crypto.signing import signing_key_ids
from ...types.ids import domain_of
from ..event import Event, StateKey
from ..room_versions import RoomVersion
from .power_levels import PowerLevels
from .room import can_invite, creators_of, join_rule_of, membership_of
from .third_party import check_third_party_invite


@attrs.frozen
class _Change:
    """A membership event together with what its rules look at."""

    event: Event
    state: Mapping[StateKey, Event]
    levels: PowerLevels
    target: str

    @property
    def version(self) -> RoomVersion:
        return self.event.room_version

    @property
    def sender(self) -> str:
        return self.event.sender

    @property
    def sender_membership(self) -> str:
        return membership_of(self.sender, self.state)

    @property
    def target_membership(self) -> str:
        return membership_of(self.target, self.state)

    def require_joined_sender(self) -> None:
        if self.sender_membership != Membership.JOIN:
            raise ForbiddenError(f"{self.sender} is not in the room")

    def require_level(self, name: str) -> None:
        needed = self.levels.named(name)
        if self.levels.of_user(self.sender) < needed:
            raise ForbiddenError(f"{self.sender} lacks the power level of {needed} to {name}")

    def require_above_target(self) -> None:
        if self.levels.of_user(self.target) >= self.levels.of_user(self.sender):
            raise ForbiddenError(f"{self.sender} does not stand above {self.target}")


def check_membership(event: Event, state: Mapping[StateKey, Event], levels: PowerLevels) -> None:
    """Raise ForbiddenError unless the rules allow this change of membership."""
    if event.state_key is None or event.membership is None:
        raise ForbiddenError("A membership event needs a state key and a membership")
    check = _CHECKS.get(event.membership)
    if check is None or (event.membership == Membership.KNOCK and not event.room_version.knock):
        raise ForbiddenError("This membership is unknown")
    _check_authoriser_signature(event)
    check(_Change(event, state, levels, event.state_key))


def _check_authoriser_signature(event: Event) -> None:
    """The authorising server must have signed; whether rightly is checked on receipt."""
    key = "join_authorised_via_users_server"
    if not event.room_version.restricted_join or key not in event.content:
        return
    authoriser = event.content[key]
    if not isinstance(authoriser, str):
        raise ForbiddenError(f"{key} is not a user id")
    if not signing_key_ids(event.pdu, domain_of(authoriser)):
        raise ForbiddenError(f"The server of {authoriser} has not signed the membership event")


def _check_join(change: _Change) -> None:
    if _is_first_join_of_creator(change):
        return
    if change.sender != change.target:
        raise ForbiddenError("Nobody can join on behalf of another user")
    membership = change.target_membership
    if membership == Membership.BAN:
        raise ForbiddenError(f"{change.target} is banned from the room")
    rule = join_rule_of(change.state)
    if rule == JoinRules.PUBLIC:
        return
    if rule not in _joinable_rules(change.version):
        raise ForbiddenError("The join rule of the room lets nobody join")
    if membership in (Membership.INVITE, Membership.JOIN):
        return
    if rule not in _RESTRICTED_RULES:
        raise ForbiddenError(f"{change.target} is not invited to the room")
    authoriser = change.event.content.get("join_authorised_via_users_server")
    if not isinstance(authoriser, str) or not can_invite(authoriser, change.state):
        raise ForbiddenError("Joining this room takes an invite, or a member who may authorise it")


def _is_first_join_of_creator(change: _Change) -> bool:
    create = change.state.get((EventTypes.CREATE, ""))
    return (
        create is not None
        and change.event.prev_event_ids == (create.event_id,)
        and _is_first_creator(change.target, create, change.state)
    )


def _is_first_creator(user_id: str, create: Event, state: Mapping[StateKey, Event]) -> bool:
    if create.room_version.implicit_room_creator:
        return user_id == create.sender
    return user_id in creators_of(state)


_RESTRICTED_RULES = (JoinRules.RESTRICTED, JoinRules.KNOCK_RESTRICTED)


def _joinable_rules(version: RoomVersion) -> set[str]:
    """The join rules, besides "public", that the version has ways into the room for."""
    rules = {JoinRules.INVITE}
    if version.knock:
        rules.add(JoinRules.KNOCK)
    if version.restricted_join:
        rules.add(JoinRules.RESTRICTED)
    if version.knock_restricted:
        rules.add(JoinRules.KNOCK_RESTRICTED)
    return rules


def _check_invite(change: _Change) -> None:
    if "third_party_invite" in change.event.content:
        check_third_party_invite(change.event, change.state)
        return
    change.require_joined_sender()
    if change.target_membership == Membership.JOIN:
        raise ForbiddenError(f"{change.target} is already in the room")
    if change.target_membership == Membership.BAN:
        raise ForbiddenError(f"{change.target} is banned from the room")
    change.require_level("invite")


def _check_leave(change: _Change) -> None:
    if change.sender == change.target:
        leavable = [Membership.INVITE, Membership.JOIN]
        if change.version.knock:
            leavable.append(Membership.KNOCK)
        if change.target_membership not in leavable:
            raise ForbiddenError(f"{change.target} is not in the room")
        return
    change.require_joined_sender()
    if change.target_membership == Membership.BAN:
        change.require_level("ban")
    change.require_level("kick")
    change.require_above_target()


def _check_ban(change: _Change) -> None:
    change.require_joined_sender()
    change.require_level("ban")
    change.require_above_target()


def _check_knock(change: _Change) -> None:
    rule = join_rule_of(change.state)
    knockable = rule == JoinRules.KNOCK or (
        rule == JoinRules.KNOCK_RESTRICTED and change.version.knock_restricted
    )
    if not knockable:
        raise ForbiddenError("The join rule of the room does not allow knocking")
    if change.sender != change.target:
        raise ForbiddenError("Nobody can knock on behalf of another user")
    if change.sender_membership in (Membership.BAN, Membership.INVITE, Membership.JOIN):
        raise ForbiddenError(f"{change.sender} cannot knock: membership {change.sender_membership}")


_CHECKS: dict[str, Callable[[_Change], None]] = {
    Membership.JOIN: _check_join,
    Membership.INVITE: _check_invite,
    Membership.LEAVE: _check_leave,
    Membership.BAN: _check_ban,
    Membership.KNOCK: _check_knock,
}
