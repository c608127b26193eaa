"""A user's whole set of push rules: the rules that everybody has, with what the user changed."""

from __future__ import annotations

from collections.abc import Iterator

from ..storage.push_rules import UserPushRules, UserRule
from ..util.json import JsonDict
from .base_rules import BASE_RULES, KINDS, MASTER_RULE, BaseRule


def ruleset_of(user_id: str, changes: UserPushRules) -> dict[str, list[JsonDict]]:
    """The rules by kind, each list in the order in which its rules are asked.

    The form of `global` in m.push_rules (client-server API, "Push Rules: Events").
    """
    return {kind: list(_rules_of(kind, user_id, changes)) for kind in KINDS}


def _rules_of(kind: str, user_id: str, changes: UserPushRules) -> Iterator[JsonDict]:
    base = [rule for rule in BASE_RULES if rule.kind == kind]
    for rule in base:
        if rule.rule_id == MASTER_RULE:
            yield _base_form(rule, user_id, changes)
    for own in changes.rules:
        if own.kind == kind:
            yield _own_form(own, changes)
    for rule in base:
        if rule.rule_id != MASTER_RULE:
            yield _base_form(rule, user_id, changes)


def _base_form(rule: BaseRule, user_id: str, changes: UserPushRules) -> JsonDict:
    key = (rule.kind, rule.rule_id)
    return {
        "rule_id": rule.rule_id,
        "default": True,
        "enabled": changes.enabled.get(key, rule.enabled),
        "conditions": rule.conditions(user_id),
        "actions": list(changes.actions.get(key, rule.actions)),
    }


def _own_form(rule: UserRule, changes: UserPushRules) -> JsonDict:
    form: JsonDict = {
        "rule_id": rule.rule_id,
        "default": False,
        "enabled": changes.enabled.get((rule.kind, rule.rule_id), True),
        "actions": list(rule.actions),
    }
    if rule.kind == "content":
        form["pattern"] = rule.pattern
    elif rule.kind in ("override", "underride"):
        form["conditions"] = list(rule.conditions)
    return form
