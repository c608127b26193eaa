"""What a room may call itself: aliases in m.room.canonical_alias must lead to it."""

from __future__ import annotations

from collections.abc import Mapping

from ..api.errors import BadAliasError, InvalidParamError
from ..events.event import Event
from ..server import Homeserver
from ..storage.aliases import AliasesWorkerStore
from ..types.ids import InvalidIdError, parse_room_alias
from ..util.json import JsonDict, JsonValue


class CanonicalAliasPolicy:
    """Checks m.room.canonical_alias before it is sent."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(AliasesWorkerStore)

    @staticmethod
    def check_syntax(content: JsonDict) -> None:
        """Raise InvalidParamError if something at the place of an alias is none."""
        for alias in aliases_in(content):
            try:
                parse_room_alias(alias)
            except InvalidIdError as error:
                raise InvalidParamError(str(error)) from error

    async def check(self, room_id: str, content: JsonDict, previous: Event | None) -> None:
        """Check the aliases that `previous` does not have (PUT /rooms/{roomId}/state).

        Raises BadAliasError for one that does not lead to the room, as far as this server knows.
        """
        known = set() if previous is None else aliases_in(previous.content)
        for alias in sorted(aliases_in(content) - known):
            if await self._store.get_room_id_of_alias(alias) != room_id:
                raise BadAliasError(f"The alias {alias} does not lead to this room")


def aliases_in(content: Mapping[str, JsonValue]) -> set[str]:
    """All strings at the places of aliases, whatever they are."""
    alternatives = content.get("alt_aliases")
    found = [content.get("alias"), *(alternatives if isinstance(alternatives, list) else ())]
    return {alias for alias in found if isinstance(alias, str) and alias}
