"""Time: what it is, and doing things later.

Everything goes through the reactor that the clock is made of, so that tests run on a
`twisted.internet.task.Clock`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from .background import name_of, run_logged

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Unlike Linux's monotonic clock, this one counts the time in which the machine was suspended."""


class Clock:
    """The time of a reactor, and its timers."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._monotonic = _since_boot if isinstance(reactor, ReactorBase) else reactor.seconds

    def monotonic(self) -> float:
        """Seconds since some moment: for how long ago something was.

        Nobody sets this clock; it goes on while the machine sleeps, where the system can tell.
        May be asked in any thread.
        """
        return self._monotonic()

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._reactor.seconds()

    def time_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._reactor.seconds() * 1000)

    def later(self, seconds: float, fn: Callable[..., Any], *args: Any) -> IDelayedCall:
        """Call `fn(*args)`, sync or async, after a while, in the context of now.

        A failure is logged. The call can be cancelled until it begins.
        """
        return self._reactor.callLater(
            seconds, copy_context().run, _start_logged, name_of(fn), fn, *args
        )

    def every(
        self, seconds: float, fn: Callable[[], Awaitable[object] | object], *, name: str
    ) -> Repeating:
        """Call `fn()`, sync or async, every so often; the first time after one interval.

        A failing round is logged and does not end the repetition. Rounds never overlap: while one
        takes longer than the interval, the rounds that it hides are left out.
        """
        return Repeating(self._reactor, seconds, fn, name)

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancelling whoever waits cancels the timer."""
        timer: IDelayedCall
        done: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self._reactor.callLater(seconds, done.callback, None)
        await done


def _since_boot() -> float:
    return time.clock_gettime(_BOOT_CLOCK)


def _start_logged(name: str, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(run_logged(name, fn, *args))


class Repeating:
    """A function that is called again and again until it is stopped. Made by `Clock.every`."""

    def __init__(
        self,
        reactor: IReactorTime,
        seconds: float,
        fn: Callable[[], Awaitable[object] | object],
        name: str,
    ) -> None:
        if seconds <= 0:
            raise ValueError("An interval must be longer than nothing")
        self._reactor = reactor
        self._seconds = seconds
        self._fn = fn
        self._name = name
        self._stopped = False
        self._due = reactor.seconds() + seconds
        self._timer = reactor.callLater(seconds, self._begin_round)

    def _begin_round(self) -> None:
        # Its own empty context: the work belongs to no request that happened to start it.
        round_done = Context().run(_start_logged, self._name, self._fn)
        round_done.addCallback(self._schedule)

    def _schedule(self, _: object) -> None:
        if self._stopped:
            return
        now = self._reactor.seconds()
        passed = max(0.0, now - self._due)
        self._due += self._seconds * (math.floor(passed / self._seconds) + 1)
        # The wall clock may have been set back: never wait for more than one interval.
        delay = min(max(self._due - now, 0.0), self._seconds)
        self._due = now + delay
        self._timer = self._reactor.callLater(delay, self._begin_round)

    def stop(self) -> None:
        """Begin no further round. A round under way goes on to its end."""
        self._stopped = True
        if self._timer.active():
            self._timer.cancel()
