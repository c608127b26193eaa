"""What listens on one port: the endpoints of a listener's resources behind one router."""

# Twisted annotates only parts of its HTTP classes.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from twisted.internet.interfaces import IAddress
from twisted.web.http import HTTPFactory, datetimeToString

from ..api.errors import UnrecognizedError
from ..api.urls import ROOT
from ..config.listeners import Listener
from ..server import Homeserver
from ..util.metrics import REGISTRY
from .answering import Route, TranslateError, authenticate_function
from .authenticator import Authenticator
from .channel import IDLE_SECONDS, Channel
from .endpoint import (
    Auth,
    Endpoint,
    Request,
    Response,
    Servlet,
    answer_name,
    endpoint,
    endpoints_of,
)
from .forwarding import Forwarder, ForwardRoutes, HopMarks
from .metrics import EndpointMetrics
from .rate_limits import RateLimits
from .resources import resource_of, with_included
from .router import MethodNotAllowedError, Router
from .wire import WireRequest


@endpoint("GET", ROOT, "/health", auth=Auth.NONE, is_probe=True)
class Health(Servlet):
    """Says that this process answers. Every http listener has it."""

    async def answer(self, request: Request) -> Response:
        return Response(200, b"OK", {"Content-Type": "text/plain; charset=utf-8"})


@endpoint("GET", ROOT, "/_synapse/metrics", auth=Auth.NONE, is_probe=True, compress=True)
class Metrics(Servlet):
    """The metrics of this process in the text form of Prometheus."""

    async def answer(self, request: Request) -> Response:
        return Response(200, generate_latest(REGISTRY), {"Content-Type": CONTENT_TYPE_LATEST})


