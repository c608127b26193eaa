"""Who is in a room: joining, inviting, leaving, kicking, banning, knocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..api.constants import EventTypes, GuestAccess, Membership
from ..api.errors import (
    BadStateError,
    ForbiddenError,
    GuestAccessForbiddenError,
    InvalidParamError,
    InviteBlockedError,
    MatrixError,
    NotFoundError,
)
from ..events.event import Event
from ..events.room_versions import RoomVersion
from ..server import Homeserver
from ..storage.account_data import AccountDataWorkerStore
from ..storage.aliases import AliasesWorkerStore
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.profile import ProfileWorkerStore
from ..storage.rooms import RoomsWorkerStore
from ..types.ids import InvalidIdError, check_room_id, domain_of, parse_room_alias, parse_user_id
from ..types.requester import Requester
from ..util.async_helpers import Linearizer
from ..util.json import JsonDict
from .event_creation import EventCreationHandler
from .request_limits import RequestLimits
from .restricted_joins import RestrictedJoinPolicy
from .store_progress import EventsProgress
from .suspension import check_not_suspended

JOIN = "join"
INVITE = "invite"
LEAVE = "leave"
KICK = "kick"
BAN = "ban"
UNBAN = "unban"
KNOCK = "knock"

_MEMBERSHIPS: Mapping[str, str] = {
    JOIN: Membership.JOIN,
    INVITE: Membership.INVITE,
    LEAVE: Membership.LEAVE,
    KICK: Membership.LEAVE,
    BAN: Membership.BAN,
    UNBAN: Membership.LEAVE,
    KNOCK: Membership.KNOCK,
}

_PRESENT = (Membership.JOIN, Membership.INVITE, Membership.KNOCK)
_WITH_PROFILE = (Membership.JOIN, Membership.INVITE, Membership.KNOCK)
_OWN_LIMITS = (Membership.JOIN, Membership.INVITE)
_SET_BY_SERVER = "join_authorised_via_users_server"


@attrs.frozen
class _Change:
    """A change of membership that somebody asks for; `current` is the target's membership event."""

    requester: Requester
    target: str
    room_id: str
    room_version: RoomVersion
    action: str
    current: Event | None

    @property
    def membership(self) -> str:
        return _MEMBERSHIPS[self.action]

    @property
    def current_membership(self) -> str:
        membership = None if self.current is None else self.current.membership
        return membership or Membership.LEAVE

    @property
    def is_leaving_again(self) -> bool:
        """Whether somebody leaves who has left, or was kicked, before."""
        is_own = self.action == LEAVE and self.target == self.requester.user_id
        return is_own and self.current_membership == Membership.LEAVE


