"""Who hands out positions of a counter, and who follows them.

The stored number of a counter with step -1 is the negative of its position; only this module and
`storage._base` know of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from ..streams import Counter

BLOCK = 10_000
"""How many positions are reserved in the database at a time."""


class WritingPosition:
    """Hands out positions, on the master only.

    `current()` is the newest position below which everything is finished; it never passes a
    position that was reserved and not yet released. Reserving is allowed from database threads.
    `limit` is how far the database knows that positions may have been handed out.
    """

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.limit = 0
        self._lock = threading.Lock()
        self._newest = 0
        self._unfinished: deque[int] = deque()
        self._finished: set[int] = set()

    def load(self, newest: int) -> None:
        """Begin after the newest position that may have been handed out."""
        self._newest = newest

    @property
    def newest(self) -> int:
        """The newest position that was handed out."""
        return self._newest

    def next_limit(self, count: int) -> int | None:
        """The limit to store before `count` more are handed out; None while there is room.

        It is raised long before it is reached, so that few have to wait for it.
        """
        if self.counter.in_memory or self._newest + count + BLOCK // 2 <= self.limit:
            return None
        return self._newest + count + BLOCK

    def reserve(self, count: int = 1) -> list[int]:
        """Take the next positions. Each must be released, whatever happens."""
        with self._lock:
            tokens = list(range(self._newest + 1, self._newest + count + 1))
            self._newest += count
            self._unfinished.extend(tokens)
            return tokens

    def release(self, tokens: Iterable[int]) -> None:
        """The work at these positions is committed or has failed."""
        with self._lock:
            self._finished.update(tokens)
            while self._unfinished and self._unfinished[0] in self._finished:
                self._finished.discard(self._unfinished.popleft())

    def current(self) -> int:
        """The newest position below and at which everything is finished."""
        with self._lock:
            return self._unfinished[0] - 1 if self._unfinished else self._newest


class FollowingPosition:
    """Follows what the master reports, in a worker.

    Several streams may share a counter; the position is what all of them have reached, so that a
    reader at this position has seen every row up to it.
    """

    def __init__(self, counter: Counter, streams: Iterable[str]) -> None:
        self.counter = counter
        self._tokens: dict[str, int] = dict.fromkeys(streams, 0)

    def begin(self, stream: str, token: int) -> None:
        """Follow a stream from a token: an earlier one if the database was restored."""
        self._tokens[stream] = token

    def advance(self, stream: str, token: int) -> None:
        """A stream has reached a token. Positions only move forward."""
        if token > self._tokens[stream]:
            self._tokens[stream] = token

    def token_of(self, stream: str) -> int:
        """How far one stream has come."""
        return self._tokens[stream]

    def newest(self) -> int:
        """How far the first of the streams has come."""
        return max(self._tokens.values(), default=0)

    def current(self) -> int:
        """The position that all streams of the counter have reached."""
        return min(self._tokens.values(), default=0)
