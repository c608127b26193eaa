"""The list of public rooms, kept up to date and paged through.

An entry is made anew only when the current state of its room has changed, so that a look at the
list costs no query while nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import attrs

from ..api.constants import JoinRules
from ..api.errors import InvalidParamError
from ..crypto.base64 import decode_base64, encode_base64
from ..events.event import Event, StateKey
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.public_rooms import PublicRoomsWorkerStore
from ..streams import CURRENT_STATE_DELTAS
from ..util.async_helpers import SharedCall
from ..util.json import JsonDict, decode_json, encode_json
from .room_summaries import KEYS, public_chunk

DEFAULT_PAGE = 100
MAX_PAGE = 500
"""Most rooms of one answer."""

_OPEN = (JoinRules.PUBLIC, JoinRules.KNOCK, JoinRules.KNOCK_RESTRICTED)
_MAX_TOKEN = 1024


@attrs.frozen
class PublicRoom:
    """One room of the list. `chunk` is what clients get of it."""

    room_id: str
    joined: int
    room_type: str | None
    search_text: str
    chunk: JsonDict

    @property
    def order(self) -> tuple[int, str]:
        """Largest rooms first, then by id."""
        return (-self.joined, self.room_id)


@attrs.frozen
class PageToken:
    """Between which rooms a page begins: after the room of this order, or before it."""

    order: tuple[int, str]
    forwards: bool

    def to_text(self) -> str:
        """The token as clients see it."""
        return encode_base64(
            encode_json([int(self.forwards), -self.order[0], self.order[1]]), urlsafe=True
        )

    @staticmethod
    def from_text(text: str) -> PageToken:
        """Parse a token. Raises InvalidParamError."""
        try:
            if len(text) > _MAX_TOKEN:
                raise ValueError("too long")
            forwards, joined, room_id = decode_json(decode_base64(text))
            if not (isinstance(joined, int) and isinstance(room_id, str)):
                raise ValueError("of the wrong form")
        except (ValueError, TypeError) as error:
            raise InvalidParamError("since is no token of this list") from error
        return PageToken((-joined, room_id), bool(forwards))


@attrs.frozen
class ListRequest:
    """What a client asks for. `room_types` has None for rooms without a type."""

    limit: int = DEFAULT_PAGE
    since: PageToken | None = None
    search_term: str | None = None
    room_types: Collection[str | None] | None = None

    def wants(self, room: PublicRoom) -> bool:
        """Whether the room is what is searched for."""
        if self.room_types is not None and room.room_type not in self.room_types:
            return False
        return self.search_term is None or self.search_term.casefold() in room.search_text


class PublicRoomList:
    """The public rooms of this server (client-server API, "Published room directory")."""

    def __init__(self, hs: Homeserver) -> None:
        self._public = hs.part(PublicRoomsWorkerStore)
        self._current_state = hs.part(CurrentStateWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._enabled = hs.config.rooms.enable_room_list_search
        self._updates: SharedCall[str, None] = SharedCall()
        self._entries: dict[str, PublicRoom | None] = {}
        self._sorted: Sequence[PublicRoom] = ()
        self._position = 0

    async def page(self, asked: ListRequest) -> JsonDict:
        """One page of the list."""
        rooms = await self._rooms() if self._enabled else ()
        answer: JsonDict = {"total_room_count_estimate": len(rooms)}
        found = [room for room in rooms if asked.wants(room)]
        first, end = _bounds(found, asked)
        chunk = found[first:end]
        answer["chunk"] = [room.chunk for room in chunk]
        if chunk and end < len(found):
            answer["next_batch"] = PageToken(chunk[-1].order, forwards=True).to_text()
        if chunk and first > 0:
            answer["prev_batch"] = PageToken(chunk[0].order, forwards=False).to_text()
        return answer

    async def _rooms(self) -> Sequence[PublicRoom]:
        """All rooms of the list as they are now, in order."""
        await self._updates.get("update", self._update)
        return self._sorted

    async def _update(self) -> None:
        listed = await self._public.get_public_room_ids()
        position = self._current_state.current_token(CURRENT_STATE_DELTAS)
        changes = self._current_state.change_cache("current_state_changed")
        stale = changes.changed_among(self._entries.keys() & listed, self._position)
        stale |= listed - self._entries.keys()
        if not stale and listed == self._entries.keys():
            self._position = position
            return
        made = await self._make(stale)
        kept = {room_id: entry for room_id, entry in self._entries.items() if room_id in listed}
        self._entries = {**kept, **made}
        rooms = [entry for entry in self._entries.values() if entry is not None]
        self._sorted = sorted(rooms, key=lambda room: room.order)
        self._position = position

    async def _make(self, room_ids: Collection[str]) -> dict[str, PublicRoom | None]:
        """Entries of rooms; None for one that is not to be shown."""
        counts = await self._memberships.get_joined_counts_for_rooms(room_ids)
        states = await self._current_state.get_current_state_for_rooms(room_ids, KEYS)
        return {room_id: _entry(room_id, counts[room_id], states[room_id]) for room_id in room_ids}


def _bounds(rooms: Sequence[PublicRoom], asked: ListRequest) -> tuple[int, int]:
    """Where the page begins and ends in the rooms."""
    since = asked.since
    if since is None:
        return 0, asked.limit
    if since.forwards:
        first = _first(rooms, lambda room: room.order > since.order)
        return first, first + asked.limit
    end = _first(rooms, lambda room: room.order >= since.order)
    return max(0, end - asked.limit), end


def _first(rooms: Sequence[PublicRoom], holds: Callable[[PublicRoom], bool]) -> int:
    """The place of the first room for which it holds; the rooms are in order."""
    low, high = 0, len(rooms)
    while low < high:
        middle = (low + high) // 2
        if holds(rooms[middle]):
            high = middle
        else:
            low = middle + 1
    return low


def _entry(room_id: str, joined: int, state: Mapping[StateKey, Event]) -> PublicRoom | None:
    """The entry of a room; None where nobody is in it, or it is not open."""
    chunk = public_chunk(room_id, joined, state)
    if not joined or not (chunk["join_rule"] in _OPEN or chunk["world_readable"]):
        return None
    searched = (chunk.get("name"), chunk.get("topic"), chunk.get("canonical_alias"), room_id)
    return PublicRoom(
        room_id=room_id,
        joined=joined,
        room_type=chunk.get("room_type"),
        search_text="\n".join(value for value in searched if value).casefold(),
        chunk=chunk,
    )
