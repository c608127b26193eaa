"""What tokens look like: a prefix that says what for, random letters, and a checksum.

The prefix lets people and scanners of leaked secrets know what they have found. The checksum lets
every process refuse invented tokens without asking the database.
"""

from __future__ import annotations

import zlib

from ..util.random import random_string_secure

PREFIX = "slt_"
"""Of access tokens."""

REFRESH_PREFIX = "slr_"
LOGIN_PREFIX = "sll_"
OPENID_PREFIX = "slo_"

MAX_TOKEN_LENGTH = 1024

_RANDOM_LETTERS = 40
"""228 bits."""


def make_access_token() -> str:
    """A new access token."""
    return make_token(PREFIX)


def make_token(prefix: str) -> str:
    """A new token of a kind."""
    unchecked = prefix + random_string_secure(_RANDOM_LETTERS)
    return f"{unchecked}_{_checksum(unchecked)}"


def may_be_access_token(text: str) -> bool:
    """Whether to look a token up. Tokens without our prefix may be of an earlier server."""
    return not text.startswith(PREFIX) or may_be_token(PREFIX, text)


def may_be_token(prefix: str, text: str) -> bool:
    """Whether a text could be a token of a kind that only this server hands out."""
    if len(text) > MAX_TOKEN_LENGTH or not text.startswith(prefix):
        return False
    unchecked, _, checksum = text.rpartition("_")
    return checksum == _checksum(unchecked)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"
