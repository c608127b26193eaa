"""Forwards requests that a worker cannot serve to the master, which serves all.

The master is found by `worker_main_http_uri`, and by what it says of itself in the database, so
that a standby master that takes over elsewhere is found too.
"""

from __future__ import annotations

import ipaddress
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, Any, BinaryIO, cast
from urllib.parse import urlsplit

from ..api.errors import InvalidParamError
from ..http.answering import Encoded
from ..http.client import (
    ForeignAnswer,
    ForeignRequest,
    InternalClient,
    NoAnswerError,
    NotReachedError,
    UnreachableError,
)
from ..http.endpoint import FileBody, Request
from ..http.forwarding import HOP_HEADER, Forwarder, HopMarks
from ..http.resources import resource_of
from ..server import Homeserver
from ..storage.database import DatabasePool
from ..storage.errors import StoreError
from ..storage.heartbeats import ProcessHeartbeat, get_heartbeats
from ..storage.processes import ProcessIdentity
from ..util.async_helpers import SharedCall
from ..util.json import encode_json
from ..util.metrics import counter, gauge

logger = logging.getLogger(__name__)

MASTER_KIND = "master"

TIMEOUT_SECONDS = 180.0
"""Time for an answer, beyond what a long-poll asks for."""

MAX_LONG_POLL_MS = 60 * 60 * 1000
MAX_REQUESTS = 200
"""Forwarded requests at one time that are no long-polls."""

MAX_LONG_POLLS = 2000
MAX_ANSWER_BYTES = 1024 * 1024 * 1024
"""Answers go through a file as soon as they are large."""

MEMORY_BYTES = 1024 * 1024
RETRY_AFTER_SECONDS = 2
KNOWN_FOR_SECONDS = 10.0
ASK_AGAIN_SECONDS = 1.0
"""The same after the master was not found where it was known to be."""

_forwarded = counter(
    "http_forwarded_requests",
    "Requests that this process passed to another kind of process.",
    ("servlet", "kind"),
)
_failed = counter(
    "http_forwarding_failures",
    "Requests that could not be passed on: busy, unreachable.",
    ("reason",),
)
_in_flight = gauge("http_forwarding_in_flight", "Requests passed on and not yet answered.")

# What a client says about its request and itself. Everything else is between two neighbours, or
# is said by us (the client's address), or nothing that any endpoint looks at.
_PASSED = (
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "Content-Disposition",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "User-Agent",
    "If-None-Match",
    "If-Modified-Since",
    "Range",
    "Origin",
    "Referer",
    "Cookie",
)

# Between two neighbours, or written by every process on all its answers.
_NOT_RETURNED = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-type",
        "date",
        "server",
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-expose-headers",
    }
)


