"""One attempt of one transaction, from BEGIN to COMMIT, in a database thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import attrs

from ._sessions import Session
from .errors import CommitUnknownError, ConflictError, DiskFullError
from .transaction import Transaction

logger = logging.getLogger(__name__)

_OUTCOME_SECONDS = 120.0
"""So long a server that is restarting is asked; nothing could be written meanwhile anyway."""

_OUTCOME_PAUSE_SECONDS = 1.0

Before = Callable[[Transaction], None]


@attrs.define(eq=False)
class Attempt:
    """What one attempt needs, and what came of it.

    `before_commit` runs at the end of the transaction, as part of it. Without `in_transaction`
    each statement stands for itself. A `marked` transaction is one that the next master has to wait
    for. After `run`, either `error` is set (and `retriable` says
    whether another attempt may help), or `transaction` has been committed and `result` holds what
    the function returned.
    """

    name: str
    call: Callable[[Transaction], Any]
    read_only: bool
    relaxed: bool
    before_commit: Before | None
    recorder: list[str] | None
    in_transaction: bool = True
    marked: bool = False
    submitted: float = attrs.field(factory=time.perf_counter)

    transaction: Transaction | None = None
    result: Any = None
    error: BaseException | None = None
    retriable: bool = False
    connection_lost: bool = False
    started: float = 0.0
    ended: float = 0.0

    def run(self, session: Session) -> None:
        """Run the attempt; raises nothing."""
        self.started = time.perf_counter()
        try:
            self._run(session)
        except BaseException as error:  # handed to the reactor, which raises it to the caller
            self._failed(session, error)
        self.ended = time.perf_counter()

    def _run(self, session: Session) -> None:
        connection = session.connection()
        if self.in_transaction:
            self._run_transaction(session, connection)
        else:
            cursor = connection.cursor()
            txn = Transaction(self.name, session.engine, cursor, self.recorder)
            self.transaction = txn
            self.result = self.call(txn)
            cursor.close()

    def _run_transaction(self, session: Session, connection: Any) -> None:
        engine = session.engine
        mark = engine.begin(
            connection, read_only=self.read_only, relaxed=self.relaxed, marked=self.marked
        )
        cursor = connection.cursor()
        transaction = Transaction(self.name, engine, cursor, self.recorder)
        self.transaction = transaction
        self.result = self.call(transaction)
        if self.before_commit is not None:
            self.before_commit(transaction)
        cursor.close()
        try:
            engine.commit(connection)
        except engine.driver_error as error:
            if mark is None or self.read_only or not engine.is_broken(connection, error):
                raise
            session.close()
            if not self._was_committed(session, mark):
                session.close()  # so that the error still counts as a lost connection
                raise

    def _was_committed(self, session: Session, mark: int) -> bool:
        """Find out what became of a commit whose answer was lost with the connection.

        Running the transaction again without knowing could apply it twice.
        """
        deadline = time.monotonic() + _OUTCOME_SECONDS
        while True:
            try:
                outcome = session.engine.outcome_of(session.connection(), mark)
            except session.engine.driver_error as error:
                logger.warning("Cannot ask for the outcome of %s: %s", self.name, error)
                session.close()
                outcome = None
            if outcome is not None:
                return outcome
            if time.monotonic() >= deadline:
                raise CommitUnknownError(f"Whether {self.name} was committed is not known")
            time.sleep(_OUTCOME_PAUSE_SECONDS)

    def _failed(self, session: Session, error: BaseException) -> None:
        engine = session.engine
        opened = session.recover(error)
        self.connection_lost = not opened and engine.can_reconnect(error)
        self.retriable = self.connection_lost or engine.is_retriable(error)
        self.error = error
        if self.retriable:
            return
        if isinstance(error, engine.integrity_error):
            self.error = ConflictError(f"{self.name}: {error}")
        elif engine.is_out_of_space(error):
            self.error = DiskFullError(f"{self.name}: {error}")
        if self.error is not error:
            self.error.__cause__ = error
