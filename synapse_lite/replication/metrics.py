"""What is measured of replication, on both sides.

What is labelled by connection is read from the connections that are open when it is scraped, so
that nothing of a connection stays behind when it has gone.
"""

from __future__ import annotations

import array
import fcntl
import termios
from collections.abc import Iterable, Iterator
from typing import Protocol
from weakref import WeakSet

from prometheus_client import Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..util.metrics import REGISTRY

_PREFIX = "synapse_lite_replication"


def _counter(name: str, text: str, labels: Iterable[str] = ()) -> Counter:
    return Counter(f"{_PREFIX}_{name}", text, tuple(labels), registry=REGISTRY)


STREAM_ROWS = _counter("stream_updates", "Rows that the master has sent out.", ["stream_name"])
STREAM_BYTES = _counter("stream_bytes", "Bytes of these rows, encoded once.", ["stream_name"])
WORKER_COMMANDS = _counter("worker_commands", "Commands of workers acted upon.", ["command"])
RESTARTS = _counter(
    "restarts", "Streams that could not be caught up with row by row.", ["stream_name", "reason"]
)
CLOSES = _counter("close_reason", "Connections that this side has closed.", ["reason_type"])
INBOUND_ROWS = _counter("inbound_rdata", "Rows that a worker has received.", ["stream_name"])
DROPPED_COMMANDS = _counter(
    "dropped_commands", "Commands of a worker lost while it had no connection.", ["command"]
)


class MeasuredConnection(Protocol):
    """What is read of a connection when it is scraped."""

    peer_name: str
    connection_id: str
    inbound: dict[str, int]
    outbound: dict[str, int]
    subscribed_names: frozenset[str]
    is_master_side: bool

    @property
    def pending_commands(self) -> int: ...
    @property
    def buffered_bytes(self) -> int: ...
    @property
    def descriptor(self) -> int | None: ...


class MeasuredFollower(Protocol):
    """What is read of a worker's end when it is scraped."""

    def lag(self) -> dict[str, dict[str, int]]: ...


class _OpenConnections(Collector):
    """Produces the metrics of what is there now."""

    def __init__(self) -> None:
        self.connections: WeakSet[MeasuredConnection] = WeakSet()
        self.followers: WeakSet[MeasuredFollower] = WeakSet()

    def collect(self) -> Iterator[Metric]:
        connections = list(self.connections)
        yield from self._of_master([one for one in connections if one.is_master_side])
        yield from self._buffers(connections)
        for direction in ("inbound", "outbound"):
            yield self._commands(direction, connections)
        yield from self._lag()

    def _of_master(self, connections: list[MeasuredConnection]) -> Iterator[Metric]:
        total = GaugeMetricFamily(f"{_PREFIX}_total_connections", "Workers connected.")
        total.add_metric([], len(connections))
        yield total
        streams = GaugeMetricFamily(
            f"{_PREFIX}_connections_per_stream",
            "Workers that follow a stream.",
            labels=["stream_name"],
        )
        names = sorted({name for one in connections for name in one.subscribed_names})
        for name in names:
            streams.add_metric([name], sum(name in one.subscribed_names for one in connections))
        yield streams

    def _buffers(self, connections: list[MeasuredConnection]) -> Iterator[Metric]:
        labels = ["name", "conn_id"]
        pending = GaugeMetricFamily(
            f"{_PREFIX}_pending_commands", "Commands queued in this process.", labels=labels
        )
        buffered = GaugeMetricFamily(
            f"{_PREFIX}_transport_buffer_bytes", "Bytes not yet given to the kernel.", labels=labels
        )
        kernel_send = GaugeMetricFamily(
            f"{_PREFIX}_kernel_send_bytes", "Bytes in the kernel's send buffer.", labels=labels
        )
        kernel_receive = GaugeMetricFamily(
            f"{_PREFIX}_kernel_receive_bytes", "Bytes in its receive buffer.", labels=labels
        )
        for one in connections:
            values = [one.peer_name, one.connection_id]
            pending.add_metric(values, one.pending_commands)
            buffered.add_metric(values, one.buffered_bytes)
            descriptor = one.descriptor
            if descriptor is not None:
                kernel_send.add_metric(values, _kernel_bytes(descriptor, termios.TIOCOUTQ))
                kernel_receive.add_metric(values, _kernel_bytes(descriptor, termios.FIONREAD))
        yield from (pending, buffered, kernel_send, kernel_receive)

    def _commands(self, direction: str, connections: list[MeasuredConnection]) -> Metric:
        family = CounterMetricFamily(
            f"{_PREFIX}_{direction}_commands",
            f"Commands by word, {direction}.",
            labels=["name", "conn_id", "command"],
        )
        for one in connections:
            counts = one.inbound if direction == "inbound" else one.outbound
            for command, count in counts.items():
                family.add_metric([one.peer_name, one.connection_id, command], count)
        return family

    def _lag(self) -> Iterator[Metric]:
        rows = GaugeMetricFamily(
            f"{_PREFIX}_lag_rows", "Positions behind the master.", labels=["stream_name"]
        )
        milliseconds = GaugeMetricFamily(
            f"{_PREFIX}_lag_ms", "Milliseconds behind the master.", labels=["stream_name"]
        )
        for follower in list(self.followers):
            for stream, lag in follower.lag().items():
                rows.add_metric([stream], lag["rows"])
                milliseconds.add_metric([stream], lag["ms"])
        yield from (rows, milliseconds)


def _kernel_bytes(descriptor: int, question: int) -> int:
    answer = array.array("i", [0])
    fcntl.ioctl(descriptor, question, answer)
    return answer[0]


OPEN = _OpenConnections()
REGISTRY.register(OPEN)
