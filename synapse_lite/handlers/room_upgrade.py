"""Upgrades of rooms to another version (client-server API, module "Room Upgrades")."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred

from ..api.constants import EventTypes, Membership
from ..api.errors import ForbiddenError, MatrixError
from ..events.auth import PowerLevels
from ..events.event import Event, StateKey
from ..events.room_versions import RoomVersion
from ..replication.send_event import EventSink, SendEventPayload
from ..server import Homeserver
from ..storage.aliases import AliasesStore
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.public_rooms import PublicRoomsStore
from ..storage.room_upgrades import RoomUpgrade, RoomUpgradesStore
from ..storage.rooms import RoomsWorkerStore
from ..types.requester import Requester
from ..util.async_helpers import Linearizer
from ..util.background import run_in_background
from ..util.json import JsonDict
from . import upgraded_state
from .event_creation import EventCreationHandler
from .membership import MembershipHandler
from .new_room import NewRoom, new_room_id

logger = logging.getLogger(__name__)

_BANS_AT_ONCE = 100
"""So many bans are built before others get their turn."""

_CREATE: StateKey = (EventTypes.CREATE, "")
_LEVELS: StateKey = (EventTypes.POWER_LEVELS, "")
_CANONICAL: StateKey = (EventTypes.CANONICAL_ALIAS, "")
_TOMBSTONE: StateKey = (EventTypes.TOMBSTONE, "")
_LINKS = (EventTypes.SPACE_CHILD, EventTypes.SPACE_PARENT)


@attrs.frozen
class _Old:
    """The room that is replaced."""

    room_id: str
    state: dict[StateKey, Event]
    levels: PowerLevels

    @property
    def create(self) -> Event:
        return self.state[_CREATE]


class RoomUpgradeHandler:
    """Upgrades rooms, in the master; a duty of it too.

    What is to be done is noted before anything is written. The new room is stored in one commit;
    each later step can be repeated without harm. So an upgrade that was cut short is completed at
    the next start, or by the same request again, and one of which no room was stored has never
    been.
    """

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RoomUpgradesStore)
        self._state = hs.part(CurrentStateWorkerStore)
        self._rooms = hs.part(RoomsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._aliases = hs.part(AliasesStore)
        self._public_rooms = hs.part(PublicRoomsStore)
        self._creation = hs.part(EventCreationHandler)
        self._profiles = hs.part(MembershipHandler)
        self._sink = hs.part(EventSink)
        self._clock = hs.clock
        self._server_name = hs.name
        self._signing_key = hs.signing_key
        self._upgrading = Linearizer("room_upgrades", clock=hs.clock)
        self._resumed: list[Deferred[None]] = []

    async def start(self) -> None:
        """Complete what was left unfinished."""
        unfinished = await self._store.get_unfinished_upgrades()
        self._resumed = [run_in_background(self._resume, room_id) for room_id in unfinished]

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        for resumed in self._resumed:
            resumed.cancel()

    async def upgrade(
        self,
        requester: Requester,
        room_id: str,
        version: RoomVersion,
        additional_creators: Sequence[str] = (),
    ) -> str:
        """Replace a room, and return the id of the new one: the same to a repeated request.

        Raises ForbiddenError for who is not in the room or may not send m.room.tombstone, before
        anything is written.
        """
        async with self._upgrading.queue(room_id):
            old = await self._old_room(requester, room_id)
            last = await self._store.get_room_upgrade(room_id)
            if last is not None and await self._completed(last):
                old = await self._old_room(requester, room_id)
                if await self._is_same(last, requester, version, old):
                    return last.new_room_id
            return await self._replace(requester, old, version, additional_creators)

    async def _old_room(self, requester: Requester, room_id: str) -> _Old:
        """What is carried over of a room that the requester may replace. Raises ForbiddenError."""
        version = await self._creation.room_version(room_id)
        membership, _ = await self._memberships.get_membership(requester.user_id, room_id)
        if membership != Membership.JOIN:
            raise ForbiddenError("You are not in this room")
        single = [(event_type, "") for event_type in upgraded_state.COPIED]
        keys = (_CREATE, _LEVELS, _CANONICAL, _TOMBSTONE, *single)
        state = await self._state.get_current_state_events(room_id, keys=keys)
        levels = PowerLevels.of_state(state, version)
        needed = levels.required(EventTypes.TOMBSTONE, is_state=True)
        if levels.of_user(requester.user_id) < needed:
            raise ForbiddenError("You may not upgrade this room")
        return _Old(room_id, state, levels)

    async def _is_same(
        self, last: RoomUpgrade, requester: Requester, version: RoomVersion, old: _Old
    ) -> bool:
        """Whether the last upgrade is what is asked for again."""
        if (last.user_id, last.room_version) != (requester.user_id, version.identifier):
            return False
        tombstone = old.state.get(_TOMBSTONE)
        if tombstone is None or tombstone.content.get("replacement_room") != last.new_room_id:
            return False
        rooms = await self._memberships.get_rooms_for_user(requester.user_id)
        room = rooms.get(last.new_room_id)
        return room is not None and room.membership == Membership.JOIN

    # The new room

    async def _replace(
        self,
        requester: Requester,
        old: _Old,
        version: RoomVersion,
        additional_creators: Sequence[str],
    ) -> str:
        create = upgraded_state.create_content(
            old.create, version, requester.user_id, additional_creators
        )
        predecessor = {"room_id": old.room_id}
        if version.room_id_from_create_event:
            # Its id depends on what it holds, so it cannot name the event that names it.
            predecessor["event_id"] = await self._last_event_id(old.room_id)
            room = self._begin(requester, version, {**create, "predecessor": predecessor}, None)
            tombstone = await self._tombstone(requester, old, room.room_id)
        else:
            room_id = new_room_id(self._server_name)
            tombstone = await self._tombstone(requester, old, room_id)
            predecessor["event_id"] = tombstone.events[0][0].event_id
            room = self._begin(requester, version, {**create, "predecessor": predecessor}, room_id)
        creators = (requester.user_id, *additional_creators)
        await self._furnish(room, requester, old, version, creators)
        upgrade = RoomUpgrade(
            old.room_id,
            room.room_id,
            requester.user_id,
            version.identifier,
            tombstone.to_json(),
        )
        await self._store.begin_room_upgrade(upgrade)
        await self._sink.persist_many(room.events, requester, ratelimit=False)
        await self._complete(upgrade)
        return room.room_id

    async def _last_event_id(self, room_id: str) -> str:
        heads = (await self._state.get_room_heads(room_id)).heads
        return max(heads, key=lambda head: head.depth).event_id

    async def _tombstone(
        self, requester: Requester, old: _Old, new_room_id: str
    ) -> SendEventPayload:
        content = {"body": "This room has been replaced", "replacement_room": new_room_id}
        event = await self._creation.create_event(
            requester, old.room_id, EventTypes.TOMBSTONE, content, state_key=""
        )
        return SendEventPayload((event,), requester, False, None, is_batch=False)

    def _begin(
        self, requester: Requester, version: RoomVersion, create: JsonDict, room_id: str | None
    ) -> NewRoom:
        return NewRoom(
            version,
            requester.user_id,
            create,
            server_name=self._server_name,
            signing_key=self._signing_key,
            origin_server_ts=self._clock.time_ms(),
            room_id=room_id,
        )

    async def _furnish(
        self,
        room: NewRoom,
        requester: Requester,
        old: _Old,
        version: RoomVersion,
        creators: Sequence[str],
    ) -> None:
        """Add the creator, then all that is carried over, and at last the old power levels."""
        room.add_creator(await self._profiles.profile_of(requester.user_id))
        levels = upgraded_state.power_levels(old.levels, version, creators)
        first = upgraded_state.while_furnishing(levels, version, requester.user_id)
        room.add(EventTypes.POWER_LEVELS, first)
        for event_type in upgraded_state.COPIED:
            event = old.state.get((event_type, ""))
            if event is not None:
                content = dict(event.content)
                if event_type == EventTypes.JOIN_RULES:
                    content = upgraded_state.join_rules(content, old.room_id, version)
                room.add(event_type, content)
        await self._add_alias(room, old)
        await self._add_links(room, old)
        await self._add_bans(room, old)
        if first != levels:
            room.add(EventTypes.POWER_LEVELS, levels)

    async def _add_alias(self, room: NewRoom, old: _Old) -> None:
        event = old.state.get(_CANONICAL)
        if event is None:
            return
        moved = await self._aliases.get_aliases_for_room(old.room_id)
        content = upgraded_state.canonical_alias(event.content, moved)
        if content:
            room.add(EventTypes.CANONICAL_ALIAS, content)

    async def _add_links(self, room: NewRoom, old: _Old) -> None:
        state = await self._state.get_current_state_events(old.room_id, types=_LINKS)
        is_space = old.create.content.get("type") == upgraded_state.SPACE
        for event in upgraded_state.space_links(state, is_space=is_space):
            _add_if_valid(room, event.type, dict(event.content), event.state_key or "")

    async def _add_bans(self, room: NewRoom, old: _Old) -> None:
        event_ids = await self._memberships.get_ban_event_ids(old.room_id)
        for first in range(0, len(event_ids), _BANS_AT_ONCE):
            events = await self._state.get_events(event_ids[first : first + _BANS_AT_ONCE])
            for event in events.values():
                reason = event.content.get("reason")
                content: JsonDict = {"membership": Membership.BAN}
                if isinstance(reason, str):
                    content["reason"] = reason
                _add_if_valid(room, EventTypes.MEMBER, content, event.state_key or "")
            await self._clock.sleep(0)

    # The old room

    async def _resume(self, room_id: str) -> None:
        async with self._upgrading.queue(room_id):
            upgrade = await self._store.get_room_upgrade(room_id)
            if upgrade is not None:
                await self._completed(upgrade)

    async def _completed(self, upgrade: RoomUpgrade) -> bool:
        """Complete an upgrade, if need be; False if there is no such room."""
        if not await self._rooms.has_room(upgrade.new_room_id):
            await self._store.drop_room_upgrade(upgrade)
            return False
        if not upgrade.finished:
            await self._complete(upgrade)
        return True

    async def _complete(self, upgrade: RoomUpgrade) -> None:
        """All that is to be done once the new room is there.

        Raises ForbiddenError, and gives the upgrade up, if its user has meanwhile lost the right.
        """
        payload = SendEventPayload.from_json(upgrade.tombstone)
        (event, context), requester = payload.events[0], payload.requester
        try:
            await self._sink.persist(event, context, requester, ratelimit=False)
        except ForbiddenError:
            await self._store.drop_room_upgrade(upgrade)
            raise
        await self._move_names(requester, upgrade)
        await self._restrict(requester, upgrade.old_room_id)
        await self._store.finish_room_upgrade(upgrade)

    async def _move_names(self, requester: Requester, upgrade: RoomUpgrade) -> None:
        """Let aliases lead to the new room, and list it instead of the old one."""
        old, new = upgrade.old_room_id, upgrade.new_room_id
        await self._aliases.move_aliases(old, new)
        if await self._public_rooms.is_published(old):
            await self._public_rooms.set_published(new, True)
            await self._public_rooms.set_published(old, False)
        event = await self._state.get_current_state_event(old, *_CANONICAL)
        if event is None:
            return
        moved = await self._aliases.get_aliases_for_room(new)
        content = upgraded_state.without_aliases(event.content, moved)
        if content != event.content:
            await self._attempt(requester, old, EventTypes.CANONICAL_ALIAS, content)

    async def _restrict(self, requester: Requester, room_id: str) -> None:
        version = await self._creation.room_version(room_id)
        state = await self._state.get_current_state_events(room_id, keys=(_CREATE, _LEVELS))
        levels = PowerLevels.of_state(state, version)
        content = upgraded_state.restricted_levels(levels)
        if content != levels.content:
            await self._attempt(requester, room_id, EventTypes.POWER_LEVELS, content)

    async def _attempt(
        self, requester: Requester, room_id: str, event_type: str, content: JsonDict
    ) -> None:
        """Change the old room, where its user may: the upgrade does not depend on it."""
        try:
            await self._creation.create_and_send(
                requester, room_id, event_type, content, state_key="", ratelimit=False
            )
        except MatrixError as error:
            logger.info("%s of %s stays as it is: %s", event_type, room_id, error)


def _add_if_valid(room: NewRoom, event_type: str, content: JsonDict, state_key: str) -> None:
    """Add an event that others have made, and that the new version may take no longer."""
    try:
        room.add(event_type, content, state_key)
    except MatrixError as error:
        logger.info("%s of %r is not carried over: %s", event_type, state_key, error)
