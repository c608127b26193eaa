"""Requests to a real `Site` without sockets: bytes in, bytes out, on fake time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock as FakeReactor
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure

from synapse_lite.http.site import Site
from synapse_lite.util.json import decode_stored_json, encode_json

ROUNDS = 100
"""How often `make_request` turns the fake reactor before it gives up."""


@attrs.frozen
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return decode_stored_json(self.body)


class Connection:
    """A client's connection to a site."""

    def __init__(self, site: Site, client_ip: str = "127.0.0.1") -> None:
        self.transport = StringTransportWithDisconnection(
            hostAddress=IPv4Address("TCP", "127.0.0.1", 8008),
            peerAddress=IPv4Address("TCP", client_ip, 40000),
        )
        self.channel = site.buildProtocol(None)
        self.transport.protocol = self.channel
        self.channel.makeConnection(self.transport)
        self.reactor: FakeReactor = site.reactor  # type: ignore[assignment]  # tests run on it
        self._no_body = False

    def send(self, data: bytes) -> None:
        """Bytes from the client."""
        self.channel.dataReceived(data)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        access_token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole request; `bytes` bodies are sent as they are, others as JSON."""
        lines = {"Host": "test", **(headers or {})}
        if access_token is not None:
            lines["Authorization"] = f"Bearer {access_token}"
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else encode_json(body)
            lines.setdefault("Content-Length", str(len(data)))
        head = f"{method} {path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._no_body = method == "HEAD"
        self.send(head.encode("utf-8") + b"\r\n" + data)

    def disconnect(self) -> None:
        """The client goes away."""
        if self.transport.connected:
            self.transport.connected = False
            self.channel.connectionLost(Failure(ConnectionLost()))

    @property
    def is_open(self) -> bool:
        """Whether the server has left the connection open."""
        return bool(self.transport.connected)

    def pump(self, rounds: int = ROUNDS, seconds: float = 0) -> None:
        """Turn the fake reactor until an answer is there."""
        for _ in range(rounds):
            if self._complete():
                return
            self.reactor.advance(seconds)

    def answer(self) -> Answer | None:
        """The next answer that came back, or None as long as there is none."""
        answer = self._complete()
        if answer is None:
            return None
        parsed, rest = answer
        self.transport.clear()
        self.transport.write(rest)
        return parsed

    def _complete(self) -> tuple[Answer, bytes] | None:
        data = self.transport.value()
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            return None
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        length = 0 if self._no_body else int(headers.get("content-length", "0"))
        if len(rest) < length:
            return None
        return Answer(int(status_line.split()[1]), headers, rest[:length]), rest[length:]


def make_request(
    site: Site,
    method: str,
    path: str,
    body: Any = None,
    access_token: str | None = None,
    headers: Mapping[str, str] | None = None,
    client_ip: str = "127.0.0.1",
) -> Answer:
    """One request on a connection of its own, and its answer.

    Fails when there is none after the fake reactor has been turned (without time passing); use
    `start_request` for requests that wait.
    """
    connection = start_request(site, method, path, body, access_token, headers, client_ip)
    connection.pump()
    answer = connection.answer()
    connection.disconnect()
    if answer is None:
        raise AssertionError(f"{method} {path} was not answered")
    return answer


def start_request(
    site: Site,
    method: str,
    path: str,
    body: Any = None,
    access_token: str | None = None,
    headers: Mapping[str, str] | None = None,
    client_ip: str = "127.0.0.1",
) -> Connection:
    """Send a request and return its connection, to look at what happens meanwhile."""
    connection = Connection(site, client_ip)
    connection.request(method, path, body, access_token, headers)
    return connection
