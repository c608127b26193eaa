"""One request on its connection: collects the body, runs the endpoint, sends the answer.

When the client goes away, only endpoints declared `cancellable` get a CancelledError, at the place
where they wait. All others run to their end and their answer is dropped: a write is then whole,
with its after-commit effects, and a retry by the client finds it done.
"""

# Twisted annotates only parts of its HTTP classes.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import functools
import ipaddress
import itertools
import logging
import tempfile
from collections.abc import Mapping
from typing import IO, Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web import http

from ..api.errors import MatrixError, TooLargeError, UnavailableError, UnknownError
from ..logging import context
from .access_log import log_access
from .answering import Encoded, Route, TranslateError, answer, error_answer
from .endpoint import DEFAULT_MAX_BODY_BYTES, FileBody, Request
from .file_sender import FileSender
from .forwarding import HOP_HEADER, HopMarks
from .head import body_length, build_head, compressed, has_body
from .metrics import EndpointMetrics

logger = logging.getLogger(__name__)

_MEMORY_FILE_BYTES = 256 * 1024
_PREFLIGHT = (("Access-Control-Max-Age", "86400"),)

_request_numbers = itertools.count(1)


@functools.lru_cache(maxsize=10_000)
def _normal_address(text: str) -> str:
    """An address in its usual form. Raises ValueError."""
    return str(ipaddress.ip_address(text))


def _stopping() -> MatrixError:
    return UnavailableError("The server is stopping")


class SiteInterface(Protocol):
    """What a request needs of its site."""

    x_forwarded: bool
    translate_error: TranslateError | None
    access_logger: logging.Logger
    running: set[WireRequest]
    is_closing: bool
    hop_marks: HopMarks

    def match(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]: ...
    def other_metrics(self, method: str) -> EndpointMetrics: ...
    def date(self) -> bytes: ...
    def seconds(self) -> float: ...


