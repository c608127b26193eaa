"""A user's push rules: reading them, in any process."""

from __future__ import annotations

from ..api.errors import NotFoundError
from ..push.rules import ruleset_of
from ..server import Homeserver
from ..storage.push_rules import PushRulesWorkerStore
from ..util.json import JsonDict


class PushRulesHandler:
    """Answers what a user's rules are."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(PushRulesWorkerStore)

    async def rules_for(self, user_id: str) -> JsonDict:
        """The content of m.push_rules."""
        changes = await self._store.get_push_rules_for_user(user_id)
        return {"global": ruleset_of(user_id, changes)}

    async def rule(self, user_id: str, kind: str, rule_id: str) -> JsonDict:
        """One rule. Raises NotFoundError."""
        rules: JsonDict = await self.rules_for(user_id)
        for rule in rules["global"].get(kind, ()):
            if rule["rule_id"] == rule_id:
                found: JsonDict = rule
                return found
        raise NotFoundError(f"There is no rule {rule_id} of kind {kind}")