class MembershipHandler:
    """Changes memberships of rooms that this server is in, one at a time for each user and room."""

    def __init__(self, hs: Homeserver) -> None:
        self._creation = hs.part(EventCreationHandler)
        self._state = hs.part(CurrentStateWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._rooms = hs.part(RoomsWorkerStore)
        self._aliases = hs.part(AliasesWorkerStore)
        self._account_data = hs.part(AccountDataWorkerStore)
        self._profiles = hs.part(ProfileWorkerStore)
        self._restricted = hs.part(RestrictedJoinPolicy)
        self._limits = hs.part(RequestLimits)
        self._progress = hs.part(EventsProgress)
        self._is_mine = hs.is_mine
        self._server_name = hs.name
        self._only_admins_invite = hs.config.server.block_non_admin_invites
        self._changing = Linearizer("membership", clock=hs.clock)

    async def update_membership(
        self,
        requester: Requester,
        target: str,
        room_id: str,
        action: str,
        *,
        reason: str | None = None,
        content: JsonDict | None = None,
        txn_id: str | None = None,
    ) -> str:
        """Change the membership of a user, and return the id of the event that says so.

        `action` is one of the names in this module. `content` is what a client wants to have in
        the event besides; where it names no profile, that of the account is put in. A change to
        what is there already returns the event that is there; so does leaving after a kick.

        Raises ForbiddenError, BadStateError (unban), InvalidParamError, BadJsonError,
        LimitExceededError.
        """
        _check_user_id(target)
        version = await self._creation.room_version(room_id)
        async with self._changing.queue((room_id, target)):
            await self._progress.catch_up()
            current = await self._current(room_id, target)
            change = _Change(requester, target, room_id, version, action, current)
            await self._check(change)
            await self._check_guest(change)
            if current is not None and change.is_leaving_again:
                return current.event_id
            self._count(change)
            return await self._creation.create_and_send(
                requester,
                room_id,
                EventTypes.MEMBER,
                await self._content_of(change, reason, content or {}),
                state_key=target,
                txn_id=txn_id,
                ratelimit=change.membership not in _OWN_LIMITS,
            )

    async def join_room(
        self,
        requester: Requester,
        room_id_or_alias: str,
        servers: Sequence[str] = (),
        content: JsonDict | None = None,
    ) -> str:
        """Join a room, and return its id. Who is in already stays so, without an event.

        `servers` may know the room. Raises as `update_membership`; NotFoundError for a room or an
        alias that does not exist, a MatrixError of 502 for one that only other servers know.
        """
        room_id = await self._reachable_room(room_id_or_alias, servers)
        user_id = requester.user_id
        is_in = await self._is_joined(room_id, user_id)
        if is_in and await self._progress.catch_up():
            is_in = await self._is_joined(room_id, user_id)
        if not is_in:
            await self.update_membership(requester, user_id, room_id, JOIN, content=content)
        return room_id

    async def _current(self, room_id: str, user_id: str) -> Event | None:
        return await self._state.get_current_state_event(room_id, EventTypes.MEMBER, user_id)

    async def _is_joined(self, room_id: str, user_id: str) -> bool:
        current = await self._current(room_id, user_id)
        return current is not None and current.membership == Membership.JOIN

    async def knock_room(
        self,
        requester: Requester,
        room_id_or_alias: str,
        servers: Sequence[str] = (),
        reason: str | None = None,
    ) -> str:
        """Ask to be let into a room, and return its id. Raises as `join_room`."""
        room_id = await self._reachable_room(room_id_or_alias, servers)
        await self.update_membership(requester, requester.user_id, room_id, KNOCK, reason=reason)
        return room_id

    # Which room

    async def _reachable_room(self, room_id_or_alias: str, servers: Sequence[str]) -> str:
        """The id of a room that this server is in."""
        if room_id_or_alias.startswith("#"):
            room_id = await self._room_of_alias(room_id_or_alias)
        else:
            room_id = _check_room_id(room_id_or_alias)
        if await self._is_here(room_id):
            return room_id
        others = [server for server in servers if server != self._server_name]
        if not others:
            raise NotFoundError("This server does not know the room")
        raise _unreachable("No server could help with joining the room")

    async def _room_of_alias(self, alias: str) -> str:
        try:
            parse_room_alias(alias)
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
        room_id = await self._aliases.get_room_id_of_alias(alias)
        if room_id is not None:
            return room_id
        if self._is_mine(alias):
            raise NotFoundError(f"The alias {alias} does not exist")
        raise _unreachable(f"The server of {alias} could not be asked")

    async def _is_here(self, room_id: str) -> bool:
        """Whether this server knows the room's state: it is in the room, or nobody is."""
        if not await self._rooms.has_room(room_id):
            return False
        hosts = await self._memberships.get_hosts_in_room(room_id)
        return self._server_name in hosts or not hosts

    # What is allowed, besides the authorisation rules

    async def _check(self, change: _Change) -> None:
        if change.action != LEAVE or change.target != change.requester.user_id:
            check_not_suspended(change.requester)
        if change.action == KICK and change.current_membership not in _PRESENT:
            raise ForbiddenError(f"{change.target} is not in the room")
        if change.action == UNBAN and change.current_membership != Membership.BAN:
            raise BadStateError(f"{change.target} is not banned from the room")
        if change.action == KNOCK and not change.room_version.knock:
            raise ForbiddenError("This room version has no knocking")
        if change.action == INVITE:
            await self.check_invites(change.requester, (change.target,))

    async def _check_guest(self, change: _Change) -> None:
        """Raise GuestAccessForbiddenError for a guest where guests may not join."""
        joins = change.action == JOIN and change.current_membership != Membership.JOIN
        if not joins or not change.requester.is_guest:
            return
        access = await self._state.get_current_state_event(
            change.room_id, EventTypes.GUEST_ACCESS, ""
        )
        if not lets_guests_in(access):
            raise GuestAccessForbiddenError("This room does not let guests in")

    async def check_invites(self, requester: Requester, targets: Sequence[str]) -> None:
        """Whether the requester may invite these users to any room at all.

        Raises ForbiddenError, InviteBlockedError for users who take no invites, or a MatrixError
        of 502 for users of other servers.
        """
        if targets and self._only_admins_invite and not requester.is_admin:
            raise ForbiddenError("Only administrators of this server may invite")
        for target in targets:
            if not self._is_mine(target):
                raise _unreachable(f"The server of {target} could not be asked")
            if await self._account_data.blocks_invites(target):
                raise InviteBlockedError(f"{target} takes no invites")

    def _count(self, change: _Change) -> None:
        """Count the change against the limits. Raises LimitExceededError."""
        if change.action == JOIN and change.current_membership != Membership.JOIN:
            self._limits.check(change.requester, "rc_joins.local")
            self._limits.check(change.requester, "rc_joins_per_room", change.room_id)
        elif change.action == INVITE:
            self.count_invites(change.requester, change.room_id, [change.target])

    def count_invites(self, requester: Requester, room_id: str, targets: Sequence[str]) -> None:
        """Count invites against their limits. Raises LimitExceededError."""
        for target in targets:
            self._limits.check(requester, "rc_invites.per_room", room_id)
            self._limits.check(requester, "rc_invites.per_user", target)
            self._limits.check(requester, "rc_invites.per_issuer")

    # Content

    async def _content_of(self, change: _Change, reason: str | None, extra: JsonDict) -> JsonDict:
        content = {**extra, "membership": change.membership}
        content.pop(_SET_BY_SERVER, None)
        if reason is not None:
            content["reason"] = reason
        if change.membership in _WITH_PROFILE:
            content = {**await self.profile_of(change.target), **content}
        if change.membership == Membership.JOIN and change.target == change.requester.user_id:
            authoriser = await self._restricted.authoriser_for(
                change.target, change.room_id, change.room_version, change.current_membership
            )
            if authoriser is not None:
                content[_SET_BY_SERVER] = authoriser
        return content

    async def profile_of(self, user_id: str) -> JsonDict:
        """What the membership event of a user of this server says of them."""
        profile = None
        if domain_of(user_id) == self._server_name:
            profile = await self._profiles.get_profile(user_id)
        if profile is None:
            return {}
        fields = {"displayname": profile.displayname, "avatar_url": profile.avatar_url}
        return {key: value for key, value in fields.items() if value is not None}


def lets_guests_in(access: Event | None) -> bool:
    """Whether guests may join a room with this `m.room.guest_access`."""
    return access is not None and access.content.get("guest_access") == GuestAccess.CAN_JOIN


def _unreachable(message: str) -> MatrixError:
    return MatrixError(message, status=502)


def _check_user_id(user_id: str) -> None:
    try:
        parse_user_id(user_id)
    except InvalidIdError as error:
        raise InvalidParamError(str(error)) from error


def _check_room_id(room_id: str) -> str:
    try:
        return check_room_id(room_id)
    except InvalidIdError as error:
        raise InvalidParamError(str(error)) from error
