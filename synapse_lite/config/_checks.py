"""Checks of sections, and of options of different sections against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synapse_lite.config.listeners import Listener
from synapse_lite.config.server import ServerConfig
from synapse_lite.config.tls import TlsConfig
from synapse_lite.config.worker import WorkerConfig

Finding = tuple[str, str]
"""Dotted key, and what is wrong there."""

_BESIDE_REPLICATION = {"replication", "health", "metrics"}
"""What a proxy is not asked to show to everybody."""

_ANY_ADDRESS = {"0.0.0.0", "::"}


def cross_check(values: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything that the sections find wrong. Sections that could not be read are None."""
    for value in values.values():
        if hasattr(value, "check"):
            yield from value.check()
    server, worker, tls = values["server"], values["worker"], values["tls"]
    listeners = list(_listeners(server, worker))
    for key, listener in listeners:
        yield from _check_listener(key, listener)
        if tls is not None:
            yield from _check_tls(key, listener, tls)
        if worker is not None:
            yield from _check_replication(key, listener, worker)
    yield from _check_ports([item for item in listeners if item[0].startswith("listeners")])
    yield from _check_ports([item for item in listeners if item[0].startswith("worker_")])


def _listeners(
    server: ServerConfig | None, worker: WorkerConfig | None
) -> Iterator[tuple[str, Listener]]:
    for index, listener in enumerate(server.listeners if server is not None else ()):
        yield f"listeners[{index}]", listener
    for index, listener in enumerate(worker.listeners if worker is not None else ()):
        yield f"worker_listeners[{index}]", listener


def _check_listener(key: str, listener: Listener) -> Iterator[Finding]:
    if not listener.bind_addresses:
        yield f"{key}.bind_addresses", "must name at least one address"
    if listener.type == "http" and not listener.resource_names:
        yield f"{key}.resources", "must name what this http listener serves"
    if listener.type != "http" and listener.resources:
        yield f"{key}.resources", f"must be left out: a {listener.type} listener has none"


def _check_tls(key: str, listener: Listener, tls: TlsConfig) -> Iterator[Finding]:
    if listener.tls and tls.tls_certificate_path is None and tls.tls_private_key_path is None:
        yield f"{key}.tls", "needs tls_certificate_path and tls_private_key_path"


def _check_replication(key: str, listener: Listener, worker: WorkerConfig) -> Iterator[Finding]:
    if not listener.carries_replication or worker.replication_secret:
        return
    if not listener.resource_names <= _BESIDE_REPLICATION:
        yield (
            f"{key}.resources",
            "must not mix replication with what a reverse proxy makes public, unless "
            "worker_replication_secret is set",
        )
    if not listener.is_loopback:
        yield (
            f"{key}.bind_addresses",
            "must be loopback addresses for replication unless worker_replication_secret is set",
        )


def _check_ports(listeners: list[tuple[str, Listener]]) -> Iterator[Finding]:
    """Two listeners of a process must not want the same address and port."""
    taken: dict[int, dict[str, str]] = {}
    for key, listener in listeners:
        others = taken.setdefault(listener.port, {})
        for address in listener.bind_addresses:
            clash = next((other for other in others if _overlap(address, other)), None)
            if clash is not None:
                yield (
                    f"{key}.port",
                    f"must differ from {others[clash]}.port: both listen on {address} "
                    f"port {listener.port}",
                )
                break
        for address in listener.bind_addresses:
            others.setdefault(address, key)


def _overlap(first: str, second: str) -> bool:
    same_family = (":" in first) == (":" in second)
    return first == second or (same_family and bool({first, second} & _ANY_ADDRESS))
