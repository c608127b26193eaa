"""Each process says in the database that it is alive, where it can be reached, and how far behind.

Workers write this table too: nobody else can say that they are alive. The row may be lost in a
power cut, so writing it costs no flush of the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from ..util.clock import Clock, Repeating
from ..util.json import JsonDict, JsonValue, decode_stored_json, encode_json_text
from .database import DatabasePool
from .engines import Row
from .processes import ProcessIdentity
from .transaction import Transaction

INTERVAL_SECONDS = 10.0
ALIVE_MS = 35_000
"""A process that has been silent for longer (three heartbeats and a bit) is taken for dead."""

FORGET_MS = 24 * 60 * 60 * 1000
"""Rows of processes that did not say goodbye are kept for a day, to show what is missing."""

_COLUMNS = (
    "name",
    "kind",
    "host",
    "pid",
    "version",
    "started_ts",
    "last_seen_ts",
    "addresses",
    "lag",
)


@attrs.frozen
class ProcessAddress:
    """A port of a process: `scheme://address:port` as it is bound, and the resources there."""

    uri: str
    resources: frozenset[str] = frozenset()

    def to_json(self) -> JsonDict:
        """The form in the row."""
        return {"uri": self.uri, "resources": sorted(self.resources)}

    @staticmethod
    def from_json(value: JsonValue) -> ProcessAddress:
        """Read it. Rows of older versions have only the URI."""
        if isinstance(value, dict):
            return ProcessAddress(value["uri"], frozenset(value["resources"]))
        return ProcessAddress(str(value))


@attrs.frozen
class ProcessHeartbeat:
    """What a process has last said. `lag` maps a stream to `{"rows": n, "ms": n}`."""

    name: str
    kind: str
    host: str
    pid: int
    version: str
    started_ts: int
    last_seen_ts: int
    addresses: tuple[ProcessAddress, ...]
    lag: JsonDict

    def is_alive(self, now_ms: int) -> bool:
        """Whether it was heard of lately."""
        return now_ms - self.last_seen_ts < ALIVE_MS


class Heart:
    """Writes this process's row every ten seconds while it runs, and takes it away at the end.

    `addresses` are where other processes reach this one; `lag` is asked each time.
    """

    def __init__(
        self,
        db: DatabasePool,
        clock: Clock,
        identity: ProcessIdentity,
        *,
        kind: str,
        version: str,
        addresses: Sequence[ProcessAddress],
        lag: Callable[[], JsonDict],
    ) -> None:
        self._db = db
        self._clock = clock
        self._identity = identity
        self._kind = kind
        self._version = version
        self._addresses = [address.to_json() for address in addresses]
        self._lag = lag
        self._started_ts = clock.time_ms()
        self._beating: Repeating | None = None

    async def start(self) -> None:
        """Write the first row, then one every ten seconds."""
        self._started_ts = self._clock.time_ms()
        await self._db.run_relaxed("forget_heartbeats", self._forget_txn)
        await self.beat()
        self._beating = self._clock.every(INTERVAL_SECONDS, self.beat, name="heartbeat")

    async def stop(self) -> None:
        """Say goodbye."""
        if self._beating is not None:
            self._beating.stop()
            self._beating = None
            await self._db.run_relaxed("stop_heartbeat", self._stop_txn)

    async def beat(self) -> None:
        """Write the row now."""
        await self._db.run_relaxed("heartbeat", self._beat_txn, encode_json_text(self._lag()))

    def _beat_txn(self, txn: Transaction, lag: str) -> None:
        txn.upsert(
            "process_heartbeats",
            {"name": self._identity.name},
            {
                "kind": self._kind,
                "host": self._identity.host,
                "pid": self._identity.pid,
                "version": self._version,
                "started_ts": self._started_ts,
                "last_seen_ts": self._clock.time_ms(),
                "addresses": encode_json_text(self._addresses),
                "lag": lag,
            },
        )

    def _stop_txn(self, txn: Transaction) -> None:
        # A successor under the same name may have written the row already.
        identity = self._identity
        txn.delete("process_heartbeats", name=identity.name, host=identity.host, pid=identity.pid)

    def _forget_txn(self, txn: Transaction) -> None:
        oldest = self._clock.time_ms() - FORGET_MS
        txn.execute("DELETE FROM process_heartbeats WHERE last_seen_ts < ?", (oldest,))


async def get_heartbeats(db: DatabasePool) -> list[ProcessHeartbeat]:
    """What every process has last said, by name."""
    rows = await db.read("get_heartbeats", lambda txn: txn.select("process_heartbeats", _COLUMNS))
    return [_heartbeat_of(row) for row in sorted(rows)]


def _heartbeat_of(row: Row) -> ProcessHeartbeat:
    *plain, addresses, lag = row
    found = tuple(map(ProcessAddress.from_json, decode_stored_json(addresses)))
    values = (*plain, found, decode_stored_json(lag))
    return ProcessHeartbeat(*values)
