"""A master's and workers' stores over one database in memory, with a few streams."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock as FakeReactor
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase

from synapse_lite.config import config_from_dict
from synapse_lite.config.listeners import Listener, ListenerResource
from synapse_lite.crypto.signing import generate_signing_key
from synapse_lite.replication.master import ReplicationPublisher
from synapse_lite.replication.worker import ReplicationFollower
from synapse_lite.replication.worker_commands import WorkerCommands
from synapse_lite.server import Homeserver
from synapse_lite.storage._base import BaseStore, FollowerStore, MasterStore
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.engines.sqlite import SqliteEngine
from synapse_lite.storage.schema.prepare import prepare_core
from synapse_lite.storage.transaction import Transaction
from synapse_lite.streams import (
    CACHES,
    RECEIPTS,
    STREAMS,
    TYPING,
    ReceiptRow,
    Stream,
    TypingRow,
)
from synapse_lite.util.background import start
from synapse_lite.util.caches.cached import cached
from synapse_lite.util.clock import Clock
from synapse_lite.util.json import encode_json_text
from tests.harness.replication import MemoryEndpoint, connect_in_memory

LISTENER = Listener(port=9093, resources=(ListenerResource(names=("replication",)),))
"""Where the master takes events of workers."""

KEY = generate_signing_key("test")

RECEIPT_COLUMNS = RECEIPTS.fields


def receipt(number: int, text: str = "") -> ReceiptRow:
    """A row that can be told from others."""
    return ReceiptRow("!room:test", "m.read", "@user:test", f"$event{number}", {"text": text})


class SomeReads(BaseStore):
    """Follows receipts and typing; `applied` lists what was applied, in order."""

    streams = (RECEIPTS, TYPING, CACHES)
    handles = ((RECEIPTS, "_receipt_applied"), (TYPING, "_typing_applied"))
    resets = ((RECEIPTS, "_receipts_reset"), (TYPING, "_typing_reset"))

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        self.applied: list[tuple[int, str]] = []
        self.typing: dict[str, list[str]] = {}
        self.typing_tokens: dict[str, int] = {}
        self.reset_to: list[tuple[str, int]] = []
        self.failing = False
        super().__init__(hs, db)

    def _receipt_applied(self, token: int, row: ReceiptRow) -> None:
        if self.failing:
            raise RuntimeError("a bug in an effect")
        self.applied.append((token, row.event_id))

    def _typing_applied(self, token: int, row: TypingRow) -> None:
        self.typing[row.room_id] = row.user_ids
        self.typing_tokens[row.room_id] = token

    def _receipts_reset(self, token: int) -> None:
        self.reset_to.append(("receipts", token))

    def _typing_reset(self, token: int) -> None:
        self.reset_to.append(("typing", token))
        self.typing.clear()

    @cached()
    async def get_receipts_for_room(self, room_id: str) -> int:
        """How many receipts there are."""
        return await self.db.read(
            "count", lambda txn: int(txn.query("SELECT COUNT(*) FROM receipts")[0][0])
        )

    @cached()
    async def get_destination_retry_timings(self, destination: str) -> int:
        """Something that workers write and that no stream names."""
        return await self.db.read("timings", lambda txn: int(txn.query("SELECT 1")[0][0]))


class SomeMasterStore(SomeReads, MasterStore):
    """Writes receipts. `read_seconds` makes reads of missed rows take their time."""

    read_seconds = 0.0
    reads = 0

    async def rows_between(
        self, stream: Stream, low: int, high: int, limit: int
    ) -> list[tuple[int, Any]]:
        rows = await super().rows_between(stream, low, high, limit)
        if low < high:
            self.reads += 1
            if self.read_seconds:
                await self.clock.sleep(self.read_seconds)
        return rows

    async def add(self, *batches: Sequence[ReceiptRow]) -> None:
        """Write receipts; the rows of one batch get one token."""
        async with self.writing_many(RECEIPTS, len(batches)) as tokens:
            await self.db.run("add", self._add_txn, list(zip(tokens, batches, strict=True)))

    def _add_txn(self, txn: Transaction, items: list[tuple[int, Sequence[ReceiptRow]]]) -> None:
        values = []
        for token, rows in items:
            for row in rows:
                wire = RECEIPTS.to_wire(row)
                wire[4] = encode_json_text(wire[4])
                values.append((token, *wire))
                txn.changed(RECEIPTS, token, row)
        txn.insert_many("receipts", ("stream_id", *RECEIPT_COLUMNS), values)

    def live_typing(self, low: int, high: int) -> list[tuple[int, Any]]:
        """Rows of the live stream."""
        found = [
            (token, TypingRow(room_id, self.typing[room_id]))
            for room_id, token in self.typing_tokens.items()
            if low < token <= high
        ]
        return sorted(found, key=lambda item: item[0])


class SomeFollowerStore(SomeReads, FollowerStore):
    """A worker's store."""


class RecordingCommands(WorkerCommands):
    """Remembers what workers said."""

    def __init__(self, hs: Homeserver) -> None:
        self.said: list[tuple[str, Any]] = []
        self.lost: list[str] = []

    async def _remember(self, connection_id: str, command: Any) -> None:
        if getattr(command, "user_id", "") == "@broken:test":
            raise RuntimeError("cannot act on this")
        self.said.append((connection_id, command))

    user_sync = user_ip = federation_ack = remove_pusher = _remember

    async def connection_lost(self, connection_id: str) -> None:
        self.lost.append(connection_id)


