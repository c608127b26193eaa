"""Requests to addresses that users or other servers choose: push gateways, previews, media.

Every address is checked against `ip_range_blacklist` after it has been resolved, also those that
redirects lead to; size, time and number of redirects are bounded. Nothing is decompressed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO
from urllib.parse import urljoin, urlsplit

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.web._newclient import RequestTransmissionFailed
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from .. import __version__
from ..server import Homeserver
from ..util.json import JsonError, JsonValue, decode_json, encode_json
from .addresses import BlockedAddressError, CheckedEndpointFactory
from .body import BodyTooLargeError, read_body, send

MAX_BYTES = 1024 * 1024
MAX_REDIRECTS = 5
TIMEOUT_SECONDS = 30

_MAX_URI_LENGTH = 8 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SECRET_HEADERS = frozenset({"authorization", "cookie"})


class OutboundError(Exception):
    """The request could not be made, or its answer is of no use. The message has no secrets."""


@attrs.frozen
class OutboundResponse:
    """An answer of any status. Header names are in lower case; `uri` is where it came from."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    uri: str


class OutboundClient:
    """Part: makes such requests, over connections that are kept for a while."""

    def __init__(self, hs: Homeserver) -> None:
        self._reactor = hs.reactor
        self._pool = HTTPConnectionPool(hs.reactor, persistent=True)
        self._pool.maxPersistentPerHost = 4
        self._pool.cachedConnectionTimeout = 60
        self._agent = Agent.usingEndpointFactory(
            hs.reactor, CheckedEndpointFactory(hs.reactor, hs.config.outbound.allows), self._pool
        )
        self._user_agent = f"synapse_lite/{__version__}"

    async def request(
        self,
        method: str,
        uri: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = MAX_BYTES,
        max_redirects: int = 0,
        timeout_seconds: float = TIMEOUT_SECONDS,
        sink: IO[bytes] | None = None,
    ) -> OutboundResponse:
        """One request, and its answer of at most `max_bytes` (written to `sink` if given).

        Up to `max_redirects` are followed, with GET and without the headers that hold secrets.
        Raises OutboundError.
        """
        running = Deferred.fromCoroutine(
            self._follow(method, uri, dict(headers or {}), body, max_bytes, max_redirects, sink)
        )
        running.addTimeout(timeout_seconds, self._reactor)
        try:
            return await running
        except DeferredTimeoutError as error:
            raise OutboundError(f"No answer within {timeout_seconds} s") from error
        except (BlockedAddressError, BodyTooLargeError) as error:
            raise OutboundError(str(error)) from error
        except DNSLookupError as error:
            raise OutboundError("The host name cannot be resolved") from error
        except (
            ConnectError,
            ConnectionClosed,
            RequestTransmissionFailed,
            ResponseFailed,
        ) as error:
            raise OutboundError(f"The request failed: {type(error).__name__}") from error

    async def post_json(
        self,
        uri: str,
        value: JsonValue,
        *,
        max_bytes: int = MAX_BYTES,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> JsonValue:
        """Post JSON and return the JSON of the answer, which must have a status of 2xx.

        Raises OutboundError.
        """
        response = await self.request(
            "POST",
            uri,
            headers={"Content-Type": "application/json"},
            body=encode_json(value),
            max_bytes=max_bytes,
            timeout_seconds=timeout_seconds,
        )
        if not 200 <= response.status < 300:
            raise OutboundError(f"The answer has status {response.status}")
        try:
            return decode_json(response.body)
        except JsonError as error:
            raise OutboundError("The answer is not JSON") from error

    async def stop(self) -> None:
        """Close the connections that are kept."""
        await self._pool.closeCachedConnections()

    async def _follow(
        self,
        method: str,
        uri: str,
        headers: dict[str, str],
        body: bytes | None,
        max_bytes: int,
        max_redirects: int,
        sink: IO[bytes] | None,
    ) -> OutboundResponse:
        for _ in range(max_redirects + 1):
            response = await self._send(method, uri, headers, body)
            location = _header(response, b"location")
            if max_redirects == 0 or response.code not in _REDIRECTS or location is None:
                content = await read_body(response, max_bytes, sink)
                return OutboundResponse(response.code, _headers(response), content, uri)
            # Reading what little a redirect says leaves the connection fit for use.
            await read_body(response, max_bytes)
            uri = urljoin(uri, location)
            method, body = "GET", None
            headers = {
                name: value
                for name, value in headers.items()
                if name.lower() not in _SECRET_HEADERS and not name.lower().startswith("content-")
            }
        raise OutboundError(f"More than {max_redirects} redirects")

    async def _send(
        self, method: str, uri: str, headers: Mapping[str, str], body: bytes | None
    ) -> IResponse:
        wire_headers = Headers({"User-Agent": [self._user_agent]})
        for name, value in headers.items():
            wire_headers.setRawHeaders(name, [value])
        return await send(self._agent, method, check_uri(uri), wire_headers, body)


def check_uri(uri: str) -> bytes:
    """The bytes of a URI that may be requested. Raises OutboundError for anything odd."""
    try:
        parts = urlsplit(uri)
        encoded = uri.partition("#")[0].encode("ascii")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise OutboundError("The URI is not valid") from error
    if parts.scheme not in ("http", "https"):
        raise OutboundError("The URI must begin with http:// or https://")
    if not host or port == 0 or "@" in parts.netloc or len(encoded) > _MAX_URI_LENGTH:
        raise OutboundError("The URI is not valid")
    if any(byte <= 0x20 or byte == 0x7F for byte in encoded) or "\\" in uri:
        raise OutboundError("The URI is not valid")
    return encoded


def _header(response: IResponse, name: bytes) -> str | None:
    values = response.headers.getRawHeaders(name)
    return values[-1].decode("latin-1") if values else None


def _headers(response: IResponse) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }
