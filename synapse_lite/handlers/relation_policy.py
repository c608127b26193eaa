"""Which relations users of this server may give their events.

What comes from elsewhere and breaks these rules is not told with the event that it is about.
"""

from __future__ import annotations

from ..api.constants import RelationTypes
from ..api.errors import DuplicateAnnotationError, UnknownError
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.relations import RelationsWorkerStore
from ..util.json import JsonDict


class RelationPolicy:
    """Checks relations of events before they are sent. Costs nothing for events without one."""

    def __init__(self, hs: Homeserver) -> None:
        self._relations = hs.part(RelationsWorkerStore)
        self._events = hs.part(EventsWorkerStore)

    async def check(self, sender: str, room_id: str, event_type: str, content: JsonDict) -> None:
        """Whether the sender may send such an event that is no state.

        Raises DuplicateAnnotationError, and UnknownError for a thread that starts nowhere.
        """
        relation = content.get("m.relates_to")
        if not isinstance(relation, dict):
            return
        event_id, rel_type = relation.get("event_id"), relation.get("rel_type")
        if not isinstance(event_id, str) or "\0" in event_id:
            return
        if rel_type == RelationTypes.ANNOTATION:
            await self._check_annotation(sender, event_type, event_id, relation.get("key"))
        elif rel_type == RelationTypes.THREAD:
            await self._check_thread(room_id, event_id)

    async def _check_annotation(
        self, sender: str, event_type: str, event_id: str, key: object
    ) -> None:
        """One of a kind from each user (client-server API, "Avoiding duplicate annotations")."""
        if not isinstance(key, str):
            return
        earlier = await self._relations.get_annotations_of_user(event_id, event_type, sender)
        for event in (await self._events.get_events(earlier)).values():
            relation = event.content.get("m.relates_to")
            if isinstance(relation, dict) and relation.get("key") == key:
                raise DuplicateAnnotationError(f"You have annotated the event with {key!r} before")

    async def _check_thread(self, room_id: str, root_id: str) -> None:
        """Threads do not nest (client-server API, "Validation of m.thread relationships").

        An event that is not here may be known to others: the relation is then up to them.
        """
        root = await self._events.get_event(root_id, allow_none=True)
        if root is None:
            return
        if root.room_id != room_id:
            raise UnknownError("A thread starts from an event of its own room", status=400)
        relation = root.content.get("m.relates_to")
        if isinstance(relation, dict) and isinstance(relation.get("rel_type"), str):
            raise UnknownError("No thread starts from an event with a relation", status=400)
