"""/sync: compute, and wait as long as there is nothing to tell (client-server API, "Syncing")."""

from __future__ import annotations

import attrs

from ..api.errors import InvalidParamError
from ..notifier import Notifier
from ..push.unread import UnreadCounts
from ..server import Homeserver
from ..sync.engine import SyncAnswer, SyncEngine
from ..sync.request import SyncRequest
from ..types.requester import Requester
from ..types.tokens import InvalidTokenError, StreamToken
from ..util.async_helpers import SharedCall
from ..util.json import JsonDict
from .event_format import EventFormatter
from .filters import FiltersHandler
from .push_rules import PushRulesHandler
from .relation_bundles import RelationBundles
from .syncing_users import SyncingUsers
from .visibility import EventVisibility

MAX_TIMEOUT_MS = 180_000
"""The longest that a request waits, whatever the client asks for."""

_InitialKey = tuple[str, str | None, bytes, bool]


class SyncHandler:
    """Answers /sync in any process that has what it shows."""

    def __init__(self, hs: Homeserver) -> None:
        self._clock = hs.clock
        self._notifier = hs.part(Notifier)
        self._filters = hs.part(FiltersHandler)
        self._syncing = hs.part(SyncingUsers)
        self._engine = SyncEngine(
            hs,
            hs.part(EventVisibility),
            hs.part(EventFormatter),
            hs.part(PushRulesHandler),
            hs.part(RelationBundles),
            hs.part(UnreadCounts),
        )
        self._initial: SharedCall[_InitialKey, SyncAnswer] = SharedCall()

    async def sync(
        self,
        requester: Requester,
        *,
        since: str | None,
        filter_text: str | None,
        full_state: bool,
        state_after: bool,
        timeout_ms: int,
        set_presence: str | None = None,
    ) -> JsonDict:
        """The answer to a request. An initial sync, and one with full state, does not wait.

        Raises InvalidParamError for a token that this server has not made, and for bad filters.
        """
        request = SyncRequest(
            requester=requester,
            filter=await self._filters.compiled(requester.user_id, filter_text),
            since=None if since is None else _parse(since),
            full_state=full_state,
            state_after=state_after,
        )
        with self._syncing.syncing(requester.user_id, set_presence):
            answer = await self._answer(request, min(timeout_ms, MAX_TIMEOUT_MS))
        return answer.to_json()

    async def _answer(self, request: SyncRequest, timeout_ms: int) -> SyncAnswer:
        if request.since is None:
            return await self.initial_answer(request)
        if request.full_state:
            await self._engine.positions.reached(request.since)
            return await self._engine.answer(request)
        return await self.wait_for_answer(request, timeout_ms)

    def position(self) -> StreamToken:
        """Up to where everything can be read here."""
        return self._engine.positions.now()

    async def reached(self, token: StreamToken) -> None:
        """Return once this process has reached a token, or when that takes too long."""
        await self._engine.positions.reached(token)

    async def initial_answer(self, request: SyncRequest) -> SyncAnswer:
        """Everything. A client that gave up and asks again gets the answer that is being made."""
        requester = request.requester
        key = (request.user_id, requester.device_id, request.filter.key, request.state_after)
        return await self._initial.get(key, lambda: self._engine.answer(request))

    async def wait_for_answer(self, request: SyncRequest, timeout_ms: int) -> SyncAnswer:
        """What is new since the request's position, as soon as there is something."""
        since = request.since
        assert since is not None, "an initial sync does not wait"
        deadline = self._clock.time() + timeout_ms / 1000
        await self._engine.positions.reached(since)
        with self._notifier.listen(request.user_id) as listener:
            while True:
                answer = await self._engine.answer(request)
                if not answer.is_empty or self._clock.time() >= deadline:
                    return answer
                if not await listener.wait(deadline):
                    return answer
                # Up to there nothing is for this client.
                request = attrs.evolve(request, since=answer.position)


def _parse(since: str) -> StreamToken:
    try:
        return StreamToken.from_text(since)
    except InvalidTokenError as error:
        raise InvalidParamError(f"since: {error}") from error
