"""Where this process stands: the positions that a /sync token is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ..server import Homeserver
from ..storage.account_data import AccountDataWorkerStore
from ..storage.events import EventsWorkerStore
from ..storage.presence import PresenceWorkerStore
from ..storage.push_rules import PushRulesWorkerStore
from ..storage.receipts import ReceiptsWorkerStore
from ..storage.typing import TypingWorkerStore
from ..streams import ACCOUNT_DATA, EVENTS, PUSH_RULES, RECEIPTS, TYPING, Stream
from ..types.tokens import StreamToken
from ..util.async_helpers import TimedOutError, Wakeup, with_timeout
from ..util.clock import Clock

_PATIENCE_SECONDS = 2.0
"""How long a client with a token of a process that is ahead waits for this one."""


class Positions:
    """The newest positions of everything that /sync shows."""

    def __init__(self, hs: Homeserver) -> None:
        self._clock: Clock = hs.clock
        self._events = hs.part(EventsWorkerStore)
        self._typing = hs.part(TypingWorkerStore)
        self._receipts = hs.part(ReceiptsWorkerStore)
        self._account_data = hs.part(AccountDataWorkerStore)
        self._push_rules = hs.part(PushRulesWorkerStore)
        self._presence = hs.part(PresenceWorkerStore)
        self._moved: Wakeup | None = None
        self._events.follow(self._on_rows)

    def now(self) -> StreamToken:
        """All positions at one moment, up to which everything can be read here."""
        return StreamToken(
            events=self._events.current_token(EVENTS),
            typing=self._typing.current_token(TYPING),
            receipts=self._receipts.current_token(RECEIPTS),
            account_data=self._account_data.current_token(ACCOUNT_DATA),
            push_rules=self._push_rules.current_token(PUSH_RULES),
            presence=self._presence.presence_position(),
        )

    def _on_rows(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.fire()

    async def reached(self, token: StreamToken) -> None:
        """Return once this process has reached a token, or when that takes too long.

        Tokens come from other processes, which may be ahead by what is on its way to this one.
        """
        deadline = self._clock.time() + _PATIENCE_SECONDS
        while not _covers(self.now(), token):
            left = deadline - self._clock.time()
            if left <= 0:
                return
            if self._moved is None:
                self._moved = Wakeup()
            try:
                await with_timeout(self._moved.wait(), left, self._clock)
            except TimedOutError:
                return


def _covers(now: StreamToken, token: StreamToken) -> bool:
    return (
        now.events >= token.events
        and now.typing >= token.typing
        and now.receipts >= token.receipts
        and now.account_data >= token.account_data
        and now.push_rules >= token.push_rules
        and now.presence >= token.presence
    )


def bounded(token: StreamToken, now: StreamToken) -> StreamToken:
    """The token without what lies beyond now.

    Of a typing or presence position beyond now, what the client shows is not known: it is told
    everything.
    """
    if _covers(now, token):
        return token
    if token.typing > now.typing:
        token = attrs.evolve(token, typing=0)
    if token.presence > now.presence:
        token = attrs.evolve(token, presence=0)
    pairs = zip(attrs.astuple(token), attrs.astuple(now), strict=True)
    return StreamToken(*(min(theirs, mine) for theirs, mine in pairs))
