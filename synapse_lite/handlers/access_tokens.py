"""What an access token looks like: `slt_`, random letters, and a checksum.

The prefix lets people and scanners of leaked secrets know what they have found. The checksum lets
every process refuse invented tokens without asking the database.
"""

from __future__ import annotations

import zlib

from ..util.random import random_string_secure

PREFIX = "slt_"
_RANDOM_LETTERS = 40
"""228 bits."""


def make_access_token() -> str:
    """A new token."""
    unchecked = PREFIX + random_string_secure(_RANDOM_LETTERS)
    return f"{unchecked}_{_checksum(unchecked)}"


def may_be_access_token(text: str) -> bool:
    """Whether to look a token up. Tokens without our prefix may be of an earlier server."""
    if not text.startswith(PREFIX):
        return True
    unchecked, _, checksum = text.rpartition("_")
    return checksum == _checksum(unchecked)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"
