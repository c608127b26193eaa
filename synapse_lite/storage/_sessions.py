"""Runs database work with a connection: in threads of its own, or at once in the calling thread.

Each thread owns one connection, so there is nothing to hand round or to lock. Results of a busy
moment reach the reactor in one wake-up.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, succeed

from .engines._base import DatabaseEngine
from .errors import DatabaseUnavailableError

logger = logging.getLogger(__name__)


class ReactorThreads(Protocol):
    """The part of the reactor that other threads may call."""

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> object:
        """Run a function in the reactor thread."""


class Session:
    """One connection, opened when first needed and again after it broke."""

    def __init__(self, engine: DatabaseEngine, *, read_only: bool) -> None:
        self.engine = engine
        self.read_only = read_only
        self._connection: Any = None

    def connection(self) -> Any:
        """The open connection. Raises the driver's error if it cannot be opened."""
        if self._connection is None:
            self._connection = self.engine.connect(read_only=self.read_only)
        return self._connection

    def recover(self, error: BaseException) -> bool:
        """After an error: roll back, or drop the connection. Returns whether it is still good."""
        connection = self._connection
        if connection is None:
            return False
        if not self.engine.is_broken(connection, error):
            try:
                self.engine.rollback(connection)
                return True
            except self.engine.driver_error:
                logger.warning("Rolling back failed, the connection is dropped", exc_info=True)
        self.close()
        return False

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                self.engine.close(connection)
            except self.engine.driver_error:
                logger.debug("Closing a database connection failed", exc_info=True)


Work = Callable[[Session], None]
"""Database work. It keeps its own result and errors, and raises nothing."""


class Executor:
    """Runs work with one of its sessions."""

    def submit(self, work: Work, done: Callable[[], None]) -> None:
        """Run the work; then call `done` in the reactor thread."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """How much work has been submitted and is not done."""
        raise NotImplementedError

    def stop(self) -> Deferred[None]:
        """Close the sessions after the work that has been submitted."""
        raise NotImplementedError


class ImmediateExecutor(Executor):
    """Runs work in the calling thread before `submit` returns: for tests and command-line tools."""

    waiting = 0

    def __init__(self, session: Session) -> None:
        self.session = session

    def submit(self, work: Work, done: Callable[[], None]) -> None:
        """Run the work now."""
        work(self.session)
        done()

    def stop(self) -> Deferred[None]:
        """Close the session."""
        self.session.close()
        return succeed(None)


@attrs.define(eq=False)
class _Job:
    work: Work
    done: Callable[[], None]
    context: contextvars.Context


class ThreadExecutor(Executor):
    """A few threads with a session each, started when there is more work than threads."""

    def __init__(
        self,
        reactor: ReactorThreads,
        new_session: Callable[[], Session],
        *,
        name: str,
        maximum: int,
    ) -> None:
        self._reactor = reactor
        self._new_session = new_session
        self._name = name
        self._maximum = maximum
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._finished: deque[Callable[[], None]] = deque()
        self._wake_pending = False
        self._waiting = 0
        self._threads = 0
        self._stopped: Deferred[None] | None = None

    @property
    def waiting(self) -> int:
        """How much work has been submitted and is not done."""
        return self._waiting

    def submit(self, work: Work, done: Callable[[], None]) -> None:
        """Queue the work; it sees the context variables of the caller.

        Raises DatabaseUnavailableError once the threads have been stopped.
        """
        if self._stopped is not None:
            raise DatabaseUnavailableError(f"The database threads ({self._name}) have been stopped")
        self._waiting += 1
        if self._waiting > self._threads and self._threads < self._maximum:
            self._start_thread()
        self._jobs.put(_Job(work, done, contextvars.copy_context()))

    def stop(self) -> Deferred[None]:
        """End the threads after the queued work; fires when their connections are closed."""
        if self._stopped is None:
            self._stopped = Deferred()
            for _ in range(self._threads):
                self._jobs.put(None)
            if not self._threads:
                self._stopped.callback(None)
        return self._stopped

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(
            target=self._loop, name=f"database-{self._name}-{self._threads}", daemon=True
        ).start()

    def _loop(self) -> None:
        session = self._new_session()
        while (job := self._jobs.get()) is not None:
            job.context.run(job.work, session)
            self._report(job.done, self._job_done)
            # An idle thread must not keep the last result alive.
            del job
        session.close()
        self._report(self._thread_ended)

    def _report(self, *calls: Callable[[], None]) -> None:
        self._finished.extend(calls)
        if not self._wake_pending:
            self._wake_pending = True
            self._reactor.callFromThread(self._drain)

    def _drain(self) -> None:
        # Cleared first: whatever is added from here on either is seen below or wakes us again.
        self._wake_pending = False
        while self._finished:
            call = self._finished.popleft()
            try:
                call()
            except Exception:
                # One caller's failure must not keep the others waiting.
                logger.exception("A database callback failed")

    def _job_done(self) -> None:
        self._waiting -= 1

    def _thread_ended(self) -> None:
        self._threads -= 1
        if self._threads == 0 and self._stopped is not None:
            self._stopped.callback(None)
