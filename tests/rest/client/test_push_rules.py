"""The API of push rules, judged by the specification."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from tests.harness.homeserver import make_master

NOTIFY: dict[str, Any] = {"actions": ["notify"], "conditions": []}


class PushRulesTestCase(TestCase):
    """A user's rules."""

    def setUp(self) -> None:
        self.master = make_master()
        self.alice = self.master.register("alice")

    def ids(self, kind: str, token: str | None = None) -> list[str]:
        rules = self.master.ok("GET", "pushrules/", None, token or self.alice)["global"][kind]
        return [rule["rule_id"] for rule in rules]

    def status(self, method: str, path: str, body: Any = None) -> tuple[int, str | None]:
        answer = self.master.request(method, path, body, self.alice)
        return answer.status, answer.json.get("errcode")

    def test_everybody_has_the_predefined_rules(self) -> None:
        self.assertEqual(self.ids("override")[0], ".m.rule.master")
        self.assertIn(".m.rule.message", self.ids("underride"))
        invite = self.master.ok(
            "GET", "pushrules/global/override/.m.rule.invite_for_me", None, self.alice
        )
        self.assertEqual(invite["conditions"][2]["pattern"], "@alice:test")
        self.assertEqual(
            self.master.ok("GET", "pushrules/global/", None, self.alice),
            self.master.ok("GET", "pushrules", None, self.alice)["global"],
        )

    def test_own_rules_come_in_the_order_asked_for(self) -> None:
        def put(rule_id: str, query: str = "") -> None:
            self.master.ok("PUT", f"pushrules/global/override/{rule_id}{query}", NOTIFY, self.alice)

        put("one")
        put("two")
        put("three", "?after=two")
        put("four", "?before=one")
        own = ["two", "three", "four", "one"]
        self.assertEqual(self.ids("override")[1:5], own)
        self.assertEqual(self.ids("override")[0], ".m.rule.master")
        put("two")  # changed, not moved
        self.assertEqual(self.ids("override")[1:5], own)
        put("two", "?after=one")
        self.assertEqual(self.ids("override")[1:5], ["three", "four", "one", "two"])
        self.master.ok("DELETE", "pushrules/global/override/four", None, self.alice)
        self.assertEqual(self.ids("override")[1:4], ["three", "one", "two"])
        self.assertNotIn("one", self.ids("override", self.master.register("bob")))

    def test_each_kind(self) -> None:
        for kind, rule_id, body in (
            ("content", "cake", {"actions": ["notify"], "pattern": "c*ke"}),
            ("room", "!room:test", {"actions": []}),
            ("sender", "@bob:test", {"actions": [{"set_tweak": "highlight"}]}),
            ("underride", "u", {"actions": ["notify"], "conditions": [{"kind": "x"}]}),
        ):
            path = f"pushrules/global/{kind}/{rule_id}"
            self.master.ok("PUT", path, body, self.alice)
            rule = self.master.ok("GET", path, None, self.alice)
            self.assertEqual({key: rule[key] for key in body}, body)
            self.assertEqual((rule["enabled"], rule["default"]), (True, False))

    def test_switching_and_actions(self) -> None:
        self.master.ok("PUT", "pushrules/global/override/mine", NOTIFY, self.alice)
        for rule in ("override/mine", "underride/.m.rule.message"):
            path = f"pushrules/global/{rule}"
            self.master.ok("PUT", f"{path}/enabled", {"enabled": False}, self.alice)
            self.assertFalse(self.master.ok("GET", f"{path}/enabled", None, self.alice)["enabled"])
            self.master.ok("PUT", f"{path}/actions", {"actions": []}, self.alice)
            self.assertEqual(
                self.master.ok("GET", f"{path}/actions", None, self.alice)["actions"], []
            )
            self.assertFalse(self.master.ok("GET", path, None, self.alice)["enabled"])

    def test_a_rule_made_anew_is_on(self) -> None:
        path = "pushrules/global/override/mine"
        self.master.ok("PUT", path, NOTIFY, self.alice)
        self.master.ok("PUT", f"{path}/enabled", {"enabled": False}, self.alice)
        self.master.ok("PUT", path, NOTIFY, self.alice)
        self.assertFalse(self.master.ok("GET", path, None, self.alice)["enabled"])
        self.master.ok("DELETE", path, None, self.alice)
        self.master.ok("PUT", path, NOTIFY, self.alice)
        self.assertTrue(self.master.ok("GET", path, None, self.alice)["enabled"])

    def test_refusals(self) -> None:
        rules = "pushrules/global"
        bad = (400, "M_INVALID_PARAM")
        wrong = (400, "M_BAD_JSON")
        missing = (404, "M_NOT_FOUND")
        unknown = (400, "M_UNKNOWN")
        for expected, method, path, body in (
            (bad, "PUT", f"{rules}/odd/x", NOTIFY),
            (bad, "PUT", f"{rules}/override/.x", NOTIFY),
            (bad, "PUT", f"{rules}/override/a%2Fb", NOTIFY),
            (bad, "PUT", f"{rules}/room/nonsense", NOTIFY),
            (bad, "PUT", f"{rules}/sender/nonsense", NOTIFY),
            (wrong, "PUT", f"{rules}/content/x", NOTIFY),
            (wrong, "PUT", f"{rules}/override/x", {"actions": "notify"}),
            (wrong, "PUT", f"{rules}/override/x", {"actions": ["shout"]}),
            (wrong, "PUT", f"{rules}/override/x", {"actions": [], "conditions": [1]}),
            (wrong, "PUT", f"{rules}/override/x", {"actions": [], "conditions": {}}),
            (unknown, "PUT", f"{rules}/override/x?before=y", NOTIFY),
            (unknown, "PUT", f"{rules}/override/x?after=.m.rule.reaction", NOTIFY),
            (bad, "PUT", f"{rules}/content/x", {"actions": [], "pattern": "a\0b"}),
            (missing, "GET", f"{rules}/override/x", None),
            (missing, "GET", f"{rules}/odd/x", None),
            (missing, "DELETE", f"{rules}/override/x", None),
            (bad, "DELETE", f"{rules}/underride/.m.rule.message", None),
            (missing, "PUT", f"{rules}/override/x/enabled", {"enabled": True}),
            (missing, "PUT", f"{rules}/override/x/actions", {"actions": []}),
            (bad, "PUT", f"{rules}/override/.m.rule.master/odd", {}),
        ):
            self.assertEqual(self.status(method, path, body), expected, (method, path, body))
