"""Requests to other processes of this server, over persistent connections.

Twisted's Agent is used without the conveniences of treq: bodies are small, bytes both ways, and
this client lies on the path of every event that a worker sends. Requests of clients are forwarded
over the same connections, see `forwarding`.
"""

# Twisted annotates only parts of its HTTP classes.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import Coroutine
from typing import IO, Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.task import Cooperator
from twisted.web._newclient import (
    RequestGenerationFailed,
    RequestNotSent,
    RequestTransmissionFailed,
)
from twisted.web.client import (
    URI,
    Agent,
    FileBodyProducer,
    HTTPConnectionPool,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse

from ..api.errors import MatrixError
from ..server import Homeserver
from ..util.json import JsonError, JsonValue, decode_json, encode_json
from .addresses import CheckedEndpointFactory
from .body import BodyTooLargeError, BytesBody, answer_to, read_body, send

MAX_ANSWER_BYTES = 16 * 1024 * 1024
TIMEOUT_SECONDS = 60
RETRY_DELAYS_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Pauses between attempts while the other process cannot be reached, as during its restart."""

_MAX_CONNECTIONS = 16

T = TypeVar("T")

RawHeaders = tuple[tuple[str, str], ...]
"""Names and values, in their order; a name may come several times."""


class UnreachableError(MatrixError):
    """Another process of this server did not answer in time, or not with anything usable."""

    STATUS = 503
    ERRCODE = "M_UNKNOWN"


class NotReachedError(UnreachableError):
    """Nothing was sent, because there was no connection; the request may go elsewhere."""


class NoAnswerError(UnreachableError):
    """The connection broke before the answer; nobody knows whether the request was carried out."""


@attrs.frozen
class ForeignRequest:
    """A request of somebody else that is to be sent as it is.

    `target` is the raw path with its query. The body is bytes, or an open file at its beginning.
    """

    method: str
    target: bytes
    headers: RawHeaders
    body: bytes | IO[bytes]


@attrs.frozen
class ForeignAnswer:
    """Status and headers of an answer; the body has gone where the caller wanted it."""

    status: int
    headers: RawHeaders


class _RawAgent(Agent):
    """Sends a target exactly as it is, where Agent would parse it and put it together again."""

    def request_target(
        self, base: bytes, request: ForeignRequest, headers: Headers, body: IBodyProducer | None
    ) -> Deferred[IResponse]:
        uri = URI.fromBytes(base)
        return self._requestWithEndpoint(
            (uri.scheme, uri.host, uri.port),
            self._endpointFactory.endpointForURI(uri),
            request.method.encode("ascii"),
            uri,
            headers,
            body,
            uri.path.rstrip(b"/") + request.target,
        )


class InternalClient:
    """Part: JSON requests between processes, with `worker_replication_secret` as bearer."""

    def __init__(self, hs: Homeserver) -> None:
        self._reactor = hs.reactor
        self._clock = hs.clock
        self._pool = HTTPConnectionPool(hs.reactor, persistent=True)
        self._pool.maxPersistentPerHost = _MAX_CONNECTIONS
        # Less than the idle time-out of our sites, so that a request seldom meets a closing one.
        self._pool.cachedConnectionTimeout = 60
        self._pool.retryAutomatically = False
        # Our own configuration names the addresses, so every one is allowed.
        self._agent: _RawAgent = _RawAgent.usingEndpointFactory(
            hs.reactor, CheckedEndpointFactory(hs.reactor, lambda address: True), self._pool
        )
        headers = {"Content-Type": ["application/json"]}
        secret = hs.config.worker.replication_secret
        if secret is not None:
            headers["Authorization"] = [f"Bearer {secret}"]
        self._headers = Headers(headers)

    async def post(
        self,
        uri: str,
        value: JsonValue,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        idempotent: bool = False,
    ) -> JsonValue:
        """Post JSON; see `request`."""
        return await self.request(
            "POST", uri, value, timeout_seconds=timeout_seconds, idempotent=idempotent
        )

    async def get(self, uri: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> JsonValue:
        """Get JSON; see `request`."""
        return await self.request("GET", uri, timeout_seconds=timeout_seconds, idempotent=True)

    async def request(
        self,
        method: str,
        uri: str,
        value: JsonValue = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        idempotent: bool = False,
    ) -> JsonValue:
        """The JSON of an answer with status 200, within `timeout_seconds` in all.

        Refused connections are tried again after a pause; with `idempotent` also requests whose
        answer got lost. An answer with another status is raised as the MatrixError that it
        carries; if there is no usable answer, UnreachableError is raised.
        """
        body = None if value is None else encode_json(value)
        return await self._bounded(self._retry(method, uri, body, idempotent), timeout_seconds)

    async def exchange(
        self,
        base: str,
        request: ForeignRequest,
        sink: IO[bytes],
        *,
        timeout_seconds: float,
        max_answer_bytes: int,
    ) -> ForeignAnswer:
        """Send a request to the process at `base`, once and unchanged; the body goes to `sink`.

        Every status is an answer. Raises NotReachedError, NoAnswerError and UnreachableError.
        The secret of this server is not sent along.
        """
        return await self._bounded(
            self._exchange(base, request, sink, max_answer_bytes), timeout_seconds
        )

    async def _bounded(self, sending: Coroutine[Any, Any, T], timeout_seconds: float) -> T:
        """Run it in a limited time, and say of every failure what it means for the caller."""
        running = Deferred.fromCoroutine(sending)
        running.addTimeout(timeout_seconds, self._reactor)
        try:
            return await running
        except DeferredTimeoutError as error:
            raise UnreachableError("A process of this server does not answer") from error
        except (ConnectError, ConnectingCancelledError, DNSLookupError, RequestNotSent) as error:
            raise NotReachedError("A process of this server cannot be reached") from error
        except ResponseNeverReceived as error:
            raise NoAnswerError("A process of this server cannot be reached") from error
        except (
            BodyTooLargeError,
            ConnectionClosed,
            JsonError,
            RequestGenerationFailed,
            RequestTransmissionFailed,
            ResponseFailed,
        ) as error:
            raise UnreachableError("A process of this server cannot be reached") from error

    async def _exchange(
        self, base: str, request: ForeignRequest, sink: IO[bytes], max_answer_bytes: int
    ) -> ForeignAnswer:
        headers = Headers()
        for name, value in request.headers:
            headers.addRawHeader(name.encode("latin-1"), value.encode("latin-1"))
        response = await answer_to(
            self._agent.request_target(
                base.encode("ascii"), request, headers, self._producer(request.body)
            )
        )
        await read_body(response, max_answer_bytes, sink)
        return ForeignAnswer(
            response.code,
            tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, values in response.headers.getAllRawHeaders()
                for value in values
            ),
        )

    def _producer(self, body: bytes | IO[bytes]) -> IBodyProducer | None:
        if isinstance(body, bytes):
            return BytesBody(body) if body else None
        cooperator = Cooperator(scheduler=lambda step: self._reactor.callLater(0, step))
        producer: IBodyProducer = FileBodyProducer(body, cooperator)
        return producer

    async def stop(self) -> None:
        """Close the connections that are kept."""
        await self._pool.closeCachedConnections()

    async def _retry(self, method: str, uri: str, body: bytes | None, idempotent: bool) -> Any:
        for delay in RETRY_DELAYS_SECONDS:
            try:
                return await self._send(method, uri, body)
            except (ConnectionRefusedError, RequestNotSent):
                await self._clock.sleep(delay)
            except (RequestTransmissionFailed, ResponseNeverReceived):
                if not idempotent:
                    raise
                await self._clock.sleep(delay)
        return await self._send(method, uri, body)

    async def _send(self, method: str, uri: str, body: bytes | None) -> Any:
        response = await send(self._agent, method, uri.encode("ascii"), self._headers, body)
        content = await read_body(response, MAX_ANSWER_BYTES)
        if response.code == 200:
            return decode_json(content)
        try:
            error_body = decode_json(content)
        except JsonError:
            error_body = None
        raise MatrixError.from_json(response.code, error_body)
