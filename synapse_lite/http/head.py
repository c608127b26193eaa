"""Status line and headers of answers, and their compression.

Written as one piece of bytes, which costs a fraction of building header objects.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable

from twisted.web.http import RESPONSES

from .answering import Encoded
from .response import FileBody

COMPRESS_FROM_BYTES = 1024
"""Smaller bodies gain nothing from compression."""

_COMPRESS_LEVEL = 4
_COMPRESSIBLE = ("application/json", "text/")

_FIXED = (
    b"Server: synapse_lite\r\n"
    b"Access-Control-Allow-Origin: *\r\n"
    b"Access-Control-Allow-Methods: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n"
    b"Access-Control-Allow-Headers: X-Requested-With, Content-Type, Authorization\r\n"
    b"Access-Control-Expose-Headers: Retry-After, ETag\r\n"
)
"""On every answer; the specification wants the CORS headers on errors too."""

_NO_STORE = b"Cache-Control: no-cache, no-store, must-revalidate\r\n"


def build_head(encoded: Encoded, *, date: bytes, keep_alive: bool) -> bytes:
    """Everything before the body. `date` is the whole Date header with its line end."""
    status = encoded.status
    parts = [b"HTTP/1.1 %d %s\r\n" % (status, RESPONSES.get(status, b"Unknown")), date, _FIXED]
    names = set()
    for name, value in encoded.headers:
        names.add(name.lower())
        parts.append(f"{name}: {value}\r\n".encode("latin-1", "replace"))
    if has_body(status):
        parts.append(b"Content-Length: %d\r\n" % body_length(encoded))
        if encoded.content_type:
            parts.append(b"Content-Type: %s\r\n" % encoded.content_type.encode("latin-1"))
        if "cache-control" not in names:
            parts.append(_NO_STORE)
    if not keep_alive:
        parts.append(b"Connection: close\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def has_body(status: int) -> bool:
    """Whether answers with this status have a body at all."""
    return status not in (204, 304)


def body_length(encoded: Encoded) -> int:
    """Bytes of the body."""
    body = encoded.body
    return body.length if isinstance(body, FileBody) else len(body)


def compressed(encoded: Encoded, accept_encoding: Iterable[str]) -> Encoded:
    """The answer with gzip, if it is worth it and one of the Accept-Encoding headers allows it."""
    body = encoded.body
    if (
        isinstance(body, FileBody)
        or len(body) < COMPRESS_FROM_BYTES
        or not encoded.content_type.startswith(_COMPRESSIBLE)
        or any(name.lower() == "content-encoding" for name, _ in encoded.headers)
    ):
        return encoded
    headers = (*encoded.headers, ("Vary", "Accept-Encoding"))
    if _accepts_gzip(accept_encoding):
        body = gzip.compress(body, _COMPRESS_LEVEL, mtime=0)
        headers = (*headers, ("Content-Encoding", "gzip"))
    return Encoded(encoded.status, body, encoded.content_type, headers)


def _accepts_gzip(values: Iterable[str]) -> bool:
    for item in ",".join(values).split(","):
        coding, _, quality = item.partition(";")
        if coding.strip().lower() in ("gzip", "*"):
            return quality.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
