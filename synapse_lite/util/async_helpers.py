"""Waiting for several things, sharing what runs, queueing for a key, and giving up.

Context variables follow `await` and `start`; nothing here needs to carry them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, overload

import attrs
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    FirstError,
    fail,
    gatherResults,
    succeed,
)
from twisted.python.failure import Failure

from .background import run_in_background, start
from .clock import Clock

__all__ = [
    "Linearizer",
    "Outcome",
    "SharedCall",
    "TimedOutError",
    "Wakeup",
    "gather",
    "gather_list",
    "run_in_background",
    "with_timeout",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
K = TypeVar("K", bound=Hashable)


class TimedOutError(Exception):
    """Something took longer than it was given."""


async def gather_list(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """Run all at once; their results in order.

    The first error is raised as it happens; the others run on, and their errors are dropped.
    """
    try:
        return await gatherResults([start(each) for each in awaitables], consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()


@overload
async def gather(first: Awaitable[T1], second: Awaitable[T2], /) -> tuple[T1, T2]: ...
@overload
async def gather(
    first: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], /
) -> tuple[T1, T2, T3]: ...
@overload
async def gather(
    first: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], fourth: Awaitable[T4], /
) -> tuple[T1, T2, T3, T4]: ...


async def gather(*awaitables: Awaitable[Any]) -> tuple[Any, ...]:
    """`gather_list` for two to four things, typed each: `a, b = await gather(x(), y())`."""
    return tuple(await gather_list(awaitables))


class Outcome(Generic[T]):
    """A result that many wait for. Each waits on a Deferred of its own.

    Cancelling one of them leaves the others, and whatever makes the result, alone.
    """

    __slots__ = ("_failure", "_had_waiters", "_value", "_waiters", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        self._value: T | None = None
        self._failure: Failure | None = None
        self._had_waiters = False
        self._waiters: dict[Deferred[T], None] = {}

    @classmethod
    def of(cls, awaitable: Awaitable[T]) -> Outcome[T]:
        """Start an awaitable; its outcome."""
        outcome = cls()
        start(awaitable).addCallbacks(outcome.resolve, outcome.fail)
        return outcome

    def wait(self) -> Deferred[T]:
        """A new Deferred that fires with the result."""
        if self.is_done:
            return succeed(cast(T, self._value)) if self._failure is None else fail(self._failure)
        waiter: Deferred[T] = Deferred(self._forget)
        self._waiters[waiter] = None
        self._had_waiters = True
        return waiter

    def __await__(self) -> Generator[Any, Any, T]:
        return self.wait().__await__()

    def _forget(self, waiter: Deferred[T]) -> None:
        self._waiters.pop(waiter, None)

    def resolve(self, value: T) -> None:
        """Give everybody the result."""
        self.is_done = True
        self._value = value
        while self._waiters:
            self._next_waiter().callback(value)

    def fail(self, failure: Failure) -> None:
        """Give everybody the failure; log it when all who waited have gone."""
        self.is_done = True
        self._failure = failure
        if self._had_waiters and not self._waiters:
            logger.warning(
                "A shared call failed after its callers had gone", exc_info=_info(failure)
            )
        while self._waiters:
            self._next_waiter().errback(failure)

    def _next_waiter(self) -> Deferred[T]:
        waiter = next(iter(self._waiters))
        del self._waiters[waiter]
        return waiter


def _info(failure: Failure) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    error: BaseException = failure.value  # type: ignore[assignment]  # None only when unpickled
    return type(error), error, failure.tb


class Wakeup:
    """An event that happens once, and that many may wait for."""

    __slots__ = ("_outcome",)

    def __init__(self) -> None:
        self._outcome: Outcome[None] = Outcome()

    @property
    def is_fired(self) -> bool:
        """Whether it has happened."""
        return self._outcome.is_done

    def wait(self) -> Deferred[None]:
        """Fires when it happens, at once if it has. May be cancelled."""
        return self._outcome.wait()

    def fire(self) -> None:
        """Wake everybody, in the order of waiting. A second time does nothing."""
        if not self._outcome.is_done:
            self._outcome.resolve(None)


class SharedCall(Generic[K, T]):
    """Calls that are shared by everybody who asks for the same key while they run."""

    def __init__(self) -> None:
        self._running: dict[K, Outcome[T]] = {}

    async def get(self, key: K, fn: Callable[[], Awaitable[T]]) -> T:
        """The result of the call that runs for this key, else of `fn()`.

        Cancelling one caller does not stop the call.
        """
        outcome = self._running.get(key)
        if outcome is None:
            outcome = self._running[key] = Outcome()
            start(self._call(key, fn)).addCallbacks(outcome.resolve, outcome.fail)
        return await outcome

    def is_running(self, key: K) -> bool:
        """Whether a call for this key is under way."""
        return key in self._running

    async def _call(self, key: K, fn: Callable[[], Awaitable[T]]) -> T:
        try:
            return await fn()
        finally:
            del self._running[key]


async def with_timeout(awaitable: Awaitable[T], seconds: float, clock: Clock) -> T:
    """The result of an awaitable. Raises TimedOutError, and cancels it, when it takes too long."""
    running = start(awaitable)
    result: Deferred[T] = Deferred(lambda _: running.cancel())
    timed_out = False

    def give_up() -> None:
        nonlocal timed_out
        timed_out = True
        running.cancel()
        result.errback(TimedOutError(f"Not done within {seconds:g} s"))

    def succeeded(value: T) -> None:
        if not (timed_out or result.called):
            result.callback(value)

    def failed(failure: Failure) -> None:
        if not (timed_out or result.called):
            result.errback(failure)
        elif not isinstance(failure.value, CancelledError):
            logger.warning("Failed after it was given up", exc_info=_info(failure))

    running.addCallbacks(succeeded, failed)
    if result.called:
        return await result
    timer = clock.later(seconds, give_up)
    try:
        return await result
    finally:
        if timer.active():
            timer.cancel()


@attrs.define(eq=False)
class _Line:
    """Who is in, and who waits, for one key of a Linearizer."""

    inside: int = 0
    waiting: dict[Deferred[None], None] = attrs.Factory(dict)


class Linearizer:
    """Lets at most `max_count` at a time in for each key; the others wait their turn.

    First come, first in. Not reentrant: asking for a key that one holds oneself waits for ever
    when `max_count` is 1.
    """

    _MAX_IN_A_ROW = 50
    """So many are let in one after the other before the reactor gets a turn."""

    def __init__(self, name: str, max_count: int = 1, clock: Clock | None = None) -> None:
        self.name = name
        self._max_count = max_count
        self._clock = clock
        self._lines: dict[Hashable, _Line] = {}
        self._freed: deque[Hashable] = deque()
        self._is_admitting = False

    def queue(self, key: Hashable) -> _Turn:
        """`async with linearizer.queue(key):` waits for its turn and holds it."""
        return _Turn(self, key)

    def is_held(self, key: Hashable) -> bool:
        """Whether somebody is in for this key."""
        return key in self._lines

    async def _enter(self, key: Hashable) -> None:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        if line.inside < self._max_count and not line.waiting:
            line.inside += 1
            return
        # A waiter that is cancelled has no place yet, so leaving the queue is all there is to do.
        turn: Deferred[None] = Deferred(lambda waiter: line.waiting.pop(waiter, None))
        line.waiting[turn] = None
        await turn

    def _leave(self, key: Hashable) -> None:
        line = self._lines[key]
        line.inside -= 1
        if line.waiting:
            self._freed.append(key)
            self._admit()
        elif not line.inside:
            del self._lines[key]

    def _admit(self) -> None:
        """Let in whoever is next where a place is free.

        Who is let in may leave before `callback` returns. A loop, not recursion, so that a long
        queue of short stays cannot exhaust the stack.
        """
        if self._is_admitting:
            return
        self._is_admitting = True
        admitted = 0
        try:
            while self._freed:
                if admitted >= self._MAX_IN_A_ROW and self._clock is not None:
                    self._clock.later(0, self._admit)
                    return
                admitted += self._admit_next(self._freed.popleft())
        finally:
            self._is_admitting = False

    def _admit_next(self, key: Hashable) -> int:
        line = self._lines.get(key)
        if line is None:
            return 0
        if line.waiting and line.inside < self._max_count:
            turn = next(iter(line.waiting))
            del line.waiting[turn]
            line.inside += 1
            turn.callback(None)
            return 1
        if not line.inside and not line.waiting:
            del self._lines[key]  # who waited has been cancelled meanwhile
        return 0


class _Turn:
    """One stay inside a Linearizer."""

    __slots__ = ("_key", "_linearizer")

    def __init__(self, linearizer: Linearizer, key: Hashable) -> None:
        self._linearizer = linearizer
        self._key = key

    async def __aenter__(self) -> None:
        await self._linearizer._enter(self._key)

    async def __aexit__(self, *_: object) -> None:
        self._linearizer._leave(self._key)
