"""What a /sync asks for, and what the engine needs from handlers, which lie above it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

import attrs
import msgspec

from ..events.bundle import Bundle
from ..events.event import Event
from ..types.requester import Requester
from ..types.tokens import StreamToken
from ..types.unread import RoomCounts
from ..util.json import JsonDict
from .filter import Filter


@attrs.frozen
class SyncRequest:
    """A request without its waiting. `since` is None for an initial sync.

    `state_after`: states are those after the timelines, not those before them.
    """

    requester: Requester
    filter: Filter
    since: StreamToken | None
    full_state: bool = False
    state_after: bool = False

    @property
    def user_id(self) -> str:
        return self.requester.user_id

    @property
    def state_section(self) -> str:
        """The name of states in the answer."""
        return "state_after" if self.state_after else "state"


class Visibility(Protocol):
    """Who may see which events."""

    async def filter_for_user(self, user_id: str, events: Sequence[Event]) -> list[Event]:
        """Those of the events, of any rooms, that the user may see, in their order."""


class Formatter(Protocol):
    """Events in the form of clients."""

    async def to_client(
        self,
        events: Sequence[Event],
        requester: Requester | None,
        *,
        with_room_id: bool,
        bundles: Mapping[str, Bundle] | None = None,
    ) -> list[msgspec.Raw]:
        """The bytes of each event; without requester, what is the same for all readers."""


class Bundles(Protocol):
    """What is told of the relations of events with them."""

    async def of_events(
        self, events: Sequence[Event], requester: Requester | None
    ) -> Mapping[str, Bundle]:
        """The bundles of those of the events, of any rooms, that have one, by id."""


class PushRules(Protocol):
    """Push rules in the form of account data."""

    async def rules_for(self, user_id: str) -> JsonDict:
        """The content of m.push_rules."""


class Unread(Protocol):
    """Counts of what a user has not read."""

    async def of_rooms(
        self, user_id: str, room_ids: Collection[str], position: int, ignored: frozenset[str]
    ) -> Mapping[str, RoomCounts]:
        """The counts of rooms that the user is in, up to a position."""

    def changed_by_rules(self, user_id: str, room_ids: Iterable[str]) -> Collection[str]:
        """Rooms whose counts may have changed with the user's push rules."""
