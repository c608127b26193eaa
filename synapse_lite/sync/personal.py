"""What a user keeps on the server: global account data, account data of rooms, tags, push rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import attrs

from ..api.constants import AccountDataTypes
from ..server import Homeserver
from ..storage.account_data import AccountDataWorkerStore
from ..storage.push_rules import PushRulesWorkerStore
from ..storage.tags import TagsWorkerStore
from ..types.tokens import StreamToken
from ..util.json import JsonDict
from .request import PushRules, SyncRequest


@attrs.define
class PersonalData:
    """Events of account data: global ones, and by room; and whether push rules have changed."""

    everywhere: list[JsonDict] = attrs.field(factory=list)
    rooms: dict[str, list[JsonDict]] = attrs.field(factory=lambda: defaultdict(list))
    has_other_rules: bool = False


class PersonalReads:
    """The `account_data` of answers."""

    def __init__(self, hs: Homeserver, push_rules: PushRules) -> None:
        self._account_data = hs.part(AccountDataWorkerStore)
        self._tags = hs.part(TagsWorkerStore)
        self._push_rule_store = hs.part(PushRulesWorkerStore)
        self._push_rules = push_rules

    async def ignored_users(self, user_id: str) -> frozenset[str]:
        """Whom the user wants to hear nothing of."""
        return await self._account_data.get_ignored_users(user_id)

    async def blocks_invites(self, user_id: str) -> bool:
        """Whether the user wants to see no invites."""
        return await self._account_data.blocks_invites(user_id)

    async def changed(
        self, request: SyncRequest, since: StreamToken, now: StreamToken, new: Collection[str]
    ) -> PersonalData:
        """What has changed since a position, and everything of rooms that are new to the client."""
        user_id = request.user_id
        data = PersonalData()
        changes = self._account_data.change_cache("account_data_changed")
        if changes.has_changed(user_id, since.account_data):
            everywhere, rooms = await self._account_data.get_account_data_changes(
                user_id, since.account_data, now.account_data
            )
            self._add_everywhere(data, request, everywhere)
            for room_id, of_room in rooms.items():
                self._add_room(data, request, room_id, of_room)
            changed_tags = await self._tags.get_tag_changes(
                user_id, since.account_data, now.account_data
            )
            await self._add_tags(data, request, changed_tags, only_set=False)
        if self._push_rule_store.change_cache("push_rules_changed").has_changed(
            user_id, since.push_rules
        ):
            await self._add_push_rules(data, request)
            data.has_other_rules = True
        if new:
            _, rooms = await self._account_data.get_account_data_for_user(user_id)
            for room_id in new:
                data.rooms.pop(room_id, None)
                self._add_room(data, request, room_id, rooms.get(room_id, {}))
            await self._add_tags(data, request, new, only_set=True)
        return data

    async def everything(self, request: SyncRequest) -> PersonalData:
        """All account data of the user."""
        data = PersonalData()
        everywhere, rooms = await self._account_data.get_account_data_for_user(request.user_id)
        self._add_everywhere(data, request, everywhere)
        await self._add_push_rules(data, request)
        for room_id, of_room in rooms.items():
            self._add_room(data, request, room_id, of_room)
        tags = await self._tags.get_tags_for_user(request.user_id)
        await self._add_tags(data, request, tags.keys(), only_set=True)
        return data

    def _add_everywhere(
        self, data: PersonalData, request: SyncRequest, contents: Mapping[str, JsonDict]
    ) -> None:
        wants = request.filter.account_data.wants
        data.everywhere += [
            {"type": kind, "content": content}
            for kind, content in contents.items()
            if wants(kind, request.user_id)
        ]

    async def _add_push_rules(self, data: PersonalData, request: SyncRequest) -> None:
        if request.filter.account_data.wants(AccountDataTypes.PUSH_RULES, request.user_id):
            content = await self._push_rules.rules_for(request.user_id)
            data.everywhere.append({"type": AccountDataTypes.PUSH_RULES, "content": content})

    def _add_room(
        self,
        data: PersonalData,
        request: SyncRequest,
        room_id: str,
        contents: Mapping[str, JsonDict],
    ) -> None:
        wanted = request.filter.room_account_data
        if not wanted.wants_room(room_id):
            return
        for kind, content in contents.items():
            if wanted.wants(kind, request.user_id):
                data.rooms[room_id].append({"type": kind, "content": content})

    async def _add_tags(
        self, data: PersonalData, request: SyncRequest, room_ids: Collection[str], *, only_set: bool
    ) -> None:
        """m.tag of rooms; with `only_set` of those that have one."""
        if not room_ids:
            return
        wanted = request.filter.room_account_data
        if not wanted.wants(AccountDataTypes.TAG, request.user_id):
            return
        tags = await self._tags.get_tags_for_user(request.user_id)
        for room_id in room_ids:
            of_room = tags.get(room_id, {})
            if wanted.wants_room(room_id) and (of_room or not only_set):
                data.rooms[room_id].append(
                    {"type": AccountDataTypes.TAG, "content": {"tags": of_room}}
                )
