"""Work that would hold up the reactor, in its threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.threads import deferToThreadPool

T = TypeVar("T")


class _HasReactor(Protocol):
    @property
    def reactor(self) -> Any: ...


class Threads:
    """Part: runs functions in the threads of the reactor, which end with it.

    Tests on a fake clock put `InlineThreads` in its place. Whoever uses it bounds how much waits.
    """

    def __init__(self, hs: _HasReactor) -> None:
        self._reactor = hs.reactor

    async def run(self, fn: Callable[[], T]) -> T:
        """The result of `fn()`. It goes on to its end even if nobody waits for it any more."""
        result: T = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), fn)
        return result


class InlineThreads(Threads):
    """Runs everything at once, in the calling thread."""

    async def run(self, fn: Callable[[], T]) -> T:
        """The result of `fn()`."""
        return fn()
