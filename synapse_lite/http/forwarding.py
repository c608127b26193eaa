"""Any door: what a process cannot serve goes, as it came, to one that can.

Every declared endpoint has a route in a process that forwards: its own, or one that passes the
request on. So a path that belongs to another process is never taken for a path with parameters of
this one. A forwarded request carries a mark; whoever sees a mark forwards no more, so that requests
never go round in a circle, whatever the configuration says.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Collection

import attrs

from ..api.errors import MatrixError, UnrecognizedError
from ..server import Homeserver
from .answering import Encoded, Route
from .endpoint import DEFAULT_MAX_BODY_BYTES, Auth, Endpoint, Request
from .metrics import EndpointMetrics
from .resources import resource_of, with_included
from .router import Router

HOP_HEADER = "X-Synapse-Lite-Forwarded"
"""Address of the client, and proof that a process of this server has written it."""

LONG_POLL_METHOD = "GET"

_LABEL = "Forwarded"
_UNKNOWN = "unknown"
_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD"})

_BEHIND_CLIENT = frozenset({"federation", "keys", "media", "admin"})
"""What a listener with `client` leads to, though the process itself serves none of it."""

_KEY_LABEL = b"synapse_lite: marks of forwarded requests"


class Forwarder:
    """Interface: passes requests on to a process that can serve them."""

    async def forward(self, request: Request, servlet: str, *, is_long_poll: bool) -> Encoded:
        """The answer of the other process as it is, or one with status 503.

        `servlet` is the label of the endpoint, for metrics.
        """
        raise NotImplementedError


class HopMarks:
    """Part: makes and checks the marks of forwarded requests.

    A mark holds for one method, target and address. Its key is `worker_replication_secret`; where
    there is none, the processes have the signing key in common.
    """

    def __init__(self, hs: Homeserver) -> None:
        secret = hs.config.worker.replication_secret
        source = hs.signing_key.sign(_KEY_LABEL) if secret is None else secret.encode("utf-8")
        self._key = hmac.digest(source, _KEY_LABEL, hashlib.sha256)

    def make(self, method: bytes, target: bytes, client_ip: str) -> str:
        """The mark of a request with this request line, for the client at this address."""
        return f"{client_ip} {self._proof(method, target, client_ip)}"

    def client_ip(self, mark: str, method: bytes, target: bytes) -> str | None:
        """The address in a mark; None if no process of this server has made it for this."""
        address, _, proof = mark.partition(" ")
        expected = self._proof(method, target, address)
        if not hmac.compare_digest(proof.encode("latin-1"), expected.encode("ascii")):
            return None
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:
            return None

    def _proof(self, method: bytes, target: bytes, client_ip: str) -> str:
        # None of the three can hold a line break.
        signed = b"\n".join((method, target, client_ip.encode("latin-1", "replace")))
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest()


class ForwardRoutes:
    """The routes of a listener that pass requests on.

    `names` are the resources that the listener serves. A listener with `client` leads to all that
    clients and servers may ask; any other one to more of its own resources only.
    """

    def __init__(self, forwarder: Forwarder, names: frozenset[str]) -> None:
        self._forwarder = forwarder
        public = with_included(names) - {"metrics", "health", "replication"}
        self._resources = public | _BEHIND_CLIENT if "client" in names else public

    def mount(
        self,
        router: Router[Route],
        declared: Endpoint,
        paths: Collection[str],
        max_body_bytes: int,
    ) -> None:
        """Add routes for those of an endpoint's paths that this listener leads to."""
        paths = [path for path in paths if resource_of(path) in self._resources]
        if not paths:
            return
        for method in declared.methods:
            route = self._route(declared, method, max_body_bytes)
            for path in paths:
                router.add(method, path, route, trailing_slash=declared.trailing_slash)

    def unknown(self, method: str, path: str) -> Route | None:
        """The route of a path that nothing here declares; a newer process may know it.

        None if it is nothing to be forwarded.
        """
        if method not in _METHODS or not self._leads_to(path):
            return None
        declared = Endpoint(methods=(method,), prefixes=("",), template=path, label=_UNKNOWN)
        return self._route(declared, method, DEFAULT_MAX_BODY_BYTES)

    def _leads_to(self, path: str) -> bool:
        try:
            resource = resource_of(path)
        except ValueError:
            return path.startswith("/_matrix/") and "client" in self._resources
        return resource in self._resources

    def _route(self, declared: Endpoint, method: str, max_body_bytes: int) -> Route:
        is_long_poll = declared.cancellable and method == LONG_POLL_METHOD
        forwarder, label = self._forwarder, declared.label

        async def pass_on(request: Request, **parameters: str) -> Encoded:
            if request.header(HOP_HEADER) is not None:
                raise _misrouted(label)
            return await forwarder.forward(request, label, is_long_poll=is_long_poll)

        return Route(
            endpoint=attrs.evolve(
                declared,
                label=_LABEL,
                auth=Auth.NONE,
                limit=None,
                compress=False,
                cancellable=is_long_poll,
            ),
            answer=pass_on,
            authenticate=None,
            check_limit=None,
            is_rate_limited=_never,
            max_body_bytes=max_body_bytes,
            compress=False,
            metrics=EndpointMetrics.labelled(_LABEL, method),
        )


def _misrouted(label: str) -> MatrixError:
    """What a forwarded request gets here instead of being forwarded again."""
    if label == _UNKNOWN:
        return UnrecognizedError("Unrecognized request")
    return MatrixError("The request was forwarded to a process that cannot serve it", status=503)


def _never(requester: object) -> bool:
    return False