class ReplicationCase(TestCase):
    """`self.master` is a store with `self.publisher`; `self.worker()` makes followers."""

    secret: str | None = None

    def setUp(self) -> None:
        # What tests do not ask for shall not be printed.
        handler = logging.NullHandler()
        logging.getLogger("synapse_lite").addHandler(handler)
        self.addCleanup(logging.getLogger("synapse_lite").removeHandler, handler)
        self.reactor = FakeReactor()
        self.reactor.advance(1_700_000_000)
        self.clock = Clock(self.reactor)
        self.db = DatabasePool(
            SqliteEngine({"database": ":memory:"}),
            self.reactor,  # type: ignore[arg-type]  # in immediate mode only its time is used
            self.clock,
            immediate=True,
        )
        self.addCleanup(self.db.stop)
        self.now(prepare_core(self.db))
        self.now(self.db.run("tables", _create_tables))
        self.start_master()

    def start_master(self) -> None:
        """A new master process on the same database."""
        hs = self.make_hs("master")
        self.master = SomeMasterStore(hs, self.db.sharing())
        self.now(self.master.load_positions())
        self.master.bind_live(TYPING, self.master.live_typing)
        hs.provide_store(self.master)
        self.publisher = hs.part(ReplicationPublisher)
        self.addCleanup(_disconnect, self.publisher)
        commands = hs.part(WorkerCommands)
        assert isinstance(commands, RecordingCommands)
        self.commands = commands

    def make_hs(
        self, name: str, server_name: str = "test", secret: str | None = None
    ) -> Homeserver:
        """A process without a store."""
        config: dict[str, Any] = {"server_name": server_name}
        secret = secret or self.secret
        if secret is not None:
            config["worker_replication_secret"] = secret
        return Homeserver(
            config_from_dict(config),
            self.clock,
            self.reactor,  # type: ignore[arg-type]  # the fake reactor has what is used of it
            signing_key=KEY,
            process_name=name,
            instance_name=name,
            bindings={WorkerCommands: RecordingCommands},
        )

    def make_follower(
        self, name: str = "worker1", **options: Any
    ) -> tuple[SomeFollowerStore, ReplicationFollower]:
        """A worker process that has not been started."""
        hs = self.make_hs(name, **options)
        store = SomeFollowerStore(hs, self.db.sharing())
        hs.provide_store(store)
        follower = hs.part(ReplicationFollower)
        self.addCleanup(follower.stop)
        return store, follower

    def worker(
        self, **options: Any
    ) -> tuple[SomeFollowerStore, ReplicationFollower, MemoryEndpoint]:
        """A worker that follows the master."""
        store, follower = self.make_follower(**options)
        link = connect_in_memory(self.publisher, follower, self.reactor)
        return store, follower, link

    def now(self, awaitable: Any) -> Any:
        """The result of something that needs no waiting."""
        return self.successResultOf(start(awaitable))

    def client(self) -> Client:
        """Somebody who talks to the master by hand."""
        return Client(self.publisher, self.reactor)

    def advance(self, seconds: float, *links: MemoryEndpoint, step: float = 1.0) -> None:
        """Let time pass, in steps, with all bytes delivered at each."""
        passed = 0.0
        while passed < seconds:
            self.reactor.advance(min(step, seconds - passed))
            passed += step
            for link in links:
                link.flush()

    def logged(self, level: str = "ERROR") -> Any:
        """Collect what replication logs at a level."""
        return self.assertLogs("synapse_lite.replication", level)


class Client:
    """The far side of a connection to the master, by hand, as with `nc`."""

    def __init__(self, publisher: ReplicationPublisher, reactor: FakeReactor) -> None:
        self.reactor = reactor
        self.transport: Any = StringTransport()
        self.connection: Any = publisher.factory.buildProtocol(None)
        self.connection.makeConnection(self.transport)

    def say(self, *lines: str) -> None:
        """Send lines to the master."""
        self.connection.dataReceived("".join(f"{line}\n" for line in lines).encode())
        self.reactor.advance(0)

    def heard(self) -> list[str]:
        """The lines that have come since the last time."""
        text: str = self.transport.value().decode()
        self.transport.clear()
        return text.splitlines()

    @property
    def is_closed(self) -> bool:
        """Whether the master has closed the connection."""
        return bool(self.transport.disconnecting)

    def gone(self) -> None:
        """The connection is lost."""
        from_twisted: Any = self.transport
        from_twisted.disconnecting = True
        self.connection.connectionLost()


def _disconnect(publisher: ReplicationPublisher) -> None:
    """So that metrics of one test do not show in the next."""
    for connection in list(publisher.connections):
        connection.connectionLost()


def _create_tables(txn: Transaction) -> None:
    """What the positions are read from, and the tables that the tests use."""
    columns = ", ".join(
        f"{name} {'BIGINT' if name.endswith('_ordering') else 'TEXT'}" for name in RECEIPT_COLUMNS
    )
    txn.execute(f"CREATE TABLE receipts (stream_id BIGINT, {columns})")
    txn.execute(
        "CREATE TABLE IF NOT EXISTS cache_invalidation_stream"
        " (stream_id BIGINT, cache_func TEXT, keys TEXT, invalidation_ts BIGINT)"
    )
    txn.execute("CREATE TABLE reserved_positions (name TEXT PRIMARY KEY, reserved BIGINT)")
    wanted: dict[str, set[str]] = {}
    for counter in {stream.counter for stream in STREAMS}:
        if counter.table is not None:
            for table, column in ((counter.table, counter.column), *counter.also):
                wanted.setdefault(table, set()).add(column)
    for table, names in wanted.items():
        listed = ", ".join(f"{name} BIGINT" for name in sorted(names))
        txn.execute(f"CREATE TABLE IF NOT EXISTS {table} ({listed})")