class MasterForwarder(Forwarder):
    """Part: forwards to the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._client = hs.part(InternalClient)
        self._marks = hs.part(HopMarks)
        self._directory = MasterDirectory(hs)
        self._running = {True: 0, False: 0}
        """How many long-polls and other requests are on their way."""

    async def forward(self, request: Request, servlet: str, *, is_long_poll: bool) -> Encoded:
        """See Forwarder."""
        most = MAX_LONG_POLLS if is_long_poll else MAX_REQUESTS
        if self._running[is_long_poll] >= most:
            _failed.labels("busy").inc()
            return _unavailable("Too many requests are waiting for another process of this server")
        _forwarded.labels(servlet, MASTER_KIND).inc()
        self._running[is_long_poll] += 1
        _in_flight.inc()
        try:
            return await self._ask(request)
        except UnreachableError as error:
            _failed.labels("unreachable").inc()
            logger.info("A request could not be forwarded: %s", error)
            return _unavailable(error.message)
        finally:
            self._running[is_long_poll] -= 1
            _in_flight.dec()

    async def _ask(self, request: Request) -> Encoded:
        """Ask one address after the other until there is a connection."""
        foreign = self._foreign(request)
        timeout_seconds = timeout_of(request)
        async for base in self._directory.addresses(_resource(request.path)):
            try:
                return await self._exchange(base, foreign, timeout_seconds)
            except NotReachedError as error:
                logger.debug("%s cannot be reached: %s", base, error)
        self._directory.doubt()
        raise NotReachedError("The process that serves this request cannot be reached")

    async def _exchange(
        self, base: str, request: ForeignRequest, timeout_seconds: float
    ) -> Encoded:
        sink = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115  # sent later
        try:
            answer = await self._exchange_into(sink, base, request, timeout_seconds)
        except BaseException:
            sink.close()
            raise
        return _encoded(answer, sink)

    async def _exchange_into(
        self, sink: IO[bytes], base: str, request: ForeignRequest, timeout_seconds: float
    ) -> ForeignAnswer:
        async def exchange() -> ForeignAnswer:
            return await self._client.exchange(
                base,
                request,
                sink,
                timeout_seconds=timeout_seconds,
                max_answer_bytes=MAX_ANSWER_BYTES,
            )

        try:
            return await exchange()
        except NoAnswerError:
            if request.method != "GET":
                raise
        # A kept connection that was closed as we used it, as when the master restarts.
        return await exchange()

    def _foreign(self, request: Request) -> ForeignRequest:
        # An answer to HEAD has the headers of one to GET, and only with the body their length.
        method = "GET" if request.method == "HEAD" else request.method
        target = request.uri.encode("latin-1")
        headers = [(name, value) for name in _PASSED for value in request.headers(name)]
        headers.append(("X-Forwarded-For", request.client_ip))
        mark = self._marks.make(method.encode("ascii"), target, request.client_ip)
        headers.append((HOP_HEADER, mark))
        body = request.body if request.body_file is None else request.body_file
        return ForeignRequest(method, target, tuple(headers), body)


class MasterDirectory:
    """Where the master answers clients."""

    def __init__(self, hs: Homeserver) -> None:
        self._db = hs.part(DatabasePool)
        self._clock = hs.clock
        self._host = ProcessIdentity.of_this_process(hs.instance_name).host
        self._uri = hs.config.worker.main_http_uri
        self._shared: SharedCall[str, None] = SharedCall()
        self._master: ProcessHeartbeat | None = None
        self._asked_at: float | None = None
        self._is_doubted = False

    async def addresses(self, resource: str) -> AsyncIterator[str]:
        """Base URLs at which the master serves a resource, the best first.

        The database is asked only when the address in the configuration is of no use.
        """
        if self._uri is not None:
            yield self._uri
        if self._is_stale():
            await self._shared.get("", self._look)
        if self._master is not None:
            for uri in addresses_of(self._master, resource, self._host):
                if uri != self._uri:
                    yield uri

    def doubt(self) -> None:
        """The master was at none of them: ask anew soon."""
        self._is_doubted = True

    def _is_stale(self) -> bool:
        if self._asked_at is None:
            return True
        lifetime = ASK_AGAIN_SECONDS if self._is_doubted else KNOWN_FOR_SECONDS
        return self._clock.time() - self._asked_at >= lifetime

    async def _look(self) -> None:
        try:
            beats = await get_heartbeats(self._db)
        except StoreError as error:
            # What was known before is the best guess.
            logger.warning("The addresses of other processes cannot be read: %s", error)
        else:
            now_ms = self._clock.time_ms()
            masters = [b for b in beats if b.kind == MASTER_KIND and b.is_alive(now_ms)]
            self._master = max(masters, key=lambda beat: beat.last_seen_ts, default=None)
        self._asked_at = self._clock.time()
        self._is_doubted = False


def addresses_of(beat: ProcessHeartbeat, resource: str, own_host: str) -> Iterator[str]:
    """Where a process serves a resource, as seen from a machine; without TLS first.

    Certificates seldom name the addresses that listeners are bound to.
    """
    fitting = [address.uri for address in beat.addresses if resource in address.resources]
    for uri in sorted(fitting, key=lambda uri: uri.startswith("https:")):
        reachable = _seen_from(uri, beat.host, own_host)
        if reachable is not None:
            yield reachable


def _seen_from(uri: str, host: str, own_host: str) -> str | None:
    """A URL that leads from one machine to an address bound on another; None if none does."""
    parts = urlsplit(uri)
    bound = ipaddress.ip_address(parts.hostname or "")
    if bound.is_unspecified:
        loopback = "127.0.0.1" if bound.version == 4 else "[::1]"
        return f"{parts.scheme}://{loopback if host == own_host else host}:{parts.port}"
    return None if bound.is_loopback and host != own_host else uri


def timeout_of(request: Request) -> float:
    """Seconds to wait for the answer: those that the client wants to wait, and some more."""
    try:
        poll_ms = request.query_int("timeout", 0, maximum=MAX_LONG_POLL_MS, clamp=True)
    except InvalidParamError:
        # The master will say what is wrong with it.
        poll_ms = 0
    return TIMEOUT_SECONDS + (poll_ms / 1000 if request.method == "GET" else 0)


def _resource(path: str) -> str:
    try:
        return resource_of(path)
    except ValueError:
        return "client"


def _unavailable(message: str) -> Encoded:
    body = encode_json(UnreachableError(message).to_json())
    return Encoded(503, body, headers=(("Retry-After", str(RETRY_AFTER_SECONDS)),))


def _encoded(answer: ForeignAnswer, sink: Any) -> Encoded:
    """The answer as it is; a small body as bytes, a large one from its file."""
    length = sink.tell()
    sink.seek(0)
    body: bytes | FileBody
    if length > MEMORY_BYTES:
        body = FileBody(cast(BinaryIO, sink), length)
    else:
        body = sink.read()
        sink.close()
    content_types = [value for name, value in answer.headers if name.lower() == "content-type"]
    headers = tuple(
        (name, value) for name, value in answer.headers if name.lower() not in _NOT_RETURNED
    )
    return Encoded(answer.status, body, content_types[-1] if content_types else "", headers)