class Site(HTTPFactory):
    """Makes the connections of one listener. See `build_site`."""

    protocol = Channel  # type: ignore[assignment]  # declared as Twisted's wrapper for HTTP/2
    noisy = False

    def __init__(
        self,
        hs: Homeserver,
        router: Router[Route],
        *,
        name: str,
        x_forwarded: bool = False,
        translate_error: TranslateError | None = None,
        forward_routes: ForwardRoutes | None = None,
    ) -> None:
        super().__init__(timeout=IDLE_SECONDS, reactor=hs.reactor)
        self.router = router
        self.hop_marks = hs.part(HopMarks)
        self._forward_routes = forward_routes
        self.x_forwarded = x_forwarded
        self.translate_error = translate_error
        self.access_logger = logging.getLogger(f"synapse_lite.access.http.{name}")
        self.running: set[WireRequest] = set()
        self.channels: set[Channel] = set()
        self.is_closing = False
        self._other_metrics: dict[str, EndpointMetrics] = {}
        self._date = (-1, b"")
        self.seconds = hs.reactor.seconds

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A connection."""
        channel = super().buildProtocol(addr)
        assert isinstance(channel, Channel)
        channel.requestFactory = WireRequest
        return channel

    def startFactory(self) -> None:
        """Nothing: the factory's own access log is not used, nor its timer."""

    def stopFactory(self) -> None:
        """Nothing, as nothing was started."""

    def log(self, request: object) -> None:
        """Nothing: requests write their line themselves."""

    def match(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """The route of a request. Raises what `Router.match` raises."""
        try:
            return self.router.match(method, path)
        except MethodNotAllowedError:
            raise
        except UnrecognizedError:
            routes = self._forward_routes
            route = None if routes is None else routes.unknown(method, path)
            if route is None:
                raise
            return route, {}

    def other_metrics(self, method: str) -> EndpointMetrics:
        """The metrics of requests that no endpoint answers."""
        metrics = EndpointMetrics.labelled("other", method)
        return self._other_metrics.setdefault(metrics.method, metrics)

    def date(self) -> bytes:
        """The Date header, made once a second."""
        now = int(self.seconds())
        if self._date[0] != now:
            self._date = (now, b"Date: %s\r\n" % datetimeToString(now))
        return self._date[1]

    def close(self) -> None:
        """Begin to shut down: end the long-polls, and the connections that are idle.

        Other requests go on to their end, and their connections end with them. Nothing new is
        begun, since what it needs may be gone before its end.
        """
        self.is_closing = True
        for request in list(self.running):
            request.stop()
        for channel in list(self.channels):
            channel.end_soon()


def build_site(
    hs: Homeserver,
    listener: Listener,
    servlets: Iterable[type[Servlet]],
    *,
    elsewhere: Iterable[Endpoint] = (),
    kinds: Collection[str] | None = None,
    serve_metrics: bool = True,
    translate_error: TranslateError | None = None,
    forwarder: Forwarder | None = None,
) -> Site:
    """The site of a listener: those endpoints of `servlets` that belong to its resources.

    `kinds` are the kinds of worker that this process is; it then gets only endpoints that one of
    them may serve, and passes other requests to `forwarder` if there is one, also those of
    endpoints `elsewhere`. The master passes None and gets all. `/health` is always there,
    `/_synapse/metrics` if the listener names it and `serve_metrics`.
    """
    router: Router[Route] = Router()
    forward_routes = None
    if forwarder is not None and listener.type == "http":
        forward_routes = ForwardRoutes(forwarder, listener.resource_names)
    builder = _RouteBuilder(hs, listener, serve_metrics, forward_routes)
    for servlet in servlets:
        served: list[Endpoint] = []
        others: list[Endpoint] = []
        for declared in endpoints_of(servlet):
            is_ours = kinds is None or any(kind in kinds for kind in declared.served_by)
            (served if is_ours else others).append(declared)
        builder.mount(router, servlet, served)
        builder.mount_forwarding(router, others)
    builder.mount_forwarding(router, elsewhere)
    builder.mount(router, Health, endpoints_of(Health))
    builder.mount(router, Metrics, endpoints_of(Metrics))
    return Site(
        hs,
        router,
        name=listener.tag or str(listener.port),
        x_forwarded=listener.x_forwarded,
        translate_error=translate_error,
        forward_routes=forward_routes,
    )


class _RouteBuilder:
    """Makes routes of declarations for one listener."""

    def __init__(
        self,
        hs: Homeserver,
        listener: Listener,
        serve_metrics: bool,
        forward_routes: ForwardRoutes | None,
    ) -> None:
        self._hs = hs
        self._listener = listener
        self._forward_routes = forward_routes
        if listener.type == "metrics":
            names = frozenset({"metrics"})
        else:
            names = with_included(listener.resource_names)
        self._names = (names if serve_metrics else names - {"metrics"}) | {"health"}

    def mount(
        self, router: Router[Route], servlet: type[Servlet], endpoints: Iterable[Endpoint]
    ) -> None:
        """Add the routes of a servlet; it is built only if one of them belongs here."""
        instance: Servlet | None = None
        for declared in endpoints:
            paths = [path for path in declared.paths if resource_of(path) in self._names]
            others = [path for path in declared.paths if path not in paths]
            self._forward(router, declared, others)
            if not paths:
                continue
            instance = instance or servlet(self._hs)
            for method in declared.methods:
                route = self._route(declared, instance, method, resource_of(paths[0]))
                for path in paths:
                    router.add(method, path, route, trailing_slash=declared.trailing_slash)

    def mount_forwarding(self, router: Router[Route], endpoints: Iterable[Endpoint]) -> None:
        """Add the routes of endpoints that only other processes serve."""
        for declared in endpoints:
            self._forward(router, declared, declared.paths)

    def _forward(self, router: Router[Route], declared: Endpoint, paths: Collection[str]) -> None:
        if self._forward_routes is not None:
            self._forward_routes.mount(router, declared, paths, self._max_body_bytes(declared))

    def _route(self, declared: Endpoint, servlet: Servlet, method: str, resource: str) -> Route:
        limits = self._hs.part(RateLimits)
        needs_user = declared.auth not in (Auth.NONE, Auth.REPLICATION, Auth.SERVER)
        return Route(
            endpoint=declared,
            answer=getattr(servlet, answer_name(type(servlet), method)),
            authenticate=authenticate_function(self._hs, declared.auth),
            check_limit=None if declared.limit is None else limits.checker(declared.limit),
            is_rate_limited=(
                self._hs.part(Authenticator).is_rate_limited if needs_user else _always
            ),
            max_body_bytes=self._max_body_bytes(declared),
            compress=declared.compress or self._listener.compresses(resource),
            metrics=EndpointMetrics.labelled(declared.label, method),
        )

    def _max_body_bytes(self, declared: Endpoint) -> int:
        if isinstance(declared.max_body_bytes, int):
            return declared.max_body_bytes
        value: object = self._hs.config
        for attribute in declared.max_body_bytes.split("."):
            value = getattr(value, attribute)
        if not isinstance(value, int):
            raise TypeError(f"{declared.max_body_bytes} is not a number of bytes")
        return value


def _always(requester: object) -> bool:
    return True
