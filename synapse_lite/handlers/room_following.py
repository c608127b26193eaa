"""What users keep for a room follows them into the room that replaces it (module "Room Upgrades").

Tags, push rules for the room, and its place among the direct chats. Both rooms must name each
other: a room that only claims to replace another one gets nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from twisted.internet.defer import CancelledError, Deferred

from ..api.constants import AccountDataTypes, EventTypes
from ..server import Homeserver
from ..storage.account_data import AccountDataStore
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.push_rules import PushRulesStore, TooManyRulesError, UserPushRules, UserRule
from ..storage.room_upgrades import RoomFollower, RoomUpgradesStore
from ..storage.tags import TagsStore
from ..util.background import run_in_background
from ..util.json import JsonDict

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60.0


class RoomFollowing:
    """A duty of the master. Who is to be followed is stored with the join."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RoomUpgradesStore)
        self._state = hs.part(CurrentStateWorkerStore)
        self._tags = hs.part(TagsStore)
        self._account_data = hs.part(AccountDataStore)
        self._push_rules = hs.part(PushRulesStore)
        self._clock = hs.clock
        self._running: Deferred[None] | None = None
        self._again = False
        self._is_stopped = False

    async def start(self) -> None:
        """Go on with what was left unfinished."""
        self._store.followers_changed = self.wake
        self.wake()

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        self._is_stopped = True
        self._store.followers_changed = None
        if self._running is not None:
            self._running.cancel()

    def wake(self) -> None:
        """Look for users to follow, in the background."""
        self._again = True
        if self._running is None and not self._is_stopped:
            running = run_in_background(self._run)
            if not running.called:
                self._running = running

    async def _run(self) -> None:
        try:
            while self._again:
                self._again = False
                await self._follow_all()
        except CancelledError:
            raise  # the next start goes on with it
        except Exception:
            logger.exception("Settings do not follow into new rooms; trying again later")
            self._clock.later(RETRY_SECONDS, self.wake)
        finally:
            self._running = None

    async def _follow_all(self) -> None:
        for follower in await self._store.get_waiting_followers():
            # The tombstone may be still to come; then its commit wakes this duty.
            if await self._is_replaced(follower.predecessor, follower.room_id):
                await self._follow(follower)
                await self._store.follower_done(follower)

    async def _is_replaced(self, old: str, new: str) -> bool:
        tombstone = await self._state.get_current_state_event(old, EventTypes.TOMBSTONE, "")
        return tombstone is not None and tombstone.content.get("replacement_room") == new

    async def _follow(self, follower: RoomFollower) -> None:
        user_id, old, new = follower.user_id, follower.predecessor, follower.room_id
        rooms = await self._tags.get_tags_for_user(user_id)
        known = rooms.get(new, {})
        for tag, content in rooms.get(old, {}).items():
            if tag not in known:
                await self._tags.set_tag(user_id, new, tag, content)
        await self._account_data.change_account_data(
            user_id, AccountDataTypes.DIRECT, lambda content: with_direct(content, old, new)
        )
        await self._copy_rules(user_id, old, new)

    async def _copy_rules(self, user_id: str, old: str, new: str) -> None:
        changed = await self._push_rules.get_push_rules_for_user(user_id)
        for rule, enabled in rules_for(changed, old, new):
            try:
                await self._push_rules.put_push_rule(user_id, rule, before=None, after=None)
            except TooManyRulesError as error:
                logger.info("Rules of %s are not carried over: %s", user_id, error)
                return
            if not enabled:
                await self._push_rules.set_push_rule_enabled(
                    user_id, rule.kind, rule.rule_id, enabled=False
                )


def with_direct(content: JsonDict, old: str, new: str) -> JsonDict | None:
    """m.direct with the new room beside the old one; None if nothing is to be changed."""
    changed = {
        user_id: [*rooms, new]
        for user_id, rooms in content.items()
        if isinstance(rooms, list) and old in rooms and new not in rooms
    }
    return {**content, **changed} if changed else None


def rules_for(rules: UserPushRules, old: str, new: str) -> Sequence[tuple[UserRule, bool]]:
    """Rules for the new room made of those for the old one, and whether they are switched on."""
    known = {(rule.kind, rule.rule_id) for rule in rules.rules}
    found = []
    for rule in reversed(rules.rules):  # each becomes the first of its kind
        made = _rule_for(rule, old, new)
        if made is not None and (made.kind, made.rule_id) not in known:
            found.append((made, rules.enabled.get((rule.kind, rule.rule_id), True)))
    return found


def _rule_for(rule: UserRule, old: str, new: str) -> UserRule | None:
    if rule.kind == "room":
        if rule.rule_id != old:
            return None
        return UserRule(rule.kind, new, (), rule.actions)
    conditions = [_condition_for(condition, old, new) for condition in rule.conditions]
    if conditions == list(rule.conditions):
        return None
    rule_id = new if rule.rule_id == old else f"{rule.rule_id} {new}"
    return UserRule(rule.kind, rule_id, conditions, rule.actions, rule.pattern)


def _condition_for(condition: JsonDict, old: str, new: str) -> JsonDict:
    names_room = condition.get("kind") == "event_match" and condition.get("key") == "room_id"
    if names_room and condition.get("pattern") == old:
        return {**condition, "pattern": new}
    return condition
