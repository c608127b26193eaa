"""Options of workers and of their link to the master."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section
from synapse_lite.config._problems import Source
from synapse_lite.config.listeners import Listener

MASTER_APP = "synapse_lite.app.homeserver"


def _app(value: Any, source: Source) -> str | None:
    """A worker's module; naming the master's means no worker."""
    name = _parsers.text(value, source)
    return None if name == MASTER_APP else name


@section("worker_", title="Workers")
class WorkerConfig:
    """What makes a process a worker. All but the replication options belong in its own file."""

    app: str | None = option(
        default=None,
        doc="Which worker this process is. Unset in the master.",
        example="synapse_lite.app.event_creator",
        parse=_app,
    )
    name: str | None = option(
        default=None,
        doc="The name of this process; no two may share one.",
        example="event_creator1",
        parse=_parsers.process_name,
    )
    roles: tuple[str, ...] = option(
        default=(),
        doc="The kinds of worker that a `synapse_lite.app.generic_worker` combines.",
        example=["client_reader", "event_creator"],
    )
    listeners: tuple[Listener, ...] = option(
        default=(),
        doc="The ports of this worker, in the form of `listeners`.",
        example=[
            {
                "port": 8083,
                "type": "http",
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["client", "health", "metrics"]}],
            }
        ],
    )
    replication_host: str = option(
        default="127.0.0.1", doc="The machine on which the master listens for its workers."
    )
    replication_port: int = option(
        default=9092, doc="The master's port for the streams.", parse=_parsers.port
    )
    replication_http_port: int = option(
        default=9093,
        doc="The master's HTTP port with the resource `replication`, which takes events that "
        "workers create.",
        parse=_parsers.port,
    )
    replication_secret: str | None = option(
        default=None,
        doc="What master and workers prove to each other that they know. Required as soon as the "
        "master listens for workers on more than the loopback addresses.",
        secret=True,
    )
    main_http_uri: str | None = option(
        default=None,
        doc="Where a worker forwards requests that only the master can serve.",
        example="http://127.0.0.1:8008",
        parse=_parsers.http_uri,
    )
    daemonize: bool = option(default=False, doc="Go to the background once started.")
    pid_file: str | None = option(
        default=None,
        doc="The file for the process id.",
        example="event_creator1.pid",
        parse=_parsers.path,
    )
    log_config: str | None = option(
        default=None,
        doc="This worker's own `log_config`.",
        example="event_creator1.log.yaml",
        parse=_parsers.path,
    )
    log_file: str | None = option(
        default=None,
        doc="The log file where no `worker_log_config` is given: rotated at 100 MB, ten kept.",
        example="event_creator1.log",
        parse=_parsers.path,
    )
    cpu_affinity: frozenset[int] | None = option(
        default=None,
        doc="The CPUs that this worker may run on: a list of numbers, or a bit mask.",
        example=[0, 2],
        parse=_parsers.cpu_set,
    )

    @property
    def replication_http_uri(self) -> str:
        """Where workers call the master, without a path."""
        host = self.replication_host
        if ":" in host:
            host = f"[{host}]"
        return f"http://{host}:{self.replication_http_port}"

    def check(self) -> Iterator[tuple[str, str]]:
        if self.app is None:
            return
        if self.name is None:
            yield "worker_name", "is required for a worker"
        if self.replication_port == self.replication_http_port:
            yield "worker_replication_http_port", "must differ from worker_replication_port"
