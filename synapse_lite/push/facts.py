"""What push rules are evaluated with: users' rules, the levels of rooms, names in rooms."""

from __future__ import annotations

from typing import Any, TypeVar

from ..api.constants import EventTypes
from ..events.auth.power_levels import PowerLevels
from ..events.event import Event
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.push_rules import PushRulesWorkerStore, UserPushRules
from ..util.caches.lru import LruCache
from ..util.caches.missing import Missing
from .classes import UserRules
from .evaluator import Evaluator, EventView, Reader, Result

T = TypeVar("T")

_USERS_WITH_RULES = 5_000
_DEFAULT = UserRules("@user:example.org", UserPushRules())
_POWER_LEVELS = (EventTypes.POWER_LEVELS, "")
_CREATE = (EventTypes.CREATE, "")


class PushFacts:
    """Brings together what evaluating rules takes, in any process."""

    def __init__(self, hs: Homeserver) -> None:
        self._state = hs.part(CurrentStateWorkerStore)
        self._push_rules = hs.part(PushRulesWorkerStore)
        self._users: LruCache[str, UserRules] = LruCache(
            "push_rules_of_users",
            max_entries=_USERS_WITH_RULES,
            size_of=lambda rules: 5000 + 1000 * len(rules.changes.rules),
            budget=self._push_rules.caches.budget,
        )

    async def rules_of(self, user_id: str) -> UserRules:
        """The rules of a user; the same object as long as they stay the same."""
        changes = await self._push_rules.get_push_rules_for_user(user_id)
        if not (changes.rules or changes.enabled or changes.actions):
            return _DEFAULT
        known = self._users.get(user_id)
        if isinstance(known, Missing) or known.changes is not changes:
            known = UserRules(user_id, changes)
            self._users.set(user_id, known)
        return known

    async def reader_of(self, user_id: str, room_id: str, evaluator: Evaluator[Any]) -> Reader:
        """The user as the rules see them in a room."""
        if not evaluator.needs_display_name:
            return Reader(user_id)
        member = await self._state.get_current_state_event(room_id, EventTypes.MEMBER, user_id)
        name = None if member is None else member.content.get("displayname")
        return Reader(user_id, name if isinstance(name, str) else None)

    async def evaluate(self, evaluator: Evaluator[T], event: Event) -> Result[T]:
        """What an event is by some rules; looks at the room's power levels only if they ask."""
        view = EventView.of(event, None)
        result = evaluator.evaluate(view)
        if view.lacks_levels:
            view = EventView.of(event, await self._levels_of(event.room_id))
            result = evaluator.evaluate(view)
        return result

    async def _levels_of(self, room_id: str) -> PowerLevels | None:
        """The power levels of a room; None if it is not known here."""
        states = await self._state.get_current_state_for_rooms([room_id], (_POWER_LEVELS, _CREATE))
        state = states[room_id]
        create = state.get(_CREATE)
        return None if create is None else PowerLevels.of_state(state, create.room_version)
