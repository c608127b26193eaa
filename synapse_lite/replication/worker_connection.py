"""A worker's connection to the master."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ..streams import RowError, Stream
from ..util.clock import Clock
from . import commands
from .authentication import digest
from .commands import Side
from .metrics import INBOUND_ROWS
from .protocol import PROTOCOL_VERSION, ProtocolError, ReplicationConnection

logger = logging.getLogger(__name__)


class Follower(Protocol):
    """What a connection needs of the follower."""

    clock: Clock
    server_name: str
    worker_name: str
    secret: str | None

    def followed_stream(self, name: str) -> Stream | None: ...
    def connected(self, connection: WorkerConnection) -> None: ...
    def connection_lost(self, connection: WorkerConnection) -> None: ...
    def rows_announced(self, stream: Stream, token: int) -> None: ...
    def rows_received(self, stream: Stream, token: int, rows: Sequence[Any]) -> None: ...
    def position_received(
        self, connection: WorkerConnection, stream: Stream, token: int
    ) -> None: ...
    def restarted(self, stream: Stream, token: int, reason: commands.RestartReason) -> None: ...
    def barrier_reached(self, text: str) -> None: ...


class WorkerConnection(ReplicationConnection):
    """Checks the master's greeting, then collects rows and hands on those of a token together.

    `up_to_date` holds the names of the streams that have had their POSITION on this connection;
    `from_now` of those that were asked for from NOW, whose POSITION is where they begin.
    """

    side = Side.WORKER
    peer_side = Side.MASTER

    def __init__(self, follower: Follower) -> None:
        super().__init__(follower.clock)
        self.peer_name = "master"
        self.up_to_date: set[str] = set()
        self.from_now: set[str] = set()
        self.transit_ms = 0
        """How old the master's last PING was when it was read."""
        self._follower = follower
        self._batches: dict[str, list[Any]] = {}
        self._is_answered = False
        self.only = commands.Server

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The master has gone; what was received of unfinished batches is asked for again."""
        super().connectionLost(reason)
        self._batches.clear()
        self._follower.connection_lost(self)

    # The handshake: SERVER, VERSION, perhaps CHALLENGE, PING.

    def on_server(self, command: commands.Server) -> None:
        """Refuse the master of another deployment."""
        if command.text != self._follower.server_name:
            raise ProtocolError(f"Wrong remote: {command.text[:255]}", "wrong server")
        if self.only is commands.Server:
            self.only = commands.Version

    def on_version(self, command: commands.Version) -> None:
        """The greeting goes on with a challenge, or with PING when there is none."""
        super().on_version(command)
        if self.only is commands.Version:
            self.only = None

    def on_challenge(self, command: commands.Challenge) -> None:
        """Prove that this process knows the secret."""
        secret = self._follower.secret
        if secret is None:
            raise ProtocolError(
                "The master wants worker_replication_secret, which is not set here",
                "authentication",
            )
        if self._is_answered:
            raise ProtocolError("CHALLENGE came twice")
        self._is_answered = True
        name = self._follower.worker_name
        proof = digest(secret, command.text, self._follower.server_name, name)
        self.send(commands.Auth(name, proof))

    def on_ping(self, command: commands.Ping) -> None:
        """The first one says that the master has let this worker in."""
        super().on_ping(command)
        if command.text.isascii() and command.text.isdigit() and len(command.text) < 19:
            self.transit_ms = max(0, self.clock.time_ms() - int(command.text))
        if not self.is_let_in:
            self.let_in()
            self.send(commands.Version(PROTOCOL_VERSION))
            self.send(commands.Name(self._follower.worker_name))
            self._follower.connected(self)

    # Streams.

    def _stream(self, name: str) -> Stream:
        found = self._follower.followed_stream(name) if self.is_let_in else None
        if found is None:
            raise ProtocolError(f"Stream {name[:40]} was not asked for", "unknown stream")
        return found

    def on_catchup(self, command: commands.CatchUp) -> None:
        """Missed rows follow."""
        self._follower.rows_announced(self._stream(command.stream), command.token)

    def on_rdata(self, command: commands.RowData) -> None:
        """Collect a row; with the last of a token, apply them all."""
        stream = self._stream(command.stream)
        INBOUND_ROWS.labels(stream.name).inc()
        with _closing_on_failure(stream):
            row = stream.from_wire(command.row)
        if command.token is None:
            self._batches.setdefault(stream.name, []).append(row)
            return
        rows = [*self._batches.pop(stream.name, ()), row]
        logger.debug("%d rows of stream %s at %d", len(rows), stream.name, command.token)
        with _closing_on_failure(stream):
            self._follower.rows_received(stream, command.token, rows)

    def on_position(self, command: commands.Position) -> None:
        """A stream has moved without rows, or has been caught up with."""
        stream = self._stream(command.stream)
        with _closing_on_failure(stream):
            self._follower.position_received(self, stream, command.token)

    def on_restart(self, command: commands.Restart) -> None:
        """What is known of the stream must be forgotten."""
        stream = self._stream(command.stream)
        self._batches.pop(stream.name, None)
        with _closing_on_failure(stream):
            self._follower.restarted(stream, command.token, command.reason)

    def on_sync(self, command: commands.Sync) -> None:
        """All rows sent before the barrier have been applied."""
        self._follower.barrier_reached(command.text)


@contextlib.contextmanager
def _closing_on_failure(stream: Stream) -> Iterator[None]:
    """Rows that could not be applied must be sent again: a failure closes the connection.

    Going on would let the next row move the position past them.
    """
    try:
        yield
    except RowError as error:
        raise ProtocolError(f"Bad row: {error}", "bad row") from error
    except Exception as error:
        logger.exception("Cannot apply stream %s", stream.name)
        raise ProtocolError(f"Cannot apply stream {stream.name}", "bad row") from error
