"""How a worker proves to the master that it knows `worker_replication_secret`."""

from __future__ import annotations

import hashlib
import hmac
import secrets

NONCE_BYTES = 32


def make_nonce() -> str:
    """A text that no connection was challenged with before."""
    return secrets.token_hex(NONCE_BYTES)


def digest(secret: str, nonce: str, server_name: str, worker_name: str) -> str:
    """The HMAC-SHA256 in hex over nonce, server name and worker name, each on its own line.

    None of the three can hold a newline, so two different proofs never sign the same bytes.
    """
    message = "\n".join((nonce, server_name, worker_name))
    return hmac.new(secret.encode("utf-8"), message.encode("utf-8"), hashlib.sha256).hexdigest()


def is_right(given: str, expected: str) -> bool:
    """Compare digests in constant time."""
    return hmac.compare_digest(given.encode("utf-8"), expected.encode("utf-8"))
