"""Ed25519 keys of servers: values, text forms, and the signing key file.

A line of the file is `ed25519 <key id> <unpadded base64 seed>`; the key id is what follows the
colon in `ed25519:<key id>` of signatures.
"""

from __future__ import annotations

import re
from typing import ClassVar

import nacl.exceptions
import nacl.signing
import nacl.utils

from .base64 import Base64Error, decode_base64, encode_base64

ALGORITHM = "ed25519"

_KEY_VERSION = re.compile(r"[a-zA-Z0-9_]+\Z")
_SEED_BYTES = 32


class KeyFormatError(ValueError):
    """The text does not hold a key of the form that is wanted; the message carries no secret."""


class SignatureError(ValueError):
    """A signature is missing or wrong; the message says which."""


class VerifyKey:
    """A public Ed25519 key under its id, such as `ed25519:auto`."""

    __slots__ = ("_key", "key_id")

    def __init__(self, key_id: str, key: nacl.signing.VerifyKey) -> None:
        self.key_id = key_id
        self._key = key

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature of 64 bytes. Raises SignatureError."""
        try:
            self._key.verify(message, signature)
        except (
            nacl.exceptions.BadSignatureError,
            nacl.exceptions.CryptoError,
            ValueError,
        ) as error:
            raise SignatureError(f"The signature with {self.key_id} does not match") from error

    def encode(self) -> str:
        """The 32 bytes of the key in unpadded base64."""
        return encode_base64(bytes(self._key))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VerifyKey):
            return NotImplemented
        return self.key_id == other.key_id and bytes(self._key) == bytes(other._key)

    def __hash__(self) -> int:
        return hash((self.key_id, bytes(self._key)))

    def __repr__(self) -> str:
        return f"VerifyKey({self.key_id!r}, {self.encode()!r})"


def decode_verify_key(key_id: str, encoded: str) -> VerifyKey:
    """The public key published as `encoded` under `key_id`. Raises KeyFormatError."""
    algorithm, _, version = key_id.partition(":")
    if algorithm != ALGORITHM or not version:
        raise KeyFormatError(f"Only ed25519 keys are known, not {key_id!r}")
    try:
        return VerifyKey(key_id, nacl.signing.VerifyKey(decode_base64(encoded)))
    except (Base64Error, nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise KeyFormatError(f"{key_id} is not a public key of 32 bytes") from error


class SigningKey:
    """A secret Ed25519 key. Its `repr` shows the id alone."""

    __slots__ = ("_key", "key_id", "verify_key", "version")

    algorithm: ClassVar[str] = ALGORITHM

    def __init__(self, version: str, seed: bytes) -> None:
        """`version` is the key id without `ed25519:`; `seed` has 32 bytes."""
        if _KEY_VERSION.match(version) is None:
            raise KeyFormatError("A key id consists of letters, digits and underscores")
        if len(seed) != _SEED_BYTES:
            raise KeyFormatError("The seed of a signing key has 32 bytes")
        self._key = nacl.signing.SigningKey(seed)
        self.version = version
        self.key_id = f"{ALGORITHM}:{version}"
        self.verify_key = VerifyKey(self.key_id, self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        """The signature of 64 bytes."""
        return self._key.sign(message).signature

    def seed_base64(self) -> str:
        """The secret seed in unpadded base64, for the signing key file."""
        return encode_base64(bytes(self._key))

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id!r})"


def generate_signing_key(version: str) -> SigningKey:
    """A new random key under the id `ed25519:<version>`."""
    return SigningKey(version, nacl.utils.random(_SEED_BYTES))


def read_signing_keys(text: str) -> list[SigningKey]:
    """The keys of a signing key file, in its order; the first one signs.

    Empty lines and lines beginning with `#` are passed over. Raises KeyFormatError with the number
    of the line; never with its text.
    """
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != 3 or fields[0] != ALGORITHM:
            raise KeyFormatError(f"Line {number} is not 'ed25519 <key id> <base64 seed>'")
        try:
            keys.append(SigningKey(fields[1], decode_base64(fields[2])))
        except ValueError as error:
            raise KeyFormatError(f"Line {number}: {error}") from None
    return keys


def write_signing_key(key: SigningKey) -> str:
    """The line of a signing key file for this key, with its line end."""
    return f"{ALGORITHM} {key.version} {key.seed_base64()}\n"
