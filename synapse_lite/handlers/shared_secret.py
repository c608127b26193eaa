"""Accounts made by who knows the shared secret, such as `register_new_matrix_user`."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import attrs

from ..api.errors import ForbiddenError, UnknownError
from ..server import Homeserver
from ..util.caches.expiring import ExpiringCache
from ..util.caches.missing import MISSING

NONCE_MS = 60_000
MAX_NONCES = 1000


@attrs.frozen
class SharedSecretRequest:
    """What the caller signs, and the signature `mac` (HMAC-SHA1 in hex)."""

    nonce: str
    username: str
    password: str = attrs.field(repr=False)
    is_admin: bool
    user_type: str | None
    mac: str = attrs.field(repr=False)

    def expected_mac(self, secret: str) -> str:
        """The signature by who knows the secret."""
        parts = [self.nonce, self.username, self.password]
        parts.append("admin" if self.is_admin else "notadmin")
        if self.user_type is not None:
            parts.append(self.user_type)
        message = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(secret.encode("utf-8"), message, hashlib.sha1).hexdigest()


class SharedSecretRegistration:
    """Hands out nonces, and checks that a request was signed with one. On the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._secret = hs.config.registration.registration_shared_secret
        self._nonces: ExpiringCache[str, None] = ExpiringCache(
            hs.clock, "registration_nonces", NONCE_MS, MAX_NONCES
        )

    def new_nonce(self) -> str:
        """A nonce that can be used once, within a minute. Raises MatrixError if not configured."""
        self._configured_secret()
        nonce = secrets.token_hex(64)
        self._nonces.set(nonce, None)
        return nonce

    def check(self, request: SharedSecretRequest) -> None:
        """Use up the nonce and check the signature. Raises UnknownError (400), ForbiddenError."""
        secret = self._configured_secret()
        if self._nonces.pop(request.nonce) is MISSING:
            raise UnknownError("unrecognised nonce", status=400)
        expected = request.expected_mac(secret).encode("ascii")
        if not hmac.compare_digest(request.mac.encode("utf-8", "surrogatepass"), expected):
            raise ForbiddenError("HMAC incorrect")

    def _configured_secret(self) -> str:
        if not self._secret:
            raise UnknownError("Shared secret registration is not enabled", status=400)
        return self._secret
