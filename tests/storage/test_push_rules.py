"""Push rules in the database: the same answers on master and worker."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import WORKERS
from synapse_lite.storage.push_rules import (
    MAX_RULES,
    TooManyRulesError,
    UnknownRuleError,
    UserRule,
)
from synapse_lite.streams import PUSH_RULES
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

USER = "@alice:test"
READER = next(worker for worker in WORKERS if worker.name == "client_reader")


class PushRulesStoreTestCase(SameAnswerCase, TestCase):
    """`PushRulesStore` and its worker half."""

    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(READER, self.master)
        self.store = self.master.store

    def put(self, rule_id: str) -> None:
        rule = UserRule("override", rule_id, [], ["notify"])
        now(self.store.put_push_rule(USER, rule, before=None, after=None))

    def test_every_change_reaches_the_worker(self) -> None:
        self.assertEqual(self.check("get_push_rules_for_user", USER).rules, ())
        self.put("a")
        rules = self.check("get_push_rules_for_user", USER)
        self.assertEqual([rule.rule_id for rule in rules.rules], ["a"])
        now(self.store.set_push_rule_enabled(USER, "override", "a", enabled=False))
        rules = self.check("get_push_rules_for_user", USER)
        self.assertEqual(rules.enabled, {("override", "a"): False})
        now(self.store.set_push_rule_actions(USER, "override", "a", [], is_base=False))
        self.assertEqual(self.check("get_push_rules_for_user", USER).rules[0].actions, [])
        now(self.store.delete_push_rule(USER, "override", "a"))
        self.assertEqual(self.check("get_push_rules_for_user", USER).rules, ())

    def test_the_change_cache_knows(self) -> None:
        before = self.store.current_token(PUSH_RULES)
        self.put("a")
        for store in (self.store, self.worker.store):
            changes = store.change_cache("push_rules_changed")
            self.assertTrue(changes.has_changed(USER, before))
            self.assertFalse(changes.has_changed("@bob:test", before))

    def test_rows_of_the_stream(self) -> None:
        before = self.store.current_token(PUSH_RULES)
        self.put("a")
        self.put("b")
        after = self.store.current_token(PUSH_RULES)
        rows = now(self.store.rows_between(PUSH_RULES, before, after, 10))
        self.assertEqual([(token, row.user_id) for token, row in rows], [(after, USER)])

    def test_unknown_rules(self) -> None:
        for coroutine in (
            self.store.delete_push_rule(USER, "override", "x"),
            self.store.set_push_rule_actions(USER, "override", "x", [], is_base=False),
            self.store.put_push_rule(
                USER, UserRule("override", "x", [], []), before="y", after=None
            ),
        ):
            with self.assertRaises(UnknownRuleError):
                now(coroutine)
        self.assertEqual(self.check("get_push_rules_for_user", USER).rules, ())

    def test_a_bound(self) -> None:
        def fill(txn: object) -> None:
            rows = [(USER, "override", f"r{n}", n, "[]", "[]") for n in range(MAX_RULES)]
            columns = ("user_id", "kind", "rule_id", "place", "conditions", "actions")
            txn.insert_many("push_rules", columns, rows)  # type: ignore[attr-defined]

        now(self.master.db.run("fill", fill))
        with self.assertRaises(TooManyRulesError):
            self.put("one more")

    def test_places(self) -> None:
        def order_after(rule_id: str, before: str | None, after: str | None) -> list[str]:
            rule = UserRule("override", rule_id, [], ["notify"])
            counts = self.master.db.counts
            statements = counts.statements
            now(self.store.put_push_rule(USER, rule, before=before, after=after))
            self.assertLessEqual(counts.statements - statements, 5)  # however many rules there are
            rules = self.check("get_push_rules_for_user", USER).rules
            return [rule.rule_id for rule in rules]

        for rule_id in "cba":
            self.put(rule_id)
        for rule_id, before, after, expected in (
            ("x", None, None, "xabc"),
            ("x", "c", None, "abxc"),
            ("x", None, "a", "axbc"),
            ("x", None, None, "axbc"),
            ("x", "a", None, "xabc"),
            ("x", None, "c", "abcx"),
            ("y", "b", "c", "aybcx"),
            ("y", None, "x", "abcxy"),
            ("z", None, None, "zabcxy"),
        ):
            found = "".join(order_after(rule_id, before, after))
            self.assertEqual(found, expected, (rule_id, before, after))
        with self.assertRaises(UnknownRuleError):
            order_after("a", "a", None)
