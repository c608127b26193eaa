"""Push rules (client-server API, "Push Rules: API")."""

from __future__ import annotations

from ...api.errors import InvalidParamError
from ...api.urls import CLIENT
from ...handlers.push_rule_changes import PushRuleChanges
from ...handlers.push_rules import PushRulesHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import require, require_bool
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict, JsonValue

_READERS = ("client_reader",)
_MAX_BODY_BYTES = 64 * 1024


@endpoint("GET", CLIENT, "/pushrules", served_by=_READERS, trailing_slash=True)
class AllPushRules(Servlet):
    """All rules."""

    def __init__(self, hs: Homeserver) -> None:
        self._rules = hs.part(PushRulesHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonValue:
        return await self._rules.rules_for(requester.user_id)


@endpoint("GET", CLIENT, "/pushrules/global", served_by=_READERS, trailing_slash=True)
class GlobalPushRules(Servlet):
    """All rules of the one scope that there is."""

    def __init__(self, hs: Homeserver) -> None:
        self._rules = hs.part(PushRulesHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonValue:
        return (await self._rules.rules_for(requester.user_id))["global"]


@endpoint("GET", CLIENT, "/pushrules/global/{kind}/{rule_id}", served_by=_READERS)
class ReadPushRule(Servlet):
    """One rule."""

    def __init__(self, hs: Homeserver) -> None:
        self._rules = hs.part(PushRulesHandler)

    async def answer(
        self, request: Request, requester: Requester, kind: str, rule_id: str
    ) -> JsonValue:
        return await self._rules.rule(requester.user_id, kind, rule_id)


@endpoint(
    "PUT DELETE",
    CLIENT,
    "/pushrules/global/{kind}/{rule_id}",
    max_body_bytes=_MAX_BODY_BYTES,
)
class WritePushRule(Servlet):
    """Make, change or remove a rule."""

    def __init__(self, hs: Homeserver) -> None:
        self._changes = hs.part(PushRuleChanges)

    async def put(
        self, request: Request, requester: Requester, kind: str, rule_id: str
    ) -> JsonDict:
        await self._changes.put(
            requester.user_id,
            kind,
            rule_id,
            request.json(),
            before=request.query("before", None),
            after=request.query("after", None),
        )
        return {}

    async def delete(
        self, request: Request, requester: Requester, kind: str, rule_id: str
    ) -> JsonDict:
        await self._changes.delete(requester.user_id, kind, rule_id)
        return {}


@endpoint("GET", CLIENT, "/pushrules/global/{kind}/{rule_id}/{attribute}", served_by=_READERS)
class ReadPushRuleAttribute(Servlet):
    """Whether a rule is on, or what it does."""

    def __init__(self, hs: Homeserver) -> None:
        self._rules = hs.part(PushRulesHandler)

    async def answer(
        self, request: Request, requester: Requester, kind: str, rule_id: str, attribute: str
    ) -> JsonDict:
        _check_attribute(attribute)
        rule = await self._rules.rule(requester.user_id, kind, rule_id)
        return {attribute: rule[attribute]}


@endpoint(
    "PUT",
    CLIENT,
    "/pushrules/global/{kind}/{rule_id}/{attribute}",
    max_body_bytes=_MAX_BODY_BYTES,
)
class WritePushRuleAttribute(Servlet):
    """Switch a rule on or off, or set what it does."""

    def __init__(self, hs: Homeserver) -> None:
        self._changes = hs.part(PushRuleChanges)

    async def answer(
        self, request: Request, requester: Requester, kind: str, rule_id: str, attribute: str
    ) -> JsonDict:
        _check_attribute(attribute)
        body = request.json()
        if attribute == "enabled":
            enabled = require_bool(body, "enabled")
            await self._changes.set_enabled(requester.user_id, kind, rule_id, enabled=enabled)
        else:
            actions = require(body, "actions")
            await self._changes.set_actions(requester.user_id, kind, rule_id, actions)
        return {}


def _check_attribute(attribute: str) -> None:
    if attribute not in ("enabled", "actions"):
        raise InvalidParamError("A rule has the attributes enabled and actions")


SERVLETS = (
    AllPushRules,
    GlobalPushRules,
    ReadPushRule,
    WritePushRule,
    ReadPushRuleAttribute,
    WritePushRuleAttribute,
)
