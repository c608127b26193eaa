"""Push rules that users made, and what they changed of the rules that everybody has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import attrs

from ..streams import PUSH_RULES, PushRuleRow, Stream
from ..util.caches.cached import cached
from ..util.json import JsonDict, JsonValue, decode_stored_json, encode_json_text
from ._base import BaseStore, MasterStore
from .errors import StoreError
from .transaction import Transaction

RuleKey = tuple[str, str]
"""Kind and rule id."""


class UnknownRuleError(StoreError):
    """The user has no rule of that kind and id."""


class TooManyRulesError(StoreError):
    """The user has as many rules as one may have."""


MAX_RULES = 2000
"""How many rules of a kind a user may make."""


@attrs.frozen
class UserRule:
    """A rule that a user made. `pattern` is for content rules."""

    kind: str
    rule_id: str
    conditions: Sequence[JsonDict]
    actions: Sequence[JsonValue]
    pattern: str | None = None


@attrs.frozen
class UserPushRules:
    """All that a user has changed: own rules in order, what is on or off, other actions."""

    rules: tuple[UserRule, ...] = ()
    enabled: Mapping[RuleKey, bool] = {}
    actions: Mapping[RuleKey, Sequence[JsonValue]] = {}


class PushRulesWorkerStore(BaseStore):
    """Reads of push rules."""

    streams: ClassVar[tuple[Stream, ...]] = (PUSH_RULES,)

    @cached(max_entries=50_000, size_of=lambda rules: 600 * len(rules.rules))
    async def get_push_rules_for_user(self, user_id: str) -> UserPushRules:
        """What the user has changed."""
        return await self.db.read("get_push_rules_for_user", self._get_push_rules_txn, user_id)

    @staticmethod
    def _get_push_rules_txn(txn: Transaction, user_id: str) -> UserPushRules:
        rules = txn.query(
            "SELECT kind, rule_id, conditions, actions, pattern FROM push_rules"
            " WHERE user_id = ? ORDER BY kind, place",
            (user_id,),
        )
        enabled = txn.select("push_rules_enabled", ("kind", "rule_id", "enabled"), user_id=user_id)
        actions = txn.select("push_rules_actions", ("kind", "rule_id", "actions"), user_id=user_id)
        return UserPushRules(
            tuple(
                UserRule(kind, rule_id, decode_stored_json(when), decode_stored_json(then), pattern)
                for kind, rule_id, when, then, pattern in rules
            ),
            {(kind, rule_id): bool(value) for kind, rule_id, value in enabled},
            {(kind, rule_id): decode_stored_json(then) for kind, rule_id, then in actions},
        )

    async def get_push_rule_rows(
        self, low: int, high: int, limit: int
    ) -> list[tuple[int, PushRuleRow]]:
        """Rows of the stream."""
        rows = await self.db.read(
            "get_push_rule_rows",
            lambda txn: txn.query(
                "SELECT stream_id, user_id FROM push_rules_stream"
                " WHERE stream_id > ? AND stream_id <= ? ORDER BY stream_id LIMIT ?",
                (low, high, limit),
            ),
        )
        return [(token, PushRuleRow(user_id)) for token, user_id in rows]


class PushRulesStore(PushRulesWorkerStore, MasterStore):
    """Writes of push rules."""

    async def put_push_rule(
        self, user_id: str, rule: UserRule, *, before: str | None, after: str | None
    ) -> None:
        """Make a rule, or change it. It goes next to another rule, or else first; one that is
        there keeps its place unless told otherwise. `before` counts more than `after`.

        Raises UnknownRuleError if `before` or `after` is none of the user's rules of that kind,
        and TooManyRulesError.
        """
        async with self.writing(PUSH_RULES) as token:
            await self.db.run(
                "put_push_rule", self._put_push_rule_txn, token, user_id, rule, before, after
            )

    @classmethod
    def _put_push_rule_txn(
        cls,
        txn: Transaction,
        token: int,
        user_id: str,
        rule: UserRule,
        before: str | None,
        after: str | None,
    ) -> None:
        key = {"user_id": user_id, "kind": rule.kind}
        rows = txn.select("push_rules", ("rule_id", "place"), **key)
        places: dict[str, int] = dict(rows)
        is_new = rule.rule_id not in places
        if is_new and len(places) >= MAX_RULES:
            raise TooManyRulesError(f"A user may have {MAX_RULES} rules of a kind")
        place, is_taken = _place_of(places, rule.rule_id, before, after)
        if is_taken:
            txn.execute(
                "UPDATE push_rules SET place = place - 1"
                " WHERE user_id = ? AND kind = ? AND place <= ?",
                (user_id, rule.kind, place),
            )
        values = {
            "place": place,
            "conditions": encode_json_text(rule.conditions),
            "actions": encode_json_text(rule.actions),
            "pattern": rule.pattern,
        }
        txn.upsert("push_rules", {**key, "rule_id": rule.rule_id}, values)
        if is_new:
            # A rule begins switched on, whatever was said of one of that name before.
            txn.delete("push_rules_enabled", **key, rule_id=rule.rule_id)
        cls._push_rules_changed_txn(txn, token, user_id)

    async def delete_push_rule(self, user_id: str, kind: str, rule_id: str) -> None:
        """Take a rule away. Raises UnknownRuleError."""
        async with self.writing(PUSH_RULES) as token:
            await self.db.run(
                "delete_push_rule", self._delete_push_rule_txn, token, user_id, kind, rule_id
            )

    @classmethod
    def _delete_push_rule_txn(
        cls, txn: Transaction, token: int, user_id: str, kind: str, rule_id: str
    ) -> None:
        key = {"user_id": user_id, "kind": kind, "rule_id": rule_id}
        if not txn.delete("push_rules", **key):
            raise UnknownRuleError(f"No rule {rule_id}")
        txn.delete("push_rules_enabled", **key)
        cls._push_rules_changed_txn(txn, token, user_id)

    async def set_push_rule_enabled(
        self, user_id: str, kind: str, rule_id: str, *, enabled: bool
    ) -> None:
        """Switch a rule on or off. The caller knows that there is such a rule."""
        async with self.writing(PUSH_RULES) as token:
            await self.db.run(
                "set_push_rule_enabled",
                self._set_push_rule_txn,
                token,
                "push_rules_enabled",
                {"user_id": user_id, "kind": kind, "rule_id": rule_id},
                {"enabled": enabled},
            )

    async def set_push_rule_actions(
        self, user_id: str, kind: str, rule_id: str, actions: Sequence[JsonValue], *, is_base: bool
    ) -> None:
        """Set what a rule does: one that everybody has (`is_base`), or one of the user's."""
        async with self.writing(PUSH_RULES) as token:
            await self.db.run(
                "set_push_rule_actions",
                self._set_push_rule_txn if is_base else self._update_push_rule_actions_txn,
                token,
                "push_rules_actions",
                {"user_id": user_id, "kind": kind, "rule_id": rule_id},
                {"actions": encode_json_text(actions)},
            )

    @classmethod
    def _set_push_rule_txn(
        cls,
        txn: Transaction,
        token: int,
        table: str,
        key: Mapping[str, str],
        values: Mapping[str, str | bool],
    ) -> None:
        txn.upsert(table, dict(key), dict(values))
        cls._push_rules_changed_txn(txn, token, key["user_id"])

    @classmethod
    def _update_push_rule_actions_txn(
        cls,
        txn: Transaction,
        token: int,
        table: str,
        key: Mapping[str, str],
        values: Mapping[str, str | bool],
    ) -> None:
        if not txn.update("push_rules", dict(key), dict(values)):
            raise UnknownRuleError(f"No rule {key['rule_id']}")
        cls._push_rules_changed_txn(txn, token, key["user_id"])

    @staticmethod
    def _push_rules_changed_txn(txn: Transaction, token: int, user_id: str) -> None:
        txn.upsert("push_rules_stream", {"user_id": user_id}, {"stream_id": token})
        txn.changed(PUSH_RULES, token, PushRuleRow(user_id))


def _place_of(
    places: Mapping[str, int], rule_id: str, before: str | None, after: str | None
) -> tuple[int, bool]:
    """Where a rule goes among those of its kind, and whether it is taken.

    If it is, the rule there and those above it must move up by one.
    """
    neighbour = after if before is None else before
    if neighbour is None:
        if rule_id in places:
            return places[rule_id], False
        return min(places.values(), default=0) - 1, False
    if neighbour == rule_id or neighbour not in places:
        raise UnknownRuleError(f"No rule {neighbour}")
    if before is None:
        return places[neighbour], True
    return places[neighbour] - 1, True
