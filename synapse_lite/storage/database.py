"""Runs named transactions in database threads, and what follows their commit in the reactor.

A read-write transaction that meets a conflict, a locked database or a lost connection is run again
from its start. What it noted with `txn.changed` and `txn.call_after` is done in the reactor thread
after the commit and before the caller goes on. Cancelling the caller does not take effect while a
read-write transaction is under way.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

import attrs
from twisted.internet.defer import Deferred

from ..logging.context import LogContext, current
from ..util.clock import Clock
from ._attempt import Attempt
from ._sessions import Executor, ImmediateExecutor, ReactorThreads, Session, ThreadExecutor
from .engines._base import DatabaseEngine
from .errors import CommitUnknownError, DatabaseUnavailableError
from .transaction import CacheKey, Change, Transaction

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)
slow_logger = logging.getLogger(f"{__name__}.slow")

CONFLICT_PAUSES = (0.0, 0.02, 0.1, 0.4, 1.0)
"""Seconds before the second and later attempts of a transaction that met another one."""

RECONNECT_PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Seconds before the second and later attempts when the connection was lost."""

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long the reactor may keep the interpreter from a waiting database thread.

Measured with a reactor that is busy in pieces of 2 ms: a trivial read takes 65 ms with Python's
default of 5 ms, and 2 ms with this value; the CPU time of a read is the same.
"""

SLOW_SECONDS = 0.5
"""Transactions that run for longer are logged."""


class _WriteWaiter(Deferred[None]):
    """Waits for a read-write transaction, whose end cannot be brought about by cancelling.

    Who waited would go on, and give back its position in a stream, while rows at that position
    may still be committed: readers would pass them by.
    """

    def cancel(self) -> None:
        """Do nothing: the caller goes on when the transaction has ended."""


@attrs.define
class Counts:
    """What a pool has done since it was made."""

    transactions: int = 0
    statements: int = 0
    retries: int = 0


@attrs.define
class Timing:
    """What the transactions of one name have cost: seconds in a thread, seconds in the queue."""

    transactions: int = 0
    statements: int = 0
    failures: int = 0
    seconds: float = 0.0
    queued_seconds: float = 0.0


class DatabasePool:
    """The database of this process.

    With `immediate`, transactions run in the calling thread before `run` first yields: for tests
    on a fake clock and for command-line tools.
    """

    def __init__(
        self,
        engine: DatabaseEngine,
        reactor: ReactorThreads,
        clock: Clock,
        *,
        immediate: bool = False,
    ) -> None:
        self.engine = engine
        self.counts = Counts()
        self.timings: defaultdict[str, Timing] = defaultdict(Timing)
        self.on_committed: Callable[[list[Change]], None] | None = None
        """Called once for each commit with its changes, in the reactor thread."""
        self.write_invalidations: (
            Callable[[Transaction, list[tuple[str, CacheKey | None]]], None] | None
        ) = None
        """Called in the database thread, before the commit, with what became stale."""
        self.fence: Callable[[Transaction], None] | None = None
        """Called in the database thread before each read-write commit; raises to forbid it.

        Transactions that need its permission are those that a successor has to wait for.
        """
        self.on_commit_unknown: Callable[[], None] | None = None
        """Called in the reactor thread when nobody can say whether a transaction was committed.

        What is in memory may not fit what is stored then. Comes before the caller goes on.
        """
        self._reactor = reactor
        self._clock = clock
        self._recorder: list[str] | None = None
        self._shared = False
        self._writer, self._reader = _executors(engine, reactor, immediate)

    def sharing(self) -> DatabasePool:
        """Another pool over the same connections, with counts and hooks of its own.

        So that a master and its workers in one test process can use one database in memory.
        Stopping it does not close the connections.
        """
        pool = DatabasePool.__new__(DatabasePool)
        pool.__dict__.update(self.__dict__)
        pool.counts = Counts()
        pool.timings = defaultdict(Timing)
        pool.on_committed = pool.write_invalidations = pool.fence = None
        pool.on_commit_unknown = None
        pool._recorder = None
        pool._shared = True
        return pool

    async def run(
        self, name: str, fn: Callable[Concatenate[Transaction, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """Run a read-write transaction. Returns what the function returned, after the commit.

        Raises ConflictError if a unique key is taken, DatabaseUnavailableError when all attempts
        failed, its DiskFullError when there is no room, and what the function raises (nothing is
        written then).
        """
        return await self._perform(name, lambda txn: fn(txn, *args, **kw))

    async def run_relaxed(
        self, name: str, fn: Callable[Concatenate[Transaction, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """`run` for what a power cut may undo, such as heartbeats: spares the disk a flush."""
        return await self._perform(name, lambda txn: fn(txn, *args, **kw), relaxed=True)

    async def run_outside_transaction(
        self, name: str, fn: Callable[Concatenate[Transaction, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """Run statements that stand each for itself: building an index beside writers."""
        return await self._perform(name, lambda txn: fn(txn, *args, **kw), in_transaction=False)

    async def read(
        self, name: str, fn: Callable[Concatenate[Transaction, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """Run a transaction that only reads, on one snapshot, beside others."""
        return await self._perform(name, lambda txn: fn(txn, *args, **kw), read_only=True)

    def start(self) -> None:
        """Tune the interpreter for database threads; these come with the first work."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_SECONDS))

    async def stop(self) -> None:
        """Finish the queued work and close the connections."""
        if not self._shared:
            await self._reader.stop()
            await self._writer.stop()

    @property
    def waiting(self) -> int:
        """How many transactions are queued or running."""
        if self._writer is self._reader:
            return self._writer.waiting
        return self._writer.waiting + self._reader.waiting

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """Collect the SQL of the statements run meanwhile: for tests that count them."""
        before, self._recorder = self._recorder, []
        try:
            yield self._recorder
        finally:
            self._recorder = before

    async def _perform(
        self,
        name: str,
        call: Callable[[Transaction], T],
        *,
        read_only: bool = False,
        relaxed: bool = False,
        in_transaction: bool = True,
    ) -> T:
        before_commit = None if read_only else self._before_commit
        failures = 0
        while True:
            attempt = Attempt(
                name,
                call,
                read_only,
                relaxed,
                before_commit,
                self._recorder,
                in_transaction,
                marked=self.fence is not None,
            )
            await self._submit(attempt)
            if attempt.error is None:
                result: T = attempt.result
                return result
            pauses = RECONNECT_PAUSES if attempt.connection_lost else CONFLICT_PAUSES
            if not attempt.retriable:
                raise attempt.error
            if failures >= len(pauses):
                raise DatabaseUnavailableError(f"{name}: {attempt.error}") from attempt.error
            logger.info("Running %s again: %s", name, attempt.error)
            self.counts.retries += 1
            await self._clock.sleep(pauses[failures])
            failures += 1

    def _submit(self, attempt: Attempt) -> Deferred[None]:
        """Run one attempt. Its effects follow its commit, and then the caller goes on."""
        waiter: Deferred[None] = Deferred() if attempt.read_only else _WriteWaiter()
        executor = self._reader if attempt.read_only else self._writer
        context = current()
        executor.submit(attempt.run, lambda: self._finish(attempt, context, waiter))
        return waiter

    def _before_commit(self, txn: Transaction) -> None:
        if txn.invalidations:
            if self.write_invalidations is None:
                raise RuntimeError("Only the master can make caches of other processes stale")
            self.write_invalidations(txn, txn.invalidations)
        if self.fence is not None:
            self.fence(txn)

    def _finish(self, attempt: Attempt, context: LogContext, waiter: Deferred[None]) -> None:
        """In the reactor thread: count, apply the effects of a commit, wake the caller."""
        self._account(attempt, context)
        try:
            if isinstance(attempt.error, CommitUnknownError) and self.on_commit_unknown is not None:
                self.on_commit_unknown()
            if attempt.transaction is not None:
                self._apply_effects(attempt.transaction, committed=attempt.error is None)
        except Exception:
            # What is in memory may not fit what is committed.
            logger.exception("The effects of %s failed after its commit", attempt.name)
            waiter.errback()
        else:
            waiter.callback(None)

    def _apply_effects(self, txn: Transaction, *, committed: bool) -> None:
        try:
            if committed:
                if txn.changes and self.on_committed is not None:
                    self.on_committed(txn.changes)
                for fn, args in txn.after:
                    fn(*args)
        finally:
            for fn, args in txn.at_end:
                fn(*args)

    def _account(self, attempt: Attempt, context: LogContext) -> None:
        statements = attempt.transaction.statements if attempt.transaction is not None else 0
        seconds = attempt.ended - attempt.started
        self.counts.transactions += 1
        self.counts.statements += statements
        context.count_database(transactions=1, statements=statements, seconds=seconds)
        timing = self.timings[attempt.name]
        timing.transactions += 1
        timing.statements += statements
        timing.failures += attempt.error is not None
        timing.seconds += seconds
        timing.queued_seconds += attempt.started - attempt.submitted
        if seconds >= SLOW_SECONDS:
            slow_logger.warning(
                "Slow transaction %s: %.3f s, %d statements, %.3f s in the queue",
                attempt.name,
                seconds,
                statements,
                attempt.started - attempt.submitted,
            )


def _executors(
    engine: DatabaseEngine, reactor: ReactorThreads, immediate: bool
) -> tuple[Executor, Executor]:
    """Who runs read-write and who runs read-only transactions."""
    if engine.single_connection:
        session = Session(engine, read_only=False)
        if immediate:
            only: Executor = ImmediateExecutor(session)
        else:
            only = ThreadExecutor(reactor, lambda: session, name="only", maximum=1)
        return only, only
    if immediate:
        return (
            ImmediateExecutor(Session(engine, read_only=False)),
            ImmediateExecutor(Session(engine, read_only=True)),
        )
    return (
        ThreadExecutor(
            reactor,
            lambda: Session(engine, read_only=False),
            name="writer",
            maximum=engine.writers,
        ),
        ThreadExecutor(
            reactor,
            lambda: Session(engine, read_only=True),
            name="reader",
            maximum=engine.readers,
        ),
    )
