"""Rooms of events for tests, in every room version, and a loader that holds them."""

from __future__ import annotations

import itertools
from collections.abc import Collection

from synapse_lite.api.constants import EventTypes, Membership
from synapse_lite.crypto.keys import SigningKey
from synapse_lite.events.auth import auth_types_for_event
from synapse_lite.events.builder import build_event
from synapse_lite.events.event import Event, StateKey
from synapse_lite.events.resolution import EventLoader
from synapse_lite.events.room_versions import ROOM_VERSIONS, RoomVersion
from synapse_lite.types.ids import domain_of
from synapse_lite.util.json import JsonDict

ALL_VERSIONS = tuple(ROOM_VERSIONS.values())
KEY = SigningKey("1", b"0" * 32)

ALICE = "@alice:one"
BOB = "@bob:one"
CAROL = "@carol:two"
DAVE = "@dave:two"


def versions_from(first: str) -> list[RoomVersion]:
    """The room versions from this one on."""
    identifiers = list(ROOM_VERSIONS)
    return list(ALL_VERSIONS[identifiers.index(first) :])


def versions_before(end: str) -> list[RoomVersion]:
    """The room versions before this one."""
    identifiers = list(ROOM_VERSIONS)
    return list(ALL_VERSIONS[: identifiers.index(end)])


class Room:
    """A room that Alice has created and joined; `state` is its current state.

    `send` builds an event on the state and puts it there; `make` only builds it.
    """

    def __init__(self, version: RoomVersion, create_content: JsonDict | None = None) -> None:
        self.version = version
        self.counter = itertools.count(1)
        self.state: dict[StateKey, Event] = {}
        self.events: dict[str, Event] = {}
        self.last: Event | None = None
        content: JsonDict = {"room_version": version.identifier, **(create_content or {})}
        if not version.implicit_room_creator:
            content.setdefault("creator", ALICE)
        self.room_id = None if version.room_id_from_create_event else "!room:one"
        self.create = self.send(ALICE, EventTypes.CREATE, content, "")
        self.room_id = self.create.room_id
        self.join(ALICE)

    def make(
        self,
        sender: str,
        event_type: str,
        content: JsonDict,
        state_key: str | None = None,
        *,
        state: dict[StateKey, Event] | None = None,
        redacts: str | None = None,
        timestamp: int | None = None,
    ) -> Event:
        """An event on the room's state, or on another one."""
        state = self.state if state is None else state
        keys = auth_types_for_event(self.version, event_type, sender, state_key, content)
        number = next(self.counter)
        return build_event(
            room_version=self.version,
            room_id=self.room_id,
            sender=sender,
            type=event_type,
            content=content,
            state_key=state_key,
            redacts=redacts,
            prev_events=[] if self.last is None else [self.last],
            auth_events=[state[key] for key in sorted(keys) if key in state],
            depth=number,
            origin_server_ts=number * 1000 if timestamp is None else timestamp,
            server_name=domain_of(sender),
            signing_key=KEY,
            event_id_localpart=f"event{number}",
        )

    def send(self, *args, **kwargs) -> Event:
        """`make` an event, keep it, and put it into the state if it is a state event."""
        event = self.make(*args, **kwargs)
        self.events[event.event_id] = event
        if event.is_state:
            self.state[event.state_tuple] = event
        self.last = event
        return event

    def member(self, sender: str, target: str, membership: str, **content) -> Event:
        """A membership event, not sent."""
        return self.make(sender, EventTypes.MEMBER, {"membership": membership, **content}, target)

    def set_member(self, sender: str, target: str, membership: str, **content) -> Event:
        """A membership event, put into the state."""
        return self.send(sender, EventTypes.MEMBER, {"membership": membership, **content}, target)

    def join(self, user_id: str) -> Event:
        """Put the user into the room, whether allowed or not."""
        return self.set_member(user_id, user_id, Membership.JOIN)

    def set_join_rule(self, rule: str) -> Event:
        """Set the join rule."""
        return self.send(ALICE, EventTypes.JOIN_RULES, {"join_rule": rule}, "")

    def set_levels(self, **content) -> Event:
        """Set the power levels; Alice gets 100 where creators have no special right."""
        users = dict(content.pop("users", {}))
        if not self.version.privileged_creators:
            users.setdefault(ALICE, 100)
        return self.send(ALICE, EventTypes.POWER_LEVELS, {"users": users, **content}, "")


class MemoryLoader(EventLoader):
    """Events in a dict; counts what it is asked."""

    def __init__(self, events: dict[str, Event]) -> None:
        self.held = events
        self.calls = 0

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        self.calls += 1
        return {event_id: self.held[event_id] for event_id in event_ids if event_id in self.held}

    async def auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        self.calls += 1
        found: set[str] = set()
        pending = list(event_ids)
        while pending:
            event = self.held.get(pending.pop())
            if event is None:
                continue
            fresh = set(event.auth_event_ids) - found
            found |= fresh
            pending.extend(fresh)
        return found
