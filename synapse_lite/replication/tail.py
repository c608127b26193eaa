"""Prints the rows of streams as they are written: what `scripts/replication_tail` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import react

from ..config import Config, ConfigError, read_config
from ..streams import STREAMS, Stream, stream_named
from ..util.clock import Clock
from ..util.json import encode_json_text
from .commands import Replicate, RestartReason
from .worker_connection import WorkerConnection

WORKER_NAME = "replication_tail"


class Tail:
    """Follows streams from now on, and writes a line for each row. Keeps nothing."""

    def __init__(
        self, config: Config, clock: Clock, streams: Iterable[Stream], write: Callable[[str], None]
    ) -> None:
        self.clock = clock
        self.server_name = config.server.server_name
        self.worker_name = WORKER_NAME
        self.secret = config.worker.replication_secret
        self._streams = {stream.name: stream for stream in streams}
        self._write = write

    def followed_stream(self, name: str) -> Stream | None:
        """The stream, if it was chosen."""
        return self._streams.get(name)

    def connected(self, connection: WorkerConnection) -> None:
        """Ask for the streams."""
        connection.send_ping()
        for name in self._streams:
            connection.send(Replicate(name, None))

    def connection_lost(self, connection: WorkerConnection) -> None:
        """Say so; the program ends."""
        self._write("# connection lost")

    def rows_announced(self, stream: Stream, token: int) -> None:
        """Missed rows follow: never for who begins now."""

    def rows_received(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        """One line for each row: stream, token, and the columns by name."""
        for row in rows:
            columns = zip(stream.fields, stream.to_wire(row), strict=True)
            text = " ".join(f"{name}={encode_json_text(value)}" for name, value in columns)
            self._write(f"{stream.name} {token} {text}")

    def position_received(self, connection: WorkerConnection, stream: Stream, token: int) -> None:
        """Where the stream stands."""
        self._write(f"# {stream.name} is at {token}")

    def restarted(self, stream: Stream, token: int, reason: RestartReason) -> None:
        """Rows could not be sent one by one."""
        self._write(f"# {stream.name} starts again at {token}: {reason.value}")

    def barrier_reached(self, text: str) -> None:
        """A test is running against this master."""
        self._write(f"# SYNC {text}")


def _chosen(names: Sequence[str]) -> list[Stream]:
    """Raises click.UsageError for a name that is no stream."""
    streams = []
    for name in names:
        stream = stream_named(name)
        if stream is None:
            known = ", ".join(stream.name for stream in STREAMS)
            raise click.UsageError(f"There is no stream {name}. Streams: {known}")
        streams.append(stream)
    return streams or list(STREAMS)


@click.command()
@click.option(
    "-c",
    "--config",
    "files",
    multiple=True,
    required=True,
    help="Configuration that names the master's replication port, and the secret.",
)
@click.argument("streams", nargs=-1)
def main(files: tuple[str, ...], streams: tuple[str, ...]) -> None:
    """Print the rows of the STREAMS (all of them by default) as the master writes them.

    Example: replication_tail -c homeserver.yaml events receipts
    """
    try:
        config = read_config(files)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    chosen = _chosen(streams)

    async def run(reactor: Any) -> None:
        tail = Tail(config, Clock(reactor), chosen, click.echo)
        address = (config.worker.replication_host, config.worker.replication_port)
        connection: Any = WorkerConnection(tail)
        await connectProtocol(HostnameEndpoint(reactor, *address), connection)
        await connection.closed.wait()

    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
