"""Requests to other processes of this server, over persistent connections.

Twisted's Agent is used without the conveniences of treq: bodies are small, bytes both ways, and
this client lies on the path of every event that a worker sends.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import (
    ConnectError,
    ConnectionClosed,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.web._newclient import RequestNotSent, RequestTransmissionFailed
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers

from ..api.errors import MatrixError
from ..server import Homeserver
from ..util.json import JsonError, JsonValue, decode_json, encode_json
from .addresses import CheckedEndpointFactory
from .body import BodyTooLargeError, read_body, send

MAX_ANSWER_BYTES = 16 * 1024 * 1024
TIMEOUT_SECONDS = 60
RETRY_DELAYS_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Pauses between attempts while the other process cannot be reached, as during its restart."""

_MAX_CONNECTIONS = 16


class UnreachableError(MatrixError):
    """Another process of this server did not answer in time, or not with anything usable."""

    STATUS = 503
    ERRCODE = "M_UNKNOWN"


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
        self._agent = Agent.usingEndpointFactory(
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
        running = Deferred.fromCoroutine(self._retry(method, uri, body, idempotent))
        running.addTimeout(timeout_seconds, self._reactor)
        try:
            return await running
        except DeferredTimeoutError as error:
            raise UnreachableError("A process of this server does not answer") from error
        except (
            BodyTooLargeError,
            ConnectError,
            ConnectionClosed,
            DNSLookupError,
            JsonError,
            RequestNotSent,
            RequestTransmissionFailed,
            ResponseFailed,
        ) as error:
            raise UnreachableError("A process of this server cannot be reached") from error

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