class WireRequest(http.Request):
    """Made by the channel when a request line arrives."""

    channel: Any

    def __init__(self, channel: Any, queued: object = None) -> None:
        super().__init__(channel)
        self.site: SiteInterface = channel.factory
        self._route: Route | None = None
        self._parameters: Mapping[str, str] = {}
        self._error: MatrixError | None = None
        self.max_body_bytes = DEFAULT_MAX_BODY_BYTES
        self._chunks: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._sender: FileSender | None = None
        self._received = 0
        self._refused = False
        self._stopping = False
        self._running: Deferred[None] | None = None
        self._started = 0.0
        self._ip: str | None = None

    # What the channel calls, in this order.

    def gotLength(self, length: int | None) -> None:
        """The headers are complete; `length` is that of the body, None when it comes in chunks."""
        channel = self.channel
        self.method, self.uri = channel._command, channel._path
        self.clientproto = channel._version
        self._started = self.site.seconds()
        path, _, query_string = self.uri.decode("latin-1").partition("?")
        self._text_path, self._query_string = path, query_string
        self._find_route(path)
        if length is not None and length > self.max_body_bytes:
            self._refuse_body()

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body."""
        if self._refused:
            return
        self._received += len(data)
        if self._received > self.max_body_bytes:
            self._refuse_body()
        elif self._file is not None:
            self._file.write(data)
        else:
            self._chunks.append(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete."""
        if self._refused:
            return
        if self.method == b"OPTIONS":
            self._answer_at_once(Encoded(204, b"", "", _PREFLIGHT))
        elif self.site.is_closing:
            self.channel.end_soon()
            self._answer_at_once(error_answer(_stopping(), None, False))
        elif self._error is not None or self._route is None:
            error = self._error or UnknownError("Internal server error")
            self._answer_at_once(error_answer(error, None, False))
        else:
            self.site.running.add(self)
            running = Deferred.fromCoroutine(self._run(self._route))
            self._running = running
            running.addErrback(self._failed)
            if running.called:
                self._running = None

    def connectionLost(self, reason: Failure) -> None:
        """The client has gone before it had its answer."""
        super().connectionLost(reason)
        self._close_file()
        if self._sender is not None:
            self._sender.stopProducing()
        if self._route is not None and self._route.endpoint.cancellable:
            self._cancel()

    def stop(self) -> None:
        """The process is stopping: cut short what only waits."""
        if self._route is not None and self._route.endpoint.cancellable:
            self._stopping = True
            self._cancel()

    def _cancel(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def _failed(self, failure: Failure) -> None:
        """Sending broke; the answer may be half written, so the connection is of no more use."""
        logger.error("Answer could not be sent", exc_info=failure.value)
        self.site.running.discard(self)
        self.loseConnection()

    # Receiving

    def _find_route(self, path: str) -> None:
        if self.method == b"OPTIONS":
            return
        try:
            route, self._parameters = self.site.match(self.method.decode("latin-1"), path)
        except MatrixError as error:
            self._error = error
            return
        self._route = route
        self.max_body_bytes = route.max_body_bytes
        if route.endpoint.body_to_file:
            self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_FILE_BYTES)  # noqa: SIM115

    def _refuse_body(self) -> None:
        self._refused = True
        self._chunks.clear()
        self._close_file()
        # The channel would still send "100 Continue", which is too late now.
        self.requestHeaders.removeHeader(b"Expect")
        self.channel.refuse()
        error = TooLargeError(f"The body must not be longer than {self.max_body_bytes} bytes")
        self._answer_at_once(error_answer(error, None, False))

    def _request(self) -> Request:
        body = b"".join(self._chunks)
        self._chunks.clear()
        if self._file is not None:
            self._file.seek(0)
        return Request(
            self.method.decode("latin-1"),
            self._text_path,
            query_string=self._query_string,
            body=body,
            body_file=self._file,
            client_ip=self._client_ip(),
            get_header=self._header_values,
        )

    def _header_values(self, name: str) -> list[str]:
        values = self.requestHeaders.getRawHeaders(name.encode("latin-1"))
        return [value.decode("latin-1") for value in values] if values else []

    def _client_ip(self) -> str:
        if self._ip is None:
            self._ip = self._find_client_ip()
        return self._ip

    def _find_client_ip(self) -> str:
        marks = self._header_values(HOP_HEADER)
        if len(marks) == 1:
            address = self.site.hop_marks.client_ip(marks[0], self.method, self.uri)
            if address is not None:
                return address
        if self.site.x_forwarded:
            values = self._header_values("X-Forwarded-For")
            first = values[0].partition(",")[0].strip() if values else ""
            try:
                return _normal_address(first)
            except ValueError:
                # A proxy that sends none, or something else than addresses: fall back to the peer.
                pass
        host: str = getattr(self.client, "host", "")
        return host

    # Answering

    async def _run(self, route: Route) -> None:
        request_id = f"{route.metrics.method}-{next(_request_numbers)}"
        route.metrics.requests += 1
        route.metrics.in_flight += 1
        try:
            with context.bind(request_id=request_id, servlet=route.endpoint.label) as log_context:
                try:
                    encoded = await answer(route, self._request(), self._parameters)
                except Exception as error:
                    encoded = self._error_answer(error)
                if route.compress:
                    encoded = compressed(encoded, self._header_values("Accept-Encoding"))
                self._note(encoded, route.metrics, log_context)
        finally:
            route.metrics.in_flight -= 1
            self.site.running.discard(self)
        # Outside of the log context, because the channel may go on with the next request here.
        self._send(encoded)

    def _error_answer(self, error: Exception) -> Encoded:
        if self._stopping and isinstance(error, CancelledError):
            error = _stopping()
        return error_answer(error, self.site.translate_error, self._disconnected)

    def _answer_at_once(self, encoded: Encoded) -> None:
        """Answer without an endpoint: preflights, unknown paths, bodies that are too large."""
        method = self.method.decode("latin-1")
        metrics = self._route.metrics if self._route else self.site.other_metrics(method)
        metrics.requests += 1
        with context.bind(request_id=f"{metrics.method}-{next(_request_numbers)}") as log_context:
            self._note(encoded, metrics, log_context)
        self._send(encoded)

    def _note(
        self, encoded: Encoded, metrics: EndpointMetrics, log_context: context.LogContext
    ) -> None:
        """Count the answer, and write its line in the access log."""
        seconds = self.site.seconds() - self._started
        size = body_length(encoded)
        metrics.count_answer(encoded.status, seconds, size)
        metrics.db_transactions += log_context.db_transactions
        metrics.db_seconds += log_context.db_time
        level = logging.DEBUG if self._route and self._route.endpoint.is_probe else logging.INFO
        if self.site.access_logger.isEnabledFor(level):
            log_access(
                self.site.access_logger,
                level,
                client_ip=self._client_ip(),
                seconds=seconds,
                size=size,
                status=encoded.status,
                is_gone=self._disconnected,
                method=metrics.method,
                uri=self.uri,
                user_agent=(self._header_values("User-Agent") or ["-"])[-1],
                log_context=log_context,
            )

    def _send(self, encoded: Encoded) -> None:
        self._close_file()
        body = encoded.body
        if self._disconnected:
            if isinstance(body, FileBody):
                body.file.close()
            return
        self.code = encoded.status
        self.startedWriting = 1
        head = build_head(encoded, date=self.site.date(), keep_alive=self.channel.persistent)
        if self.method == b"HEAD" or not has_body(encoded.status):
            if isinstance(body, FileBody):
                body.file.close()
            self.channel.write(head)
        elif isinstance(body, bytes):
            self.sentLength = len(body)
            self.channel.write(head + body)
        else:
            self.channel.write(head)
            self._send_file(body)
            return
        self._finish()

    def _send_file(self, body: FileBody) -> None:
        def done(sent: int) -> None:
            if self._disconnected:
                return
            if sent == body.length:
                self._finish()
            else:
                # Fewer bytes than were announced: only closing tells the client.
                self.loseConnection()

        self._sender = FileSender(body.file, body.length, self, done)
        self._sender.start()

    def _finish(self) -> None:
        if not self._refused:
            self.finish()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
