"""The `Listener` value: one address and port on which a process answers, and with what."""

from __future__ import annotations

import ipaddress

from synapse_lite.config import _parsers
from synapse_lite.config._options import group, option

LISTENER_TYPES = ("http", "replication", "metrics")

RESOURCE_NAMES = (
    "client",
    "federation",
    "media",
    "keys",
    "metrics",
    "health",
    "replication",
    "admin",
    "openid",
    "static",
    "consent",
)
"""What an http listener can serve. The last two are accepted for existing files: we have none."""

LOOPBACK = ("127.0.0.1", "::1")


@group
class ListenerResource:
    """Some resources of an http listener."""

    names: tuple[str, ...] = option(
        doc="What is served here: " + ", ".join(RESOURCE_NAMES) + ".",
        parse=_parsers.one_of(*RESOURCE_NAMES),
        example=["client", "federation"],
    )
    compress: bool = option(
        default=False, doc="Compress these answers with gzip if the client allows it."
    )


@group
class Listener:
    """One listening port."""

    port: int = option(doc="The TCP port.", parse=_parsers.port, example=8008)
    type: str = option(
        default="http",
        doc="`http` for everything that speaks HTTP, `replication` for the streams that workers "
        "follow, `metrics` for Prometheus alone.",
        parse=_parsers.one_of(*LISTENER_TYPES),
    )
    bind_addresses: tuple[str, ...] = option(
        default=LOOPBACK,
        doc="The addresses to listen on. A process starts as long as one of them can be bound.",
        parse=_parsers.address,
        alias="bind_address",
    )
    tls: bool = option(
        default=False,
        doc="Speak TLS on this port, with `tls_certificate_path` and `tls_private_key_path`.",
    )
    x_forwarded: bool = option(
        default=False,
        doc="Take the client's address from X-Forwarded-For. Only behind a reverse proxy.",
    )
    resources: tuple[ListenerResource, ...] = option(
        default=(), doc="What an `http` listener serves."
    )
    tag: str | None = option(
        default=None, doc="Name of this listener in the access log; the port if not given."
    )

    @property
    def resource_names(self) -> frozenset[str]:
        """The names of all resources of this listener."""
        return frozenset(name for resource in self.resources for name in resource.names)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return all(ipaddress.ip_address(address).is_loopback for address in self.bind_addresses)

    @property
    def carries_replication(self) -> bool:
        """Whether workers talk to the master here."""
        return self.type == "replication" or "replication" in self.resource_names

    def compresses(self, resource_name: str) -> bool:
        """Whether answers of this resource are compressed."""
        return any(
            resource.compress for resource in self.resources if resource_name in resource.names
        )
