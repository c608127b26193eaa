"""Leases: who does what only one process may do.

A lease is a row that its holder renews. Another process takes it when the holder gave it back, is
seen to have died on the same machine, or has not renewed it for as long as it promised; the latter
is counted in looks at the row, so clocks of different machines need not agree. Each change of hands
raises the fencing number, so a holder that slept through its lease can be told from the new one.

Workers write this table too: a duty must change hands while the master is away.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import attrs

from ..util.clock import Clock, Repeating
from .database import DatabasePool
from .errors import ConflictError, StoreError
from .processes import ProcessIdentity
from .transaction import Transaction

logger = logging.getLogger(__name__)

MASTER_LEASE = "master"

DURATION_SECONDS = 10.0
"""How long a holder may be silent; a death on another machine costs this much time."""

_RENEWALS_PER_DURATION = 3
_LOOK_SECONDS = 1.0

WRITERS_PATIENCE_SECONDS = 5.0
"""How long a transaction of a former holder may take to its own end."""

_WRITERS_LOOK_SECONDS = 0.05

_IDENTITY_COLUMNS = ("host", "boot_id", "pid_namespace", "pid", "pid_started")
_COLUMNS = ("holder", *_IDENTITY_COLUMNS, "fencing", "renewals", "duration_ms", "acquired_ts")


class LeaseHeldError(StoreError):
    """Another living process holds the lease; the message names it."""


class LeaseLostError(StoreError):
    """Another process has taken the lease: what was about to be written must not be."""


@attrs.frozen
class Lease:
    """The row of a lease. `holder` is None when it was given back."""

    holder: ProcessIdentity | None
    fencing: int
    renewals: int
    duration_ms: int
    acquired_ts: int

    @property
    def mark(self) -> tuple[int, int]:
        """Changes whenever the holder shows life."""
        return (self.fencing, self.renewals)


class LeaseKeeper:
    """Takes one lease for this process, renews it, and tells when it is lost.

    `on_lost` is called in the reactor thread, once, when another process has taken the lease.
    """

    def __init__(
        self,
        db: DatabasePool,
        clock: Clock,
        name: str,
        identity: ProcessIdentity,
        on_lost: Callable[[], object],
        *,
        duration: float = DURATION_SECONDS,
    ) -> None:
        self.name = name
        self.fencing: int | None = None
        self._db = db
        self._clock = clock
        self._identity = identity
        self._on_lost = on_lost
        self._duration = duration
        self._renewed_at = -math.inf
        self._renewing: Repeating | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process holds the lease, as far as it knows."""
        return self.fencing is not None

    async def acquire(self) -> int:
        """Take the lease and begin to renew it. Returns the fencing number.

        Raises LeaseHeldError as soon as another holder is seen to live. A silent holder that
        cannot be seen from here is watched for as long as its lease lasts.
        """
        held = await self._try_acquire(None)
        if held is not None and self._is_alive(held) is not True:
            held = await self._watch(held)
        if held is not None:
            raise LeaseHeldError(f"The lease {self.name!r} is held by {held.holder}")
        return self._begin()

    async def wait(self) -> int:
        """Stand by until the lease is ours, then renew it. Returns the fencing number."""
        held = await self._try_acquire(None)
        if held is not None:
            logger.info("Standing by: the lease %r is held by %s", self.name, held.holder)
        while held is not None:
            held = await self._watch(held)
        return self._begin()

    async def release(self) -> None:
        """Stop renewing and give the lease back, so that another process need not wait."""
        self._stop_renewing()
        if self.fencing is None:
            return
        try:
            await self._db.run("release_lease", self._release_txn, self.fencing)
        except LeaseLostError:
            logger.warning("Another process has taken the lease %r already", self.name)
        self.fencing = None
        # From here on the fence lets nothing pass, however fresh the last renewal is.
        self._renewed_at = -math.inf

    def fence(self, txn: Transaction) -> None:
        """Forbid the commit if the lease is lost: for `DatabasePool.fence` of the master.

        Costs nothing while renewals are on time. A process that was stopped for longer than its
        lease looks at the row before it writes. Raises LeaseLostError.
        """
        if self._clock.monotonic() - self._renewed_at < self._duration:
            return
        row = txn.query_one(
            f"SELECT fencing FROM leases WHERE name = ?{txn.engine.row_lock()}", (self.name,)
        )
        if row is None or row[0] != self.fencing:
            raise LeaseLostError(f"The lease {self.name!r} is no longer ours")

    async def renew(self) -> None:
        """Renew the lease now; done regularly by itself once it has been acquired."""
        fencing = self.fencing
        if fencing is None:
            return
        began = self._clock.monotonic()
        try:
            renewed = await self._db.run_relaxed("renew_lease", self._renew_txn, fencing)
        except LeaseLostError:  # the fence stands before this write, too
            renewed = False
        if renewed:
            self._renewed_at = began
        elif self.fencing == fencing:
            logger.error("Another process has taken the lease %r", self.name)
            self._stop_renewing()
            self.fencing = None
            self._on_lost()

    def _begin(self) -> int:
        assert self.fencing is not None, "set by the attempt that succeeded"
        logger.info("Took the lease %r, fencing number %d", self.name, self.fencing)
        interval = self._duration / _RENEWALS_PER_DURATION
        self._renewing = self._clock.every(interval, self.renew, name=f"lease {self.name}")
        return self.fencing

    def _stop_renewing(self) -> None:
        if self._renewing is not None:
            self._renewing.stop()
            self._renewing = None

    async def _watch(self, held: Lease) -> Lease | None:
        """Look at a lease until it is ours (None), or its holder shows life (its new row)."""
        looks = math.ceil(held.duration_ms / 1000 / _LOOK_SECONDS)
        mark = held.mark
        for look in range(1, looks + 1):
            await self._clock.sleep(_LOOK_SECONDS)
            found = await self._try_acquire(mark if look == looks else None)
            if found is None or found.mark != mark:
                return found
        return held

    async def _try_acquire(self, expired: tuple[int, int] | None) -> Lease | None:
        """Take the lease if it is free or still at the mark that is known to be expired.

        Returns None if it is ours now, otherwise its row.
        """
        began = self._clock.monotonic()
        try:
            found = await self._db.run("acquire_lease", self._acquire_txn, expired)
        except ConflictError:  # another process was first to make the row
            found = await self._db.run("acquire_lease", self._acquire_txn, expired)
        if isinstance(found, Lease):
            return found
        self.fencing = found
        self._renewed_at = began
        return None

    def _is_alive(self, lease: Lease) -> bool | None:
        return False if lease.holder is None else lease.holder.is_alive(self._identity)

    def _acquire_txn(self, txn: Transaction, expired: tuple[int, int] | None) -> int | Lease:
        """The new fencing number, or the lease of the other."""
        row = txn.select_one("leases", _COLUMNS, name=self.name)
        values = self._row_values()
        if row is None:
            txn.insert("leases", name=self.name, fencing=1, **values)
            return 1
        lease = _lease_of(row)
        if self._is_alive(lease) is not False and lease.mark != expired:
            return lease
        fencing = lease.fencing + 1
        txn.update("leases", {"name": self.name}, {"fencing": fencing, **values})
        return fencing

    def _row_values(self) -> dict[str, Any]:
        now = self._clock.time_ms()
        identity = self._identity
        return {
            "holder": identity.name,
            **{column: getattr(identity, column) for column in _IDENTITY_COLUMNS},
            "renewals": 0,
            "duration_ms": int(self._duration * 1000),
            "acquired_ts": now,
            "renewed_ts": now,
        }

    def _renew_txn(self, txn: Transaction, fencing: int) -> bool:
        txn.execute(
            "UPDATE leases SET renewals = renewals + 1, renewed_ts = ?"
            " WHERE name = ? AND fencing = ?",
            (self._clock.time_ms(), self.name, fencing),
        )
        return txn.rowcount == 1

    def _release_txn(self, txn: Transaction, fencing: int) -> None:
        txn.update("leases", {"name": self.name, "fencing": fencing}, {"holder": None})


