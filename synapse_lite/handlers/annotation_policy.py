"""Reactions: one of a kind from each user (client-server API, "Avoiding duplicate annotations")."""

from __future__ import annotations

from ..api.errors import DuplicateAnnotationError
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.relations import RelationsWorkerStore
from ..util.json import JsonDict


class AnnotationPolicy:
    """Checks annotations before they are sent."""

    def __init__(self, hs: Homeserver) -> None:
        self._relations = hs.part(RelationsWorkerStore)
        self._events = hs.part(EventsWorkerStore)

    async def check(self, sender: str, event_type: str, content: JsonDict) -> None:
        """Raise DuplicateAnnotationError if the sender has annotated the event so already.

        Costs nothing for events that are no annotations.
        """
        annotation = _annotation_in(content)
        if annotation is None:
            return
        event_id, key = annotation
        earlier = await self._relations.get_annotations_of_user(event_id, event_type, sender)
        for event in (await self._events.get_events(earlier)).values():
            if _annotation_in(event.content) == annotation:
                raise DuplicateAnnotationError(f"You have annotated the event with {key!r} before")


def _annotation_in(content: JsonDict) -> tuple[str, str] | None:
    """The annotated event and the key, if the content is that of an annotation."""
    relation = content.get("m.relates_to")
    if not isinstance(relation, dict) or relation.get("rel_type") != "m.annotation":
        return None
    event_id, key = relation.get("event_id"), relation.get("key")
    if not isinstance(event_id, str) or not isinstance(key, str) or "\0" in event_id:
        return None
    return event_id, key
