"""Receipts, account data, tags and push rules on every database."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.storage._base import MasterStore
from synapse_lite.storage.account_data import AccountDataStore
from synapse_lite.storage.push_rules import PushRulesStore, UserRule
from synapse_lite.storage.receipts import ReceiptsStore
from synapse_lite.storage.tags import TagsStore
from synapse_lite.streams import ACCOUNT_DATA, PUSH_RULES, RECEIPTS, TAG_ACCOUNT_DATA
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.stores import make_store

ALICE = "@alice:test"
ROOM = "!a:test"


class PersonalStore(ReceiptsStore, AccountDataStore, TagsStore, PushRulesStore, MasterStore):
    """The stores that are tested."""


class EveryPersonalData(DatabaseCase):
    async def store(self) -> Any:
        return await make_store(self, PersonalStore)

    async def test_receipts(self) -> None:
        store = await self.store()
        start = store.current_token(RECEIPTS)
        for place, moves in ((2, True), (1, False), (2, False), (3, True)):
            data = {"ts": place, "☃": None}
            moved = await store.insert_receipt(ROOM, "m.read", ALICE, "", f"${place}", place, data)
            self.assertEqual(moved, moves)
        (receipt,) = await store.get_receipts_for_room(ROOM)
        self.assertEqual((receipt.event_id, receipt.data), ("$3", {"ts": 3, "☃": None}))
        end = store.current_token(RECEIPTS)
        rows = await store.rows_between(RECEIPTS, start, end, 10)
        self.assertEqual([(row.event_id, row.data) for _, row in rows], [("$3", receipt.data)])
        since = await store.get_receipts_for_rooms_since([ROOM], start, end)
        self.assertEqual(since, {ROOM: [receipt]})

    async def test_account_data(self) -> None:
        store = await self.store()
        start = store.current_token(ACCOUNT_DATA)
        for content in ({"n": 1}, {"n": 2}):
            await store.set_account_data(ALICE, None, "x", content)
            await store.set_account_data(ALICE, ROOM, "y", content)
        expected = ({"x": {"n": 2}}, {ROOM: {"y": {"n": 2}}})
        self.assertEqual(await store.get_account_data_for_user(ALICE), expected)
        self.assertEqual(await store.get_global_account_data_by_type(ALICE, "x"), {"n": 2})
        end = store.current_token(ACCOUNT_DATA)
        self.assertEqual(await store.get_account_data_changes(ALICE, start, end), expected)
        rows = await store.rows_between(ACCOUNT_DATA, start, end, 10)
        self.assertEqual(
            [(row.room_id, row.data_type) for _, row in rows], [(None, "x"), (ROOM, "y")]
        )

    async def test_tags(self) -> None:
        store = await self.store()
        start = store.current_token(TAG_ACCOUNT_DATA)
        await store.set_tag(ALICE, ROOM, "u.x", {"order": 0.5})
        await store.set_tag(ALICE, ROOM, "u.x", {"order": 0.25})
        await store.set_tag(ALICE, ROOM, "u.y", {})
        await store.remove_tag(ALICE, ROOM, "u.y")
        self.assertEqual(await store.get_tags_for_user(ALICE), {ROOM: {"u.x": {"order": 0.25}}})
        end = store.current_token(TAG_ACCOUNT_DATA)
        self.assertEqual(await store.get_tag_changes(ALICE, start, end), {ROOM})
        rows = await store.rows_between(TAG_ACCOUNT_DATA, start, end, 10)
        self.assertEqual([row.data for _, row in rows], [{"u.x": {"order": 0.25}}])

    async def test_push_rules(self) -> None:
        store = await self.store()
        start = store.current_token(PUSH_RULES)
        for rule_id, after in (("a", None), ("b", None), ("c", "b"), ("a", "b")):
            rule = UserRule("content", rule_id, [], ["notify", {"set_tweak": "☃"}], "p*")
            await store.put_push_rule(ALICE, rule, before=None, after=after)
        await store.set_push_rule_enabled(ALICE, "content", "b", enabled=False)
        await store.set_push_rule_actions(ALICE, "content", "c", [], is_base=False)
        await store.set_push_rule_actions(ALICE, "underride", ".m.rule.call", [], is_base=True)
        rules = await store.get_push_rules_for_user(ALICE)
        self.assertEqual([rule.rule_id for rule in rules.rules], ["b", "a", "c"])
        self.assertEqual([len(rule.actions) for rule in rules.rules], [2, 2, 0])
        self.assertEqual(rules.enabled, {("content", "b"): False})
        self.assertEqual(rules.actions, {("underride", ".m.rule.call"): []})
        await store.delete_push_rule(ALICE, "content", "b")
        rules = await store.get_push_rules_for_user(ALICE)
        self.assertEqual(([rule.rule_id for rule in rules.rules], rules.enabled), (["a", "c"], {}))
        end = store.current_token(PUSH_RULES)
        rows = await store.rows_between(PUSH_RULES, start, end, 10)
        self.assertEqual([(token, row.user_id) for token, row in rows], [(end, ALICE)])


class PersonalDataInMemoryTests(EveryPersonalData, MemoryDatabase, TestCase):
    pass


class PersonalDataOnPostgresTests(EveryPersonalData, PostgresDatabase, TestCase):
    pass
