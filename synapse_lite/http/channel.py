"""One connection: HTTP/1.1 with limits on the size and the time of what a client sends.

Twisted renews its idle timeout with every byte, which a client that drips bytes can use to hold a
connection for ever. Here the head of a request and its body have a deadline each.
"""

# Twisted annotates only parts of its HTTP classes.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from ..api.errors import MatrixError, TooLargeError, UnknownError
from .answering import error_answer
from .head import build_head

IDLE_SECONDS = 120
"""How long a connection may stay open without a request."""

HEAD_SECONDS = 30
"""Time for the request line and the headers, from their first byte."""

BODY_SECONDS = 30
"""Time for the body, plus what it takes at the slowest rate that is accepted."""

BODY_BYTES_PER_SECOND = 8 * 1024
"""The slowest rate at which a body may arrive."""

LINGER_SECONDS = 5
"""How long the rest of a refused body is read, so that the client can read the refusal."""

_MAX_LENGTH_DIGITS = 18


class Channel(HTTPChannel):
    """A connection of a `Site`."""

    MAX_LENGTH = 16 * 1024
    maxHeaders = 100
    totalHeadersSize = 32 * 1024
    timeOut = IDLE_SECONDS

    _receiving = False
    _refusing = False
    _deadline: float | None = None
    _timer: IDelayedCall | None = None
    _host: Any = None

    def connectionMade(self) -> None:
        """The site knows of its open connections."""
        super().connectionMade()
        self.factory.channels.add(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; the first of a request starts its deadline."""
        if self._refusing:
            return
        if not self._receiving and not self._handlingRequest:
            self._receiving = True
            self.setTimeout(HEAD_SECONDS)
        # Past HTTPChannel.dataReceived, which would renew the timeout.
        LineReceiver.dataReceived(self, data)

    def setTimeout(self, period: float | None) -> float | None:
        """Give the other side so many seconds from now on, or all the time.

        Requests move the deadline several times, so the timer is left where it is as long as it
        is early enough: it looks at the deadline when it rings.
        """
        previous, self.timeOut = self.timeOut, period  # type: ignore[assignment]
        if period is None:
            self._deadline = None
            return previous
        self._deadline = self.factory.seconds() + period
        if self._timer is None:
            self._timer = self.callLater(period, self._timer_rang)
        elif self._timer.getTime() > self._deadline:
            self._timer.reset(period)
        return previous

    def resetTimeout(self) -> None:
        """Begin the time that was given anew."""
        if self._deadline is not None:
            self.setTimeout(self.timeOut)

    def _timer_rang(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        left = self._deadline - self.factory.seconds()
        if left > 0:
            self._timer = self.callLater(left, self._timer_rang)
        else:
            self._deadline = None
            self.timeoutConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection has gone, and its timer goes with it."""
        self.factory.channels.discard(self)
        super().connectionLost(reason)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def getHost(self) -> Any:
        """Our end, which every request asks for: the kernel is asked once."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def write(self, data: bytes) -> None:
        """Send bytes, at once if nothing waits to be sent.

        Twisted would tell the kernel that there is something to write, wait until it may, write,
        and tell the kernel that there is no more: three more system calls for each answer.
        """
        transport: Any = self.transport
        if (
            isinstance(transport, Connection)
            and not (transport.TLS or transport.disconnecting or transport.disconnected)
            and not (transport.dataBuffer or transport._tempDataBuffer)
        ):
            written = transport.writeSomeData(data)
            # What went wrong goes wrong again below, where Twisted closes the connection.
            if isinstance(written, int) and written > 0:
                data = data[written:]
                if not data:
                    return
        transport.write(data)

    def lineReceived(self, line: bytes) -> None:
        """Take a line of the head, unless the request has been refused already."""
        if not self._refusing:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """Take a part of the body, likewise."""
        if not self._refusing:
            super().rawDataReceived(data)

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's own answer to what is no HTTP has neither a body nor headers, without which
        # browsers do not even tell the client its status.
        self._refuse_head(UnknownError("This is not a valid HTTP request", status=400))

    def _refuse_head(self, error: MatrixError) -> None:
        if self._refusing:
            return
        self._refusing = True
        encoded = error_answer(error, None, client_gone=False)
        assert isinstance(encoded.body, bytes)
        head = build_head(encoded, date=self.factory.date(), keep_alive=False)
        transport: Any = self.transport
        transport.write(head + encoded.body)
        self.loseConnection()

    def headerReceived(self, line: bytes) -> bool:
        """Check one header. Python refuses to convert absurdly long numbers; so do we."""
        if line[:15].lower() == b"content-length:" and len(line) > 15 + _MAX_LENGTH_DIGITS:
            self._respondToBadRequestAndDisconnect()
            return False
        accepted: bool = super().headerReceived(line)
        return accepted

    def allHeadersReceived(self) -> None:
        """Start the deadline of the body."""
        super().allHeadersReceived()
        if self.length != 0 and not self._refusing:
            request: Any = self.requests[-1]
            length = request.max_body_bytes if self.length is None else self.length
            self.setTimeout(BODY_SECONDS + length // BODY_BYTES_PER_SECOND)

    def allContentReceived(self) -> None:
        """Hand the request over; the connection counts as idle when it is answered."""
        if self._refusing:
            return
        self._receiving = False
        self.timeOut = IDLE_SECONDS
        super().allContentReceived()

    def lineLengthExceeded(self, line: bytes) -> None:
        """A request line or header is too long."""
        self._refuse_head(TooLargeError("The request line or a header is too long"))

    def end_soon(self) -> None:
        """Close now if nothing is under way, otherwise after the answer."""
        self.persistent = 0
        if not self._receiving and not self._handlingRequest:
            self.loseConnection()

    def refuse(self) -> None:
        """Ignore what follows, and close soon: the request at hand was answered too early."""
        self._refusing = True
        self.persistent = 0
        self.setTimeout(LINGER_SECONDS)
