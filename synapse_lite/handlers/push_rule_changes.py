"""Changes of a user's push rules, on the master (client-server API, "Push Rules: API")."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..api.errors import BadJsonError, InvalidParamError, NotFoundError, UnknownError
from ..push.base_rules import KINDS, base_rule
from ..server import Homeserver
from ..storage.push_rules import PushRulesStore, TooManyRulesError, UnknownRuleError, UserRule
from ..types.ids import InvalidIdError, check_room_id, parse_user_id
from ..util.json import JsonDict, JsonValue
from .push_rules import PushRulesHandler

_RULE_ID = re.compile(r"[^/\\.][^/\\]{0,254}\Z")
_PLAIN_ACTIONS = ("notify", "dont_notify", "coalesce")
_MAX_CONDITIONS = 100


class PushRuleChanges:
    """Makes, changes and removes rules."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(PushRulesStore)
        self._rules = hs.part(PushRulesHandler)

    async def put(
        self,
        user_id: str,
        kind: str,
        rule_id: str,
        body: JsonDict,
        *,
        before: str | None,
        after: str | None,
    ) -> None:
        """Make a rule, or change it. Raises MatrixError for what is no rule."""
        rule = _rule_of(kind, rule_id, body)
        try:
            await self._store.put_push_rule(user_id, rule, before=before, after=after)
        except UnknownRuleError as error:
            raise UnknownError("before/after rule not found", status=400) from error
        except TooManyRulesError as error:
            raise InvalidParamError(str(error)) from error

    async def delete(self, user_id: str, kind: str, rule_id: str) -> None:
        """Remove a rule. Rules that everybody has cannot be removed."""
        if base_rule(kind, rule_id) is not None:
            raise InvalidParamError("Rules of the server cannot be deleted, only disabled")
        try:
            await self._store.delete_push_rule(user_id, kind, rule_id)
        except UnknownRuleError as error:
            raise NotFoundError(str(error)) from error

    async def set_enabled(self, user_id: str, kind: str, rule_id: str, *, enabled: bool) -> None:
        """Switch a rule on or off."""
        await self._rules.rule(user_id, kind, rule_id)
        await self._store.set_push_rule_enabled(user_id, kind, rule_id, enabled=enabled)

    async def set_actions(self, user_id: str, kind: str, rule_id: str, actions: JsonValue) -> None:
        """Set what a rule does."""
        await self._rules.rule(user_id, kind, rule_id)
        await self._store.set_push_rule_actions(
            user_id,
            kind,
            rule_id,
            _actions_of(actions),
            is_base=base_rule(kind, rule_id) is not None,
        )


def _rule_of(kind: str, rule_id: str, body: JsonDict) -> UserRule:
    if kind not in KINDS:
        raise InvalidParamError(f"Rules are of one of the kinds {', '.join(KINDS)}")
    if not _RULE_ID.match(rule_id):
        raise InvalidParamError("A rule id must not begin with '.' nor contain '/' or '\\'")
    _check_named(kind, rule_id)
    conditions: list[JsonDict] = []
    pattern = None
    if kind in ("override", "underride"):
        conditions = _conditions_of(body.get("conditions", []))
    elif kind == "content":
        pattern = body.get("pattern")
        if not isinstance(pattern, str):
            raise BadJsonError("A content rule needs a pattern, which is a string")
        if "\0" in pattern:
            raise InvalidParamError("pattern must not hold NUL characters")
    return UserRule(kind, rule_id, conditions, _actions_of(body.get("actions")), pattern)


def _check_named(kind: str, rule_id: str) -> None:
    """Rules for rooms and senders are named after them."""
    try:
        if kind == "room":
            check_room_id(rule_id)
        elif kind == "sender":
            parse_user_id(rule_id)
    except InvalidIdError as error:
        raise InvalidParamError(f"rule_id: {error}") from error


def _conditions_of(value: JsonValue) -> list[JsonDict]:
    if not isinstance(value, list) or len(value) > _MAX_CONDITIONS:
        raise BadJsonError(f"conditions must be a list of at most {_MAX_CONDITIONS}")
    for condition in value:
        if not isinstance(condition, dict) or not isinstance(condition.get("kind"), str):
            raise BadJsonError("Each condition must be an object with a kind")
    return value


def _actions_of(value: JsonValue) -> Sequence[JsonValue]:
    if not isinstance(value, list) or len(value) > _MAX_CONDITIONS:
        raise BadJsonError(f"actions must be a list of at most {_MAX_CONDITIONS}")
    for action in value:
        plain = isinstance(action, str) and action in _PLAIN_ACTIONS
        tweak = isinstance(action, dict) and isinstance(action.get("set_tweak"), str)
        if not plain and not tweak:
            raise BadJsonError('An action is "notify" or an object with set_tweak')
    return value
