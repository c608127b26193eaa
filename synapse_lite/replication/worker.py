"""The workers' end: follows the master's streams, for ever, across its restarts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from ..server import Homeserver
from ..storage._base import FollowerStore
from ..streams import Live, Stream
from ..util.async_helpers import Wakeup
from ..util.clock import Clock
from .commands import Command, Replicate, RestartReason
from .metrics import DROPPED_COMMANDS, OPEN, RESTARTS
from .worker_connection import WorkerConnection

logger = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 5.0
CONNECT_TIMEOUT_SECONDS = 10.0
MAX_OFFLINE_COMMANDS = 10_000


class ReplicationFollower:
    """Part of every worker: keeps its store level with the master.

    Rows go to the store, whose listeners then wake whoever waits. Positions are moved by tokens
    that came completely, and by nothing else.
    """

    def __init__(self, hs: Homeserver) -> None:
        self.clock: Clock = hs.clock
        self.server_name = hs.name
        self.worker_name = hs.instance_name
        self.secret = hs.config.worker.replication_secret
        self._store = hs.part(FollowerStore)
        self._followed = {stream.name: stream for stream in self._store.followed}
        self._reactor = hs.reactor
        self._address = (hs.config.worker.replication_host, hs.config.worker.replication_port)
        self._endpoint: IStreamClientEndpoint | None = None
        self._connection: WorkerConnection | None = None
        self._opened: set[WorkerConnection] = set()
        self._connecting: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._delay = FIRST_DELAY_SECONDS
        self._is_running = False
        self._positioned: set[str] = set()
        self._ready = Wakeup()
        self._offline: list[Command] = []
        self._announcements: list[Callable[[], Iterable[Command]]] = []
        self._barriers: dict[str, Wakeup] = {}
        self._announced: dict[str, int] = {}
        self._level_at = dict.fromkeys(self._followed, self.clock.time())

    # Starting and stopping.

    def start(self, endpoint: IStreamClientEndpoint | None = None) -> None:
        """Begin to connect; by default to `worker_replication_host` and its port."""
        if endpoint is None:
            host, port = self._address
            endpoint = HostnameEndpoint(self._reactor, host, port, timeout=CONNECT_TIMEOUT_SECONDS)
        self._endpoint = endpoint
        self._is_running = True
        OPEN.followers.add(self)
        if not self._followed:
            self._ready.fire()
        self._connect()

    async def stop(self) -> None:
        """Disconnect and stay so."""
        self._is_running = False
        OPEN.followers.discard(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in list(self._opened):
            connection.close("shutdown")

    async def ready(self) -> None:
        """Wait until every followed stream has had its first position. Then reads are right."""
        await self._ready.wait()

    @property
    def is_connected(self) -> bool:
        """Whether the master has let this worker in."""
        return self._connection is not None

    def _connect(self) -> None:
        assert self._endpoint is not None, "start() sets it"
        self._connecting = self._endpoint.connect(_FollowerFactory(self))
        self._connecting.addCallbacks(self._connect_done, self._connect_failed)

    def _connect_done(self, protocol: object) -> None:
        self._connecting = None

    def _connect_failed(self, failure: Failure) -> None:
        self._connecting = None
        if self._is_running:
            logger.warning("Cannot connect to the master: %s", failure.getErrorMessage())
            self._connect_later()

    def _connect_later(self) -> None:
        if self._is_running:
            self._timer = self.clock.later(self._delay, self._connect)
            self._delay = min(self._delay * 1.5, MAX_DELAY_SECONDS)

    # Commands to the master.

    def send(self, command: Command) -> None:
        """Send a command to the master, or keep it until there is a connection.

        Commands may be lost with the connection. Raises CommandError if a field cannot stand on a
        line.
        """
        if self._connection is not None:
            self._connection.send(command)
            return
        command.to_line()
        if command.kept_offline == 0:
            return
        self._offline.append(command)
        if len(self._offline) > MAX_OFFLINE_COMMANDS:
            self._drop_one()

    def _drop_one(self) -> None:
        """Drop the oldest of the commands that matter least."""
        least = min(command.kept_offline for command in self._offline)
        index = next(index for index, one in enumerate(self._offline) if one.kept_offline == least)
        dropped = self._offline.pop(index)
        DROPPED_COMMANDS.labels(dropped.NAME).inc()
        logger.debug("Dropped a command while there is no connection: %s", dropped.NAME)

    def announce(self, describe: Callable[[], Iterable[Command]]) -> None:
        """Send what the function returns on each connection, such as the users syncing now."""
        self._announcements.append(describe)

    # What connections call.

    def followed_stream(self, name: str) -> Stream | None:
        """The stream of that name, if this worker follows it."""
        return self._followed.get(name)

    def connection_made(self, connection: WorkerConnection) -> None:
        """A connection was opened; the master has not let it in yet."""
        self._opened.add(connection)

    def connected(self, connection: WorkerConnection) -> None:
        """The master has let this worker in: say what waits, ask for each stream.

        Others see the connection only afterwards, so that nothing overtakes this.
        """
        logger.info("Following the master on %r", connection)
        waiting, self._offline = self._offline, []
        for command in waiting:
            connection.send(command)
        connection.send_ping()
        for stream in self._followed.values():
            connection.send(Replicate(stream.name, self._token_to_ask(connection, stream)))
        for describe in self._announcements:
            for command in describe():
                connection.send(command)
        self._connection = connection

    def _token_to_ask(self, connection: WorkerConnection, stream: Stream) -> int | None:
        """From where to go on. Streams that live in the master's memory are wanted whole."""
        if stream.name in self._positioned or isinstance(stream.rows, Live):
            return self._store.token_of(stream)
        connection.from_now.add(stream.name)
        return None

    def connection_lost(self, connection: WorkerConnection) -> None:
        """Connect again a little later."""
        self._opened.discard(connection)
        if self._connection is connection:
            self._connection = None
        self._connect_later()

    def rows_announced(self, stream: Stream, token: int) -> None:
        """The master is going to send rows up to the token."""
        self._announced[stream.name] = token

    def rows_received(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        """Apply all rows of one token."""
        self._store.process_rows(stream, token, rows)
        self._note_level(stream)

    def position_received(self, connection: WorkerConnection, stream: Stream, token: int) -> None:
        """The stream is level with the master up to the token."""
        if stream.name in connection.from_now:
            self._store.start_at(stream, token)
            connection.from_now.discard(stream.name)
        else:
            self._store.process_rows(stream, token, ())
        self._positioned.add(stream.name)
        self._note_level(stream)
        if stream.name not in connection.up_to_date:
            connection.up_to_date.add(stream.name)
            if len(connection.up_to_date) == len(self._followed):
                # Not before: rows that cannot be applied must not be asked for every second.
                self._delay = FIRST_DELAY_SECONDS
        if len(self._positioned) == len(self._followed):
            self._ready.fire()

    def restarted(self, stream: Stream, token: int, reason: RestartReason) -> None:
        """The master cannot send all that was missed: drop the caches, go on from the token."""
        level = logging.INFO if reason is RestartReason.EPOCH else logging.ERROR
        logger.log(level, "Stream %s starts again at %d: %s", stream.name, token, reason.value)
        RESTARTS.labels(stream.name, reason.value).inc()
        self._store.start_at(stream, token)
        self._positioned.add(stream.name)

    def barrier_reached(self, text: str) -> None:
        """Everything before the SYNC has been applied."""
        barrier = self._barriers.pop(text, None)
        if barrier is not None:
            barrier.fire()

    async def synced(self, text: str) -> None:
        """Wait for a SYNC of that text. For tests: ask before the master sends it."""
        await self._barriers.setdefault(text, Wakeup()).wait()

    # Lag.

    def _note_level(self, stream: Stream) -> None:
        if self._store.token_of(stream) >= self._announced.get(stream.name, 0):
            self._level_at[stream.name] = self.clock.time()

    def lag(self) -> dict[str, dict[str, int]]:
        """How far behind the master each stream is: `{stream: {"rows": n, "ms": n}}`.

        Rows are positions that the master has announced and not yet sent. A stream that is level
        lags by the way of the lines; one that is not, by the time since it was level last.
        """
        return {
            stream.name: {"rows": self._lag_rows(stream), "ms": self._lag_ms(stream)}
            for stream in self._followed.values()
        }

    def _lag_rows(self, stream: Stream) -> int:
        announced = self._announced.get(stream.name, 0)
        return max(0, announced - self._store.token_of(stream))

    def _lag_ms(self, stream: Stream) -> int:
        connection = self._connection
        if connection is not None and stream.name in connection.up_to_date:
            return connection.transit_ms
        return int((self.clock.time() - self._level_at[stream.name]) * 1000)


class _FollowerFactory(Factory):
    noisy = False

    def __init__(self, follower: ReplicationFollower) -> None:
        self._follower = follower

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        connection = WorkerConnection(self._follower)
        self._follower.connection_made(connection)
        return connection