async def wait_for_former_writers(
    db: DatabasePool, clock: Clock, *, patience: float = WRITERS_PATIENCE_SECONDS
) -> None:
    """Return once all that former holders of the master's lease have written can be read.

    A database server goes on with the COMMIT of a process that has died. Should its rows appear
    after the new holder has read how far the streams go, nobody would be told of them. What does
    not come to an end by itself is ended. Called before this process fences its own transactions.
    """
    began = clock.monotonic()
    while running := await db.read("count_former_writers", _count_former_writers_txn):
        if clock.monotonic() - began >= patience:
            logger.warning("Ending %d transactions of a former holder of the lease", running)
            await db.read("end_former_writers", _end_former_writers_txn)
            began = clock.monotonic()
        await clock.sleep(_WRITERS_LOOK_SECONDS)


def _count_former_writers_txn(txn: Transaction) -> int:
    return txn.marked_transactions()


def _end_former_writers_txn(txn: Transaction) -> None:
    txn.end_marked_transactions()


def _lease_of(row: tuple[Any, ...]) -> Lease:
    holder = None if row[0] is None else ProcessIdentity(*row[:6])
    return Lease(holder, *row[6:])


async def get_leases(db: DatabasePool) -> dict[str, Lease]:
    """All leases by name, for status pages."""
    rows = await db.read("get_leases", lambda txn: txn.select("leases", ("name", *_COLUMNS)))
    return {row[0]: _lease_of(row[1:]) for row in rows}
