"""What our HTTP clients share: sending a request, and reading a bounded number of bytes."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import IO, Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web._newclient import RequestTransmissionFailed
from twisted.web.client import Agent, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer


class BodyTooLargeError(Exception):
    """An answer is longer than the caller wants to read."""


@implementer(IBodyProducer)
class BytesBody:
    """A request body that is at hand as bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write everything at once."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Everything has been written."""

    def resumeProducing(self) -> None:
        """Everything has been written."""

    def stopProducing(self) -> None:
        """Everything has been written."""


class _Reader(Protocol):
    """Collects a body, or writes it to a file."""

    def __init__(self, max_bytes: int, sink: IO[bytes] | None) -> None:
        self._max_bytes = max_bytes
        self._sink = sink
        self._pieces: list[bytes] = []
        self._length = 0
        self.done: Deferred[bytes] = Deferred(self._cancel)

    def announced(self, length: int) -> None:
        """Do not even begin with an answer that says it is too long."""
        if length > self._max_bytes:
            self._refuse()

    def dataReceived(self, data: bytes) -> None:
        """A piece."""
        if self.done.called:
            return
        self._length += len(data)
        if self._length > self._max_bytes:
            self._refuse()
        elif self._sink is not None:
            self._sink.write(data)
        else:
            self._pieces.append(data)

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:
        """The end, of the body or of the connection."""
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(reason)

    def _cancel(self, done: Deferred[bytes]) -> None:
        done.errback(CancelledError())
        self._close()

    def _refuse(self) -> None:
        self.done.errback(BodyTooLargeError(f"The answer exceeds {self._max_bytes} bytes"))
        self._close()

    def _close(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()


async def send(
    agent: Agent, method: str, uri: bytes, headers: Headers, body: bytes | None
) -> IResponse:
    """One request, and the head of its answer. See `answer_to`."""
    return await answer_to(
        agent.request(
            method.encode("ascii"), uri, headers, None if body is None else BytesBody(body)
        )
    )


async def answer_to(sending: Awaitable[IResponse]) -> IResponse:
    """The head of the answer to a request of an Agent.

    Cancelling raises CancelledError, which the Agent alone would wrap into something else.
    """
    try:
        return await sending
    except (ResponseFailed, RequestTransmissionFailed) as error:
        if any(reason.check(CancelledError) for reason in error.reasons):
            raise CancelledError from error
        raise


async def read_body(response: IResponse, max_bytes: int, sink: IO[bytes] | None = None) -> bytes:
    """The body; empty when it is written to `sink`. Cancelling closes the connection.

    Raises BodyTooLargeError as early as it can.
    """
    reader = _Reader(max_bytes, sink)
    response.deliverBody(reader)
    if isinstance(response.length, int) and not reader.done.called:
        reader.announced(response.length)
    return await reader.done
